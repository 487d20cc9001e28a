"""Large data: batches of decoded images from records, in background threads or processes, at any position."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from jssl.data.reading.decode import DamagedImage, decoders
from jssl.data.reading.order import shuffled
from jssl.data.reading.records import Records, damage, read
from jssl.data.reading.resident import steps_per_epoch
from jssl.data.source import IMAGE_SIZE
from jssl.extras import extra

log = logging.getLogger(__name__)
ATTEMPTS = 100  # neighbours tried in place of a damaged image before giving up


class Batches:
    """Maps a batch's number to this process's share of it: a pure function, which Grain runs ahead of the
    training.
    """

    def __init__(self, records: Records, *, batch: int, canvas: int, seed: int, process: int, processes: int):
        self.records, self.batch, self.canvas, self.seed = records, batch, canvas, seed
        self.share = slice(process * batch // processes, (process + 1) * batch // processes)
        self.epoch = steps_per_epoch(len(records), batch) * batch

    def order(self, number: int) -> np.ndarray:
        """Returns the samples of this process's share, [b] int32."""
        start = number * self.batch % self.epoch
        positions = np.arange(start, start + self.batch)[self.share]
        return shuffled(self.seed, number * self.batch // self.epoch, positions, n=len(self.records))

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        asked = self.order(number)
        images = np.zeros((len(asked), self.canvas, self.canvas, 3), np.uint8)
        sizes, index, rest = np.empty((len(asked), 2), np.int32), asked.copy(), []
        for row, sample in enumerate(asked):
            image, record, index[row] = self.sample(int(sample), images[row])
            sizes[row] = image.shape[:2]
            rest.append(record)
        entries = {name: np.stack([np.asarray(record[name]) for record in rest]) for name in rest[0]}
        # last, because a record may have an entry called index too
        return entries | {"image": images, IMAGE_SIZE: sizes, "index": index, "asked": asked}

    def sample(self, number: int, out: np.ndarray) -> tuple[np.ndarray, dict[str, Any], int]:
        """Reads a sample, its image into `out`; where it is damaged, the next one.

        Returns:
            (image, its other entries, number).
        """
        for step in range(ATTEMPTS):
            candidate = (number + step) % len(self.records)
            try:
                return *read(self.records, candidate, canvas=self.canvas, out=out), candidate
            except DamagedImage:
                continue
        raise OSError(
            f"{ATTEMPTS} images in a row cannot be read, from {self.records.describe(number)}: "
            f"{damage(self.records, number, canvas=self.canvas)}"
        )


class Loader:
    """Yields batches without end, each a dict of arrays.

    "image" is uint8 [b, canvas, canvas, 3], with the image in the top left corner and zeros beside it;
    "image_size" is int32 [b, 2], its height and width; "label" and "index" are [b].

    Args:
        batches: what each batch holds.
        position: samples handed out so far by all processes: it is all that has to be saved, for any number
            of processes.
        threads: Grain's, which read and decode.
        workers: Grain's processes; 0 for none.
    Attributes:
        damaged: {name: reason} of the images that could not be read, each logged once; the next sample
            replaces it.
    """

    def __init__(self, batches: Batches, *, position: int, threads: int, workers: int):
        self.batches, self.position, self.threads, self.workers = batches, position, threads, workers
        self.damaged: dict[str, str] = {}
        self._iterator: Iterator[dict[str, np.ndarray]] | None = None

    def __iter__(self):
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if self._iterator is None:
            self._iterator = self._start()
        entries = dict(next(self._iterator))
        self.position += self.batches.batch
        asked = entries.pop("asked")
        for number in asked[asked != entries["index"]]:
            self._report(int(number))
        return entries

    def _report(self, number):
        name = self.batches.records.describe(number)
        if name not in self.damaged:
            self.damaged[name] = damage(self.batches.records, number, canvas=self.batches.canvas)
            log.warning("skipped %s: %s (%d damaged so far)", name, self.damaged[name], len(self.damaged))

    def _start(self):
        with extra():
            import grain

        first, end = self.position // self.batches.batch, 2**62 // self.batches.batch
        ahead = grain.ReadOptions(num_threads=self.threads, prefetch_buffer_size=2 * self.threads)
        batches = grain.MapDataset.range(first, end).map(self.batches).to_iter_dataset(ahead)
        if self.workers:
            from absl import flags

            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()  # Grain's processes read flags; only absl programs parse them
            batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=self.workers))
        return iter(batches)


def loader(
    records: Records,
    *,
    batch: int,
    canvas: int,
    seed: int = 0,
    position: int = 0,
    process: int = 0,
    processes: int = 1,
    threads: int | None = None,
    workers: int = 0,
) -> Loader:
    """Reads batches of decoded images, in the order of `batch_indices`: a function of seed and epoch.

    Args:
        records: `open_records(name)`, or anything with its methods (`Items` wraps a Grain source).
        batch: images of all processes together.
        canvas: the side of the square that each image is placed on, made smaller where it is larger.
        seed: of the order.
        position: samples already handed out, where to go on.
        process: which share of each batch this process reads.
        processes: how many shares there are.
        threads: threads that decode ahead, by default one per core, 16 at most.
        workers: processes that decode instead, each with that many threads.
    Returns:
        A `Loader`.
    Raises:
        ValueError: where the batch is larger than the data, or the processes do not divide it, or the
            position is not at a batch.
    """
    steps_per_epoch(len(records), batch)
    if batch % processes:
        raise ValueError(
            f"batch of {batch} cannot be shared by {processes} processes; use a multiple of {processes}"
        )
    if position % batch:
        raise ValueError(
            f"position {position} is not a multiple of the batch of {batch}; resume with the batch it had"
        )
    batches = Batches(records, batch=batch, canvas=canvas, seed=seed, process=process, processes=processes)
    threads = threads or min(16, decoders())
    return Loader(batches, position=position, threads=threads, workers=workers)
