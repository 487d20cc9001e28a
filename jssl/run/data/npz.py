"""The npz files that commands pass to each other; for a file of another kind the error is one line."""

import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jssl.data.sources.npz import DAMAGED, archive_of


def held(path: str | Path, names: Sequence[str], *, what: str) -> dict[str, np.ndarray]:
    """Reads arrays of an npz file.

    Args:
        path: Of the file.
        names: Of the arrays; missing ones are left out.
        what: What the file should be, for the error.
    Returns:
        {name: array}.
    Raises:
        ValueError: for anything that is not a complete npz file.
    """
    with _opened(path, what) as archive:
        return {name: archive[name] for name in names if name in archive}


def holds(path: str | Path, *names: str, what: str) -> bool:
    """Tells whether an npz file has arrays of these names; none is read, however large they are.

    Args:
        path: Of the file.
        names: Of the arrays.
        what: What the file should be, for the error.
    Raises:
        ValueError: for anything that is not an npz file.
    """
    with _opened(path, what) as archive:
        return set(names) <= set(archive.files)


def shape_in(path: str | Path, name: str) -> tuple[int, ...]:
    """Reads the shape of an array that `jssl embed` has written, without the array."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as entry:
        np.lib.format.read_magic(entry)
        return np.lib.format.read_array_header_2_0(entry)[0]


@contextmanager
def _opened(path: str | Path, what: str) -> Iterator[Any]:
    try:
        with archive_of(path) as archive:
            yield archive
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ValueError(f"{path} cannot be read as {what}: {reason[:200]}") from None


def check_place(out: Path, *own: str) -> None:
    """Refuses to overwrite a file that the same command has not written, such as the data itself.

    Args:
        out: The .npz file to write.
        own: Names of arrays that this command's files have.
    Raises:
        ValueError: where there is another file, or none can be written.
    """
    if out.suffix != ".npz":
        raise ValueError(f"--out must end in .npz, got {out}")
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; give the name of a file")
    try:
        there = holds(out, *own, what="") if os.path.lexists(out) else True
    except ValueError:
        there = False
    if not there:
        raise ValueError(f"--out {out} is there and holds something else; give another name, or remove it")
