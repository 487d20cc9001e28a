"""Data by name: what `--data` understands."""

from pathlib import Path

from jssl.data.reading.memory import decode_squares
from jssl.data.reading.records import Records, in_memory
from jssl.data.reading.sizes import sides
from jssl.data.source import Source
from jssl.data.sources.digits import digits
from jssl.data.sources.folder import folder
from jssl.data.sources.npz import from_npz
from jssl.data.sources.scenes import scenes
from jssl.data.sources.tfds import one_size, prepared, prepared_records

FORMS = ("digits", "scenes", "tfds:<name>", "folder:<path>", "npz:<file>")
WITHOUT_ARGUMENT = ("digits", "scenes")
KINDS = tuple(form.partition(":")[0] for form in FORMS)
RECORDS = ("tfds", "folder")  # read one by one from their files; `open_records` has a branch for each


def load(
    name: str, *, data_dir: str | None = None, split: str = "train", canvas: int | None = None
) -> Source:
    """Loads images by name into memory, all of one size.

    Names are "digits", "scenes", "tfds:cifar10" or another TFDS data set, "folder:path" and "npz:file.npz";
    the path of a folder or an .npz file that exists is a name too. Scenes are labelled by shape, and with
    "scenes:color" and so on by another attribute. Image files, and TFDS images of several sizes, are cut to
    central squares; `open_records` gives them whole.

    Args:
        name: of the data.
        data_dir: where TFDS has its data sets; by default TFDS's own default.
        split: "train" or "test".
        canvas: the side of the squares, by default that of the images in the middle of a sample, 256 at most;
            and of scenes, 32 by default.
    Returns:
        A `Source`.
    Raises:
        NoSplit: where the data has no test split.
        ValueError: for an unknown name or split, or data that cannot be read.
        FileNotFoundError: where the data is not there. Each message says what to do.
    """
    kind, rest = _parsed(name, split)
    if kind == "digits":
        return digits(split=split)
    if kind == "scenes":
        return scenes(split=split, side=canvas or 32, label=rest or "shape")
    if kind == "npz":
        return from_npz(rest, split=split)
    records = open_records(name, data_dir=data_dir, split=split)
    if kind == "tfds" and canvas is None and one_size(records):
        return prepared(rest, data_dir=data_dir, split=split)
    return decode_squares(records, side=canvas or sides(records).square, name=name)


def open_records(name: str, *, data_dir: str | None = None, split: str = "train") -> Records:
    """Opens data by name for a loader: "folder:path" and "tfds:name" are read from their files, everything
    else from memory.

    Args:
        name: of the data, as in `load`.
        data_dir: where TFDS has its data sets.
        split: "train" or "test".
    Returns:
        Records for `loader`.
    Raises:
        ValueError, FileNotFoundError: as `load`.
    """
    kind, rest = _parsed(name, split)
    if kind == "folder":
        return folder(rest, split=split)
    if kind == "tfds":
        return prepared_records(rest, data_dir=data_dir, split=split)
    return in_memory(load(name, data_dir=data_dir, split=split))


def named(name: str) -> str:
    """Completes the name of data: a path that exists becomes folder:path or npz:path.

    Args:
        name: One of `FORMS`, or a path.
    Examples:
        >>> named("digits"), named("folder:photos")
        ('digits', 'folder:photos')
    """
    kind, _, rest = name.partition(":")
    if kind in ("folder", "npz") and rest.startswith("~"):  # a shell does not expand it after a colon
        return f"{kind}:{Path(rest).expanduser()}"
    if not name or kind in KINDS:
        return name
    path = Path(name).expanduser()
    if path.is_dir():
        return f"folder:{path}"
    return f"npz:{path}" if path.is_file() and path.suffix == ".npz" else name


def same(name: str, other: str) -> bool:
    """Tells whether two names mean the same data, even if they write the path in different ways.

    Args:
        name, other: As in `named`.
    Examples:
        >>> same("folder:photos", "folder:./photos/"), same("folder:photos", "npz:photos")
        (True, False)
    """
    (kind, _, rest), (other_kind, _, other_rest) = (named(one).partition(":") for one in (name, other))
    if kind in ("folder", "npz"):
        rest, other_rest = (str(Path(one).resolve()) for one in (rest, other_rest))
    return (kind, rest) == (other_kind, other_rest)


def _parsed(name, split):
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    kind, _, rest = named(name).partition(":")
    if kind not in KINDS or (kind not in WITHOUT_ARGUMENT and not rest):
        raise ValueError(
            f"unknown data {name!r}: expected one of {', '.join(FORMS)}, or the path of a folder or .npz "
            f"file that is there{'; a list file is folder:<path>' if Path(name).is_file() else ''}"
        )
    if kind == "digits" and rest:
        raise ValueError(f"digits have one labelling, got {name!r}; write digits")
    return kind, rest
