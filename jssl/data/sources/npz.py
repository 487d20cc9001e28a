"""Sources in npz files."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jssl.data.source import DENSE, NoSplit, Source
from jssl.data.sources.arrays import from_arrays

IMAGES = {"train": ("images", "x_train"), "test": ("test_images", "x_test")}
LABELS = {"train": ("labels", "y_train"), "test": ("test_labels", "y_test")}
PREFIX = {"train": "", "test": "test_"}
DAMAGED = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, TypeError)


class NotNpz(ValueError):
    """Raised for a file that is not an npz file."""


@contextmanager
def archive_of(path: str | Path) -> Iterator[Any]:
    """Opens an npz file; pickled Python objects in it are not read.

    Args:
        path: Of the file.
    Returns:
        A context with NumPy's archive; reading an array of a damaged one raises one of `DAMAGED`.
    Raises:
        OSError: for a file that cannot be opened.
        NotNpz: for a file of another kind.
    """
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise NotNpz("it is not an npz file")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            yield archive


def from_npz(path: str, *, split: str = "train") -> Source:
    """Reads a source from an npz file.

    Args:
        path: of a file with `images`, and perhaps `labels`, `test_images`, `test_labels` and `class_names`;
            the names `x_train`, `y_train`, `x_test` and `y_test` work too. Labels of pixels become extras:
            `segmentation`, `depth`, `objects`, and `test_segmentation` and so on.
        split: "train" or "test".
    Returns:
        A `Source`.
    Raises:
        FileNotFoundError: for a missing file.
        NoSplit: for one without test images.
        ValueError: for one that is damaged or is not an npz file.
    """
    name = f"npz:{path}"
    try:
        with archive_of(path) as archive:
            return _source(archive, name, split)
    except NotNpz as error:
        raise ValueError(f"{name}: {error}; write one with np.savez(path, images=..., labels=...)") from None
    except FileNotFoundError:
        raise FileNotFoundError(f"{name}: there is no such file; give the path of an .npz file") from None
    except IsADirectoryError:
        raise ValueError(
            f"{name}: it is a folder; give the path of an .npz file, or write folder:{path}"
        ) from None
    except OSError as error:
        raise ValueError(f"{name}: it cannot be read: {error.strerror or error}") from error


def _source(archive, name, split):
    found = next((key for key in IMAGES[split] if key in archive), None)
    if found is None:
        kind = NoSplit if split == "test" else ValueError
        raise kind(
            f"{name}: the {split} split needs {' or '.join(IMAGES[split])}, the file has "
            f"{', '.join(archive.files[:10]) or 'nothing'}"
        )
    label = next((key for key in LABELS[split] if key in archive), None)
    labels = None if label is None else _array(archive, label, name)
    names = _array(archive, "class_names", name) if "class_names" in archive else np.array([])
    there = {field: f"{PREFIX[split]}{field}" for field in DENSE if f"{PREFIX[split]}{field}" in archive}
    return from_arrays(
        _array(archive, found, name),
        None if labels is None else labels.reshape(-1),
        class_names=tuple(map(str, names.reshape(-1))),
        name=name,
        **{field: _array(archive, key, name) for field, key in there.items()},
    )


def _array(archive, key, name):
    try:
        return archive[key]
    except DAMAGED as error:
        reason = "it holds Python objects" if "pickle" in str(error) else "it is damaged"
        raise ValueError(
            f"{name}: {key} cannot be read: {reason}; write the file anew with np.savez"
        ) from error
    except MemoryError:
        raise ValueError(f"{name}: {key} does not fit in memory") from None
