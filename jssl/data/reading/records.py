"""Records: images that are read one by one, by number, from where they are stored. A loader reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from jssl.data.reading.canvas import central, placed, shrunk
from jssl.data.reading.decode import DamagedImage, as_rgb, decode, decode_square
from jssl.data.source import IMAGE_SIZE, Source


class Records(Protocol):
    """What a loader needs: `len(records)`, `records[i]`, `records.describe(i)`, and the names of the classes.

    A record is {"image": encoded bytes or a uint8 array [H, W, C], "label": int, ...}.
    """

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def describe(self, index: int) -> str: ...


@dataclass(frozen=True)
class Items:
    """Any random-access source as records, such as Grain's or TFDS's.

    Args:
        source: its items are dicts with "image", or pairs (image, label).
        name: what a record is called in messages.
        class_names: one per class.
    """

    source: Any
    name: str = "source"
    class_names: tuple[str, ...] = ()

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        record = self.source[index]
        if isinstance(record, tuple | list):
            record = {"image": record[0], "label": record[1] if len(record) > 1 else -1}
        return record

    def describe(self, index):
        return f"{self.name}[{index}]"


@dataclass(frozen=True)
class Some:
    """Some of the records.

    Args:
        records: all of them.
        rows: the numbers of those that are meant.
    """

    records: Records
    rows: Sequence[int] | np.ndarray

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.records.class_names

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.records[int(self.rows[index])]

    def describe(self, index: int) -> str:
        return self.records.describe(int(self.rows[index]))


def in_memory(source: Source) -> Items:
    """Makes records of a source's images.

    Returns:
        `Items`.
    """
    return Items(_Rows(source.arrays), source.name, source.class_names)


@dataclass(frozen=True)
class _Rows:
    columns: dict[str, np.ndarray]

    def __len__(self):
        return len(self.columns["image"])

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.columns.items()}


def read(
    records: Records, number: int, *, canvas: int, out: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Reads one record: its whole image, no larger than the canvas, and its other entries that are numbers.

    Args:
        records: the data.
        number: of the record.
        canvas: the largest side of the image.
        out: uint8 [canvas, canvas, 3]; the image is written to its top left corner.
    Returns:
        (uint8 [h, w, 3], {"label": int, ...}).
    Raises:
        DamagedImage: with the reason.
    """
    image, numbers = _entries(records, number)
    if isinstance(image, bytes):
        return decode(image, canvas=canvas, out=out), numbers
    image = shrunk(image, canvas)
    return image if out is None else placed(image, out), numbers


def read_square(records: Records, number: int, *, side: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Reads one record: the central square of its image, and its other entries that are numbers.

    Returns:
        (uint8 [side, side, 3], {"label": int, ...}).
    Raises:
        DamagedImage: with the reason.
    """
    image, numbers = _entries(records, number)
    return decode_square(image, side) if isinstance(image, bytes) else central(image, side, side), numbers


def damage(records: Records, number: int, *, canvas: int) -> str:
    """Tells why a record cannot be read.

    Returns:
        The reason in words.
    """
    try:
        read(records, number, canvas=canvas)
    except DamagedImage as reason:
        return str(reason)
    return "it could not be read before, and can now"


def fetch(records: Records, number: int) -> dict[str, Any]:
    """Reads one record, its image still encoded.

    Raises:
        DamagedImage: where its file cannot be opened.
    """
    try:
        return dict(records[number])
    except OSError as error:
        raise DamagedImage(error.strerror or str(error)) from error


def _entries(records, number):
    """The image, still encoded or uint8 [h, w, 3], and the numbers beside it."""
    record = fetch(records, number)
    image, size = record.pop("image"), record.pop(IMAGE_SIZE, None)
    if not isinstance(image, bytes):
        image = as_rgb(image)
        image = image if size is None else image[: size[0], : size[1]]
    numbers = {key: value for key, value in record.items() if not isinstance(value, str | bytes)}
    return image, {**numbers, "label": np.int32(record.get("label", -1))}
