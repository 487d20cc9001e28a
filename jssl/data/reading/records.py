"""Records: images that stay where they are, read one by one by number; what a loader draws from."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from jssl.data.reading.decode import DamagedImage, decode, fit
from jssl.data.source import Source

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")


class Records(Protocol):
    """What a loader needs: `len(records)`, `records[i]`, `records.describe(i)`, and the names of the classes.

    A record is {"image": encoded bytes or a uint8 array [H, W, C], "label": int, ...}.
    """

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def describe(self, index: int) -> str: ...


@dataclass(frozen=True)
class Files:
    """Image files; a record is a file's bytes.

    paths: relative to root; labels: int32 [N], -1 where there is none.
    """

    root: str
    paths: Sequence[str]
    labels: np.ndarray
    class_names: tuple[str, ...] = ()

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with open(self.describe(index), "rb", buffering=0) as file:
            return {"image": file.read(), "label": self.labels[index]}

    def describe(self, index):
        return os.path.join(self.root, self.paths[index])


@dataclass(frozen=True)
class Items:
    """Any random-access source, such as Grain's or TFDS's: records are dicts with "image", or pairs (image, label)."""

    source: Any
    name: str = "source"
    class_names: tuple[str, ...] = field(default=())

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        record = self.source[index]
        if isinstance(record, tuple | list):
            record = {"image": record[0], "label": record[1] if len(record) > 1 else -1}
        return record

    def describe(self, index):
        return f"{self.name}[{index}]"


def read(
    records: Records, number: int, *, canvas: int, out: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """One record, decoded: its image on the canvas, and its other entries that are numbers, "label" among them.

    out: where to write the image.

    Returns: (uint8 [canvas, canvas, 3], {"label": int, ...}).

    Raises: DamagedImage with the reason.
    """
    try:
        record = dict(records[number])
    except OSError as error:
        raise DamagedImage(error.strerror or str(error)) from error
    image = record.pop("image")
    numbers = {key: value for key, value in record.items() if not isinstance(value, str | bytes)}
    return _on_canvas(image, canvas, out), {**numbers, "label": np.int32(record.get("label", -1))}


def image_shape(records: Records, *, tries: int = 32) -> tuple[int, int]:
    """Height and width of the first image that can be read.

    tries: images that may be damaged before that.

    Raises: ValueError where none of them can be read.
    """
    for number in range(min(tries, len(records))):
        try:
            image = records[number]["image"]
            return (decode(image) if isinstance(image, bytes) else np.asarray(image)).shape[:2]
        except (DamagedImage, OSError) as error:
            reason = error
    raise ValueError(
        f"none of the first {number + 1} images can be read; {records.describe(number)}: {reason}"
    )


def damage(records: Records, number: int, *, canvas: int) -> str:
    """Why a record cannot be read.

    Returns: the reason in words.
    """
    try:
        read(records, number, canvas=canvas)
    except DamagedImage as reason:
        return str(reason)
    return "it could not be read before, and can now"


def _on_canvas(image, canvas, out):
    if isinstance(image, bytes):
        return decode(image, canvas=canvas, out=out)
    image = np.asarray(image)
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or (image.ndim == 3 and image.shape[-1] not in (1, 3))
    ):
        raise DamagedImage(f"expected uint8 [H, W, 1 or 3], got {image.dtype} {image.shape}")
    if image.ndim == 2 or image.shape[-1] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, -1)
    return fit(image, canvas, out)


def in_memory(source: Source) -> Items:
    """A source's images as records.

    Returns: `Items`.
    """
    records = _Rows(source.arrays)
    return Items(records, source.name, source.class_names)


@dataclass(frozen=True)
class _Rows:
    columns: dict[str, np.ndarray]

    def __len__(self):
        return len(self.columns["image"])

    def __getitem__(self, index):
        return {name: values[index] for name, values in self.columns.items()}


def folder(path: str, *, split: str = "train") -> Files:
    """Image files under a folder, or those that a list file names.

    A folder with `train` and `test` (or `val`) inside gives the split's one; every other folder is all train, and its
    test split is what it is for train. Folders inside are classes, in alphabetical order; images that lie directly in
    it, without such folders, are a heap without labels. A text file lists one path a line, relative to itself, with a
    label after a tab if there is one. Files are not opened, so a million of them are listed in seconds.

    Returns: `Files`, sorted by path.

    Raises: FileNotFoundError, PermissionError or ValueError saying what is wrong with the path.
    """
    if os.path.isfile(path):
        return _listed(path)
    if not os.path.isdir(path):
        raise FileNotFoundError(f"folder:{path}: there is no such folder or list file")
    for inner in ("train",) if split == "train" else ("test", "val", "validation"):
        if os.path.isdir(os.path.join(path, inner)):
            path = os.path.join(path, inner)
            break
    heap, folders = _scan(path)
    classes = sorted(name for name in folders if not name.startswith("."))
    paths, labels, names = [], [], []
    for name in classes:
        found = sorted(_below(os.path.join(path, name), name))
        if found:
            paths += found
            labels += [len(names)] * len(found)
            names.append(name)
    if heap and names:
        raise ValueError(
            f"folder:{path}: {len(heap)} images lie beside the class folders {', '.join(names[:3])} ...; "
            "move them into a class folder or out of the way"
        )
    if not heap and not names:
        raise ValueError(f"folder:{path}: there are no images in it ({', '.join(EXTENSIONS)})")
    if heap:
        paths, labels = sorted(heap), [-1] * len(heap)
    return Files(path, paths, np.array(labels, np.int32), tuple(names))


def _scan(path):
    """(image names, folder names) directly in a folder."""
    images, folders = [], []
    try:
        entries = os.scandir(path)
    except PermissionError:
        raise PermissionError(f"folder:{path}: may not be read; change its permissions") from None
    with entries:
        for entry in entries:
            if entry.name.lower().endswith(EXTENSIONS):
                images.append(entry.name)
            elif entry.is_dir():
                folders.append(entry.name)
    return images, folders


def _below(path, prefix):
    images, folders = _scan(path)
    yield from (f"{prefix}/{name}" for name in images)
    for name in folders:
        yield from _below(os.path.join(path, name), f"{prefix}/{name}")


def _listed(path):
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file.read().split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"folder:{path}: the list is empty; it needs one image path a line")
    tabs = {line.count("\t") for line in lines}
    if tabs not in ({0}, {1}):
        raise ValueError(
            f"folder:{path}: every line needs a path, or a path, a tab and a label; the lines differ"
        )
    root = os.path.dirname(os.path.abspath(path))
    if tabs == {0}:
        return Files(root, lines, np.full(len(lines), -1, np.int32))
    paths, found = ([line.split("\t")[column] for line in lines] for column in (0, 1))
    names = sorted(set(found), key=lambda name: (len(name), name) if name.isdigit() else (99, name))
    number = {name: i for i, name in enumerate(names)}
    return Files(root, paths, np.array([number[name] for name in found], np.int32), tuple(names))


def open_records(name: str, *, data_dir: str | None = None, split: str = "train") -> Records:
    """Records by name: "folder:path", "tfds:name" read where it lies; everything else from memory.

    Returns: records for `loader`.

    Raises: as `load`.
    """
    kind, _, rest = name.partition(":")
    if kind == "folder" and rest:
        return folder(rest, split=split)
    if kind == "tfds" and rest:
        from jssl.data.sources.prepared import prepared_records

        return prepared_records(rest, data_dir=data_dir, split=split)
    from jssl.data.source import load

    return in_memory(load(name, data_dir=data_dir, split=split))
