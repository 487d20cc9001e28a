"""Marks that identify the data of a run when it is resumed. They are made from what is in memory once the
data is open; no file is read for them.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from jssl.data.reading.records import Records, Some
from jssl.data.source import Source
from jssl.data.sources.folder import Files
from jssl.data.splits import evenly
from jssl.run.data.own_data import Numbered

IMAGES = 16  # images whose pixels identify an array of images


def marks_of(opened: Source | Records, train: Source | None, *, pixels: bool) -> dict[str, str]:
    """Makes marks of training data that depend on its content and not on its place.

    Args:
        opened: All training images, as they were opened.
        train: Those that are trained on; None where they stay on disk.
        pixels: Whether pixels count, for data given as arrays; decoded or drawn images may differ by a bit.
    Returns:
        {what is marked, in words: hexadecimal digits}.
    """
    marks, listed = {"names of classes": _mark(opened.class_names)}, _listed(opened)
    if listed is not None:
        names, labels = listed
        marks |= {"names of images": _mark(names), "labels": _digits(labels.tobytes())}
    elif train is not None:
        marks["labels"] = _digits(train.labels.tobytes())
        if pixels:
            marks["images"] = _digits(train.images[evenly(len(train), IMAGES)].tobytes())
    return marks


def _listed(opened: Source | Records) -> tuple[Sequence[str], np.ndarray] | None:
    """The names of image files, relative to their folder, and their labels; None of others."""
    if isinstance(opened, Numbered):
        return _listed(opened.source)
    if isinstance(opened, Some):
        if (listed := _listed(opened.records)) is None:
            return None
        names, labels = listed
        return [names[row] for row in opened.rows], labels[opened.rows]
    return (opened.paths, opened.labels) if isinstance(opened, Files) else None


def _mark(names: Sequence[str]) -> str:
    return _digits("\n".join(map(str, names)).encode("utf-8", "surrogateescape"))


def _digits(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
