"""What an experiment trains and tests on: all of it in memory, or records that stay where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jssl.data.reading.memory import decode_all, fits_in_memory
from jssl.data.reading.records import Records, image_shape, open_records
from jssl.data.source import Source, load
from jssl.run.experiment import Data

LARGEST = 224  # side of the canvas that larger images are decoded to
SAMPLE = 10_000  # images of data that is too large for memory that the probes look at


class Gathered(NamedTuple):
    """Data of a run.

    source:  images in memory: all of the training data, or a sample of it for the probes.
    records: the training data where it does not fit in memory, else None.
    test:    held-out images of the same classes, None where there are none with labels.
    """

    source: Source
    records: Records | None
    test: Source | None

    def __len__(self) -> int:
        return len(self.source if self.records is None else self.records)

    @property
    def canvas(self) -> int:
        return self.source.images.shape[1]


def gather(data: Data, *, data_dir: str | None = None) -> Gathered:
    """Opens data and reads what fits in memory.

    Args:
        data: A name, a `Source`, or a pair of them to train and to test on.
        data_dir: Where TFDS has its data sets.
    Returns:
        `Gathered`.
    Raises:
        ValueError, FileNotFoundError, ImportError: where it cannot be read, saying what to do.
    """
    if isinstance(data, str):
        source, records = _read(data, data_dir, "train")
        test = _test(data, data_dir)
    else:
        source, test = (data, None) if isinstance(data, Source) else data
        records = None
    labelled = test is not None and source.classes > 1 and min(source.labels.min(), test.labels.min()) >= 0
    return Gathered(source, records, test if labelled else None)


def _test(data: str, directory: str | None) -> Source | None:
    try:
        return _read(data, directory, "test")[0]
    except (ValueError, FileNotFoundError):  # trained on all the same
        return None


def _read(data: str, directory: str | None, split: str) -> tuple[Source, Records | None]:
    """All images; or a sample of them, and the records to stream."""
    if data.partition(":")[0] not in ("folder", "tfds"):
        return load(data, data_dir=directory, split=split), None
    records = open_records(data, data_dir=directory, split=split)
    side = min(LARGEST, max(image_shape(records)))
    if fits_in_memory(records, canvas=side):
        return load(data, data_dir=directory, split=split, canvas=side), None
    rows = np.linspace(0, len(records) - 1, min(SAMPLE, len(records))).astype(int)
    return decode_all(Some(records, rows), canvas=side, name=data), records


@dataclass(frozen=True)
class Some:
    """Some of the records, by their numbers."""

    records: Records
    rows: Sequence[int]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.records.class_names

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.records[int(self.rows[index])]

    def describe(self, index: int) -> str:
        return self.records.describe(int(self.rows[index]))
