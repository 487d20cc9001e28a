"""Data that is given as an object of any library: samples by number, or batches one after another.

jssl.run("simclr", data=my_grain_source, ...)          numbered: read in our order, resumed exactly
jssl.run("simclr", data=torch_data_loader, ...)        batches with an end that fit in memory: read once
jssl.run("simclr", data=endless_batches, steps=...)    batches without an end: taken as they come
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import PurePath
from typing import Any, NamedTuple

import jax
import numpy as np

from jssl.data.reading.decode import is_pillow
from jssl.data.reading.memory import MEMORY
from jssl.data.source import IMAGE_SIZE, Source
from jssl.data.sources.arrays import as_bytes, from_arrays
from jssl.run.settings.numbers import LARGEST

PASSED = (
    "{name}: batches are taken as they come; a run that is resumed passes over those it has seen, which "
    "gives the same images only where the order is the same again"
)
ONCE = "; a generator gives each batch once, so make it anew to resume"
TAKEN = ("image", "index", "images", "labels", "class_names", "name")  # entries that do not become extras


class Numbered:
    """Samples by number, of a Grain source or a torch data set, as records.

    Args:
        source: Has a length and items: dicts with "image", or pairs (image, label), None for no label.
            Records, as `jssl.data.open_records` gives them, keep their names of classes and of images.
    """

    def __init__(self, source: Any):
        self.source, self.name = source, type(source).__name__
        self.class_names: tuple[str, ...] = tuple(getattr(source, "class_names", ()))

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        entries = named_entries(self.source[index], self.name)
        entries["label"] = as_labels(entries.get("label"), 1, self.name)[0]
        image, label = entries["image"], entries["label"]
        whole = isinstance(image, bytes) or is_pillow(image)
        kept = {"image": image if whole else as_pixels(image, self.name), "label": label}
        return kept | {name: value for name, value in entries.items() if name == IMAGE_SIZE}

    def describe(self, index: int) -> str:
        """Names a record in messages, and in lists of images."""
        own = getattr(self.source, "describe", None)
        return f"{self.name}[{index}]" if own is None else own(index)


class Passing(NamedTuple):
    """Batches that are taken as they come.

    Attributes:
        batches: An iterable that starts anew each time, or an iterator.
        name: Of their type.
        first: The first of them, as `as_batch` makes it.
        images: How many there are in all; 0 where it is not known.
    """

    batches: Iterable
    name: str
    first: dict[str, np.ndarray]
    images: int

    @property
    def size(self) -> int:
        """The number of images in each batch."""
        return len(self.first["image"])

    @property
    def note(self) -> str:
        """A sentence that says what it means to take batches as they come."""
        return PASSED.format(name=self.name) + (ONCE if isinstance(self.batches, Iterator) else "")

    def at(self, step: int) -> Iterator[dict[str, np.ndarray]]:
        """Yields the batches from a step on, starting again where they end; earlier ones are skipped.

        The label of an image without one is -1; its index is its number in the run.
        """
        number, rows = 0, np.arange(self.size)
        while True:
            first = number
            for batch in self.batches:
                arrays = as_batch(batch, self.name)
                if len(arrays["image"]) != self.size:  # the last one may be shorter and is left out
                    continue
                if number >= step:
                    index = (number * self.size + rows).astype(np.int32)
                    yield {"label": np.full(self.size, -1, np.int32)} | arrays | {"index": index}
                number += 1
            if number == first:
                raise ValueError(f"{self.name}: the batches have come to an end, after {number}")

    def of_run(self, batch: int | None, steps: int | None) -> "Passing":
        """Checks that a run can take these batches.

        Args:
            batch: Images per step of the run.
            steps: Of the run; None: not given.
        Returns:
            The same; where no end is known, its `images` are those of the run.
        Raises:
            ValueError: for batches of another size, without an end and without steps, or of many processes.
        """
        if self.size != batch:
            raise ValueError(f"{self.name} has batches of {self.size}, the run of {batch}; make them equal")
        if jax.process_count() > 1:
            raise ValueError(f"{self.name}: batches are for one process; give samples by number, or a name")
        if not self.images and steps is None:
            raise ValueError(f"{self.name} does not say how long it is; give steps")
        return self if self.images else self._replace(images=self.size * (steps or 0))


def opened(data: Any) -> Source | Numbered | Passing:
    """Opens data that is given as an object.

    Args:
        data: A `Source`; an object with a length and items by number; or an iterable of batches.
    Returns:
        A `Source` where all of it is in memory, else `Numbered` samples or `Passing` batches.
    Raises:
        ValueError: for anything else, in one line.
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, str | PurePath):
        raise ValueError(f"{data} is a name in a pair of data; open it first: jssl.data.load({str(data)!r})")
    if getattr(data, "ndim", None) == 1:
        raise ValueError(
            f"data has an array of shape {tuple(data.shape)} in place of images; a pair is to train and to "
            "test on, and images with labels are jssl.data.from_arrays(images, labels)"
        )
    name = type(data).__name__
    if isinstance(data, Mapping):
        raise ValueError(
            f"data is a {name} of {', '.join(map(str, list(data)[:5]))}; images with labels are "
            "jssl.data.from_arrays(images, labels), and a pair (train, test) is to train and to test on"
        )
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and len(data) > LARGEST:
        raise ValueError(f"data is a {name} without an end; give its samples once, or batches of them")
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not _of_batches(data, name):
        return Numbered(data)
    if not hasattr(data, "__iter__"):
        raise ValueError(
            f"data is a {name}; expected a name, a path, a Source, samples by number, or batches to iterate"
        )
    count = _length(data)
    try:
        first, data = _begun(data, name)
    except StopIteration:
        raise ValueError(f"data is a {name} without a single batch") from None
    if count and count * first["image"].nbytes <= MEMORY:
        parts = [as_batch(batch, name) for batch in data]
        arrays: dict[str, Any] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        return from_arrays(arrays.pop("image"), arrays.pop("label", None), name=name, **arrays)
    return Passing(data, name, first, count * len(first["image"]))


