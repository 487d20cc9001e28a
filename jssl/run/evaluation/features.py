"""Computes the features that protocols use, once, and caches them by the marks of network and data."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jssl.data.reading.records import Records
from jssl.data.sources.arrays import labels_of
from jssl.data.splits import held_out, renumbered, shared
from jssl.run.data.npz import held
from jssl.run.directory.lock import in_turn
from jssl.run.evaluation.baselines import user_cache
from jssl.run.evaluation.embed import embed
from jssl.run.evaluation.marks import mark_of_data
from jssl.weights.loaded import Loaded

FORM = 5  # the version of the cache; with another number everything is computed again


class Columns(NamedTuple):
    """Features of one split of a data set.

    Attributes:
        features: [N, ...] float32.
        labels: [N] int32, -1 for none.
        class_names: One per class.
        names: [N] of the images, None where they are not known.
    """

    features: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    names: np.ndarray | None = None

    def some(self, rows: np.ndarray) -> "Columns":
        """Takes some of the rows: their numbers, or [N] booleans."""
        names = None if self.names is None else self.names[rows]
        return self._replace(features=self.features[rows], labels=self.labels[rows], names=names)


def store(directory: str | Path | None = None) -> Path:
    """Returns where features are kept: in the user's cache directory, unless another is given."""
    return user_cache() / "features" if directory is None else Path(directory)


def computed(
    loaded: Loaded,
    records: Records,
    *,
    mark: str,
    tokens: str,
    size: int | None = None,
    batch: int = 64,
    directory: Path,
    say: Callable[[str], None] = lambda text: None,
    bar: bool = False,
) -> Columns:
    """Computes the features of all records, or reads them from the cache.

    Args:
        loaded: The network.
        records: The images.
        mark: The network's, as `mark_of_network` gives it.
        tokens, size, batch, say, bar: As `embed`.
        directory: Of the cache.
    Returns:
        `Columns`.
    Raises:
        ValueError: as `embed`.
    """
    asked = f"{FORM} {tokens} {size} {mark} {mark_of_data(records)}"
    kept = directory / f"{hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()}.npz"
    if not kept.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with in_turn(kept, say):
            if not kept.exists():
                embed(loaded, records, kept, tokens=tokens, size=size, batch=batch, say=say, bar=bar)
    return read_columns(kept)


def read_columns(path: str | Path) -> Columns:
    """Reads a file of features, as `jssl embed` writes it.

    Args:
        path: Of the file: `features`, and perhaps `labels` and `class_names`.
    Returns:
        `Columns`.
    Raises:
        ValueError: for a file without features, features that float32 cannot hold, or labels of another
            length.
    """
    found = held(path, ("features", "labels", "class_names", "names"), what="features")
    if "features" not in found:
        raise ValueError(f"{path} holds no features; `jssl embed` writes such files")
    features, names = found["features"], found.get("names")
    if features.ndim < 2 or not np.issubdtype(features.dtype, np.floating):
        raise ValueError(
            f"{path}: features are {features.dtype} of shape {features.shape}, expected floats [N, D]"
        )
    limit, wide = np.finfo(np.float32).max, features.dtype.itemsize > 4
    if wide and (most := np.max(np.abs(features), where=np.isfinite(features), initial=0)) > limit:
        raise ValueError(
            f"{path}: features reach {most:.3g}, and float32 holds up to {limit:.3g}; divide them"
        )
    if names is not None and names.shape != features.shape[:1]:
        raise ValueError(f"{path}: there are {names.size} names of {len(features)} images; embed them again")
    classes = tuple(str(name) for name in found.get("class_names", np.array([])).reshape(-1))
    labels, classes = labels_of(found.get("labels"), classes, len(features), str(path))
    return Columns(features, labels, classes, names)


def check_made_alike(first: str | Path, *others: str | Path | None) -> None:
    """Refuses features that were made differently: by other networks, tokens, blocks or image sizes.

    Args:
        first: A file of features.
        others: Files to compare with it; None is ignored. A file that does not say how it was made passes.
    Raises:
        ValueError: naming what differs.
    """
    made = _made(first)
    for other in others:
        theirs = made if other is None else _made(other)
        if differs := [name for name in made if name in theirs and made[name] != theirs[name]]:
            raise ValueError(
                f"{other} has features of another {differs[0]} than {first}, which cannot be compared; embed "
                "both by one network, in one way"
            )


def _made(path: str | Path) -> dict[str, Any]:
    """How `jssl embed` made a file; nothing where it does not say so."""
    try:
        about = json.loads(str(held(path, ("about",), what="features")["about"]))
        told = {"network": about["marks"][0], "choice of tokens": about["tokens"]}
        return told | {"choice of blocks": about["blocks"], "size of images": about["size"]}
    except (ValueError, LookupError, TypeError):  # another kind of file, or none; the error comes later
        return {}


def matched(train: Columns, test: Columns | None) -> tuple[Columns, Columns, list[str]]:
    """Makes the two splits that protocols see: rows with labels, their classes numbered alike.

    Without test rows, a stratified tenth of the training rows is held out. Where there are no labels at all,
    all rows stay.

    Args:
        train: The training split.
        test: The test split, None where there is none.
    Returns:
        (training rows, test rows, sentences for the reader).
    """
    notes = []
    if test is None:
        held = held_out(train.labels)
        train, test = train.some(~held), train.some(held)
        if held.any():
            notes.append(
                f"there is no test split: {held.sum():,} training images, a stratified tenth, are held out"
            )
    labels, sentences = renumbered(test.labels, test.class_names, train.class_names)
    test = test._replace(labels=labels, class_names=train.class_names)
    if (train.labels < 0).all():
        return train, test, notes
    train, test = train.some(train.labels >= 0), test.some(test.labels >= 0)
    absent = np.setdiff1d(np.arange(len(train.class_names)), train.labels)
    if len(absent):
        shown = ", ".join(train.class_names[i] for i in absent[:5]) + (" ..." if len(absent) > 5 else "")
        sentences.append(
            f"there are no training images of {len(absent)} classes ({shown}); "
            f"their {np.isin(test.labels, absent).sum():,} test images count as wrong"
        )
    return train, test, notes + sentences


def met_before(train: Columns, test: Columns) -> list[str]:
    """Says how many test images are training images too, by their features.

    Args:
        train, test: Rows of the two splits.
    Returns:
        A sentence for the reader, or none.
    """
    same = shared(train.features, test.features)
    words = "test images have the very features of training images: the same images, or alike to the network"
    return [f"{same:,} of {len(test.features):,} {words}"] if same else []