def _begun(data: Any, name: str) -> tuple[dict[str, np.ndarray], Any]:
    """The first batch, and all of them; the batch that was taken from an iterator is put back."""
    batches = iter(data)
    first = next(batches)
    return as_batch(first, name), chain([first], batches) if batches is data else data


def _length(data: Any) -> int:
    """The number of batches; 0 where it is unknown, as for torch's loaders of iterable data sets."""
    try:
        return len(data)
    except TypeError:
        return 0


def _of_batches(data: Any, name: str) -> bool:
    """Whether the items are batches, as in a list of them."""
    return len(data) > 0 and np.ndim(named_entries(data[0], name)["image"]) == 4


def as_batch(batch: Any, name: str) -> dict[str, np.ndarray]:
    """Names the arrays of a batch, and converts its images to uint8 [B, H, W, C].

    Args:
        batch: A dict with "image", or a pair (images, labels), or images; of numpy, jax or torch.
        name: Of the data, for messages.
    Returns:
        {"image": uint8 [B, H, W, C], and the other entries that are numbers}.
    Raises:
        ValueError: for images of another shape or type.
    """
    entries = named_entries(batch, name)
    arrays = {key: np.asarray(value) for key, value in entries.items() if key not in TAKEN}
    images = as_pixels(entries["image"], name)
    if images.ndim != 4:
        raise ValueError(f"{name}: a batch's images must be [B, H, W, C], got shape {images.shape}")
    labels = {"label": as_labels(entries["label"], len(images), name)} if "label" in entries else {}
    return {"image": images} | {k: v for k, v in arrays.items() if v.dtype.kind in "iufb"} | labels


def as_labels(labels: Any, count: int, name: str) -> np.ndarray:
    """Converts labels to class numbers.

    Args:
        labels: One for each image, integers or whole floats, -1 for none; None: there are none.
        count: How many there must be.
        name: Of the data, for messages.
    Returns:
        [count] int32.
    Raises:
        ValueError: for words, fractions, and several numbers per image.
    """
    found = np.full(count, -1) if labels is None else np.asarray(labels)
    if found.size != count or found.dtype.kind not in "iufb" or (found != np.floor(found)).any():
        raise ValueError(
            f"{name}: a label must be one integer for each image, -1 or None for none, got {found.dtype} of "
            f"shape {found.shape}; number the classes, or leave the labels out"
        )
    if (np.abs(found) > LARGEST).any():
        raise ValueError(f"{name}: labels must be at most {LARGEST:,}, got {found.max()}; number the classes")
    return found.reshape(-1).astype(np.int32)


def named_entries(sample: Any, name: str) -> dict[str, Any]:
    """Converts a library's sample or batch, a dict or images and perhaps labels, to a dict with "image"."""
    if isinstance(sample, tuple | list):
        sample = {"image": sample[0], **({"label": sample[1]} if len(sample) > 1 else {})}
    if not isinstance(sample, dict):
        sample = {"image": sample}
    if "image" not in sample:
        raise ValueError(f"{name}: a sample or batch needs an entry image, it has {', '.join(sample)}")
    if "labels" in sample and "label" not in sample:
        raise ValueError(f"{name}: a sample or batch has an entry labels; call it label")
    return dict(sample)


def as_pixels(images: Any, name: str) -> np.ndarray:
    """Converts images to uint8 with the channels last.

    Args:
        images: [..., H, W, C] or, as torch has them, [..., C, H, W]; uint8, or floats in [0, 1].
        name: Of the data, for messages.
    Raises:
        ValueError: as `as_bytes`.
    """
    images = np.asarray(images)
    if images.ndim >= 3 and images.shape[-3] in (1, 3) and images.shape[-1] not in (1, 3):
        images = np.moveaxis(images, -3, -1)
    return as_bytes(images, name)
