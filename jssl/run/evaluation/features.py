"""Features that protocols look at: computed once and kept by what they are of, so that the next one finds
them.
"""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jssl.arrays.trees import names
from jssl.data.reading.records import Records, Some
from jssl.data.sources.folder import Files
from jssl.data.splits import held_out, renumbered
from jssl.run.evaluation.baselines import take_in, user_cache
from jssl.run.evaluation.embed import embed
from jssl.weights.loaded import Loaded
from jssl.weights.own import about

FORM = 3  # of what is kept; another number computes everything anew
SAMPLED = 64  # records whose bytes tell one data set from another, where reading all of them takes long


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
    """Says where features are kept: in the user's cache directory, unless another is given."""
    return user_cache() / "features" if directory is None else Path(directory)


def computed(
    loaded: Loaded,
    records: Records,
    *,
    tokens: str,
    size: int | None = None,
    batch: int = 64,
    directory: Path,
    say: Callable[[str], None] = lambda text: None,
    bar: bool = False,
) -> Columns:
    """Computes the features of all records, or finds them where they were kept.

    Args:
        loaded: The network.
        records: The images.
        tokens, size, batch, say, bar: As `embed`.
        directory: Where they are kept, by the content of network and data.
    Returns:
        `Columns`.
    Raises:
        ValueError: as `embed`.
    """
    asked = f"{FORM} {tokens} {size} {mark_of_network(loaded)} {mark_of_data(records)}"
    kept = directory / f"{hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()}.npz"
    if not kept.exists():
        directory.mkdir(parents=True, exist_ok=True)
        embed(loaded, records, kept, tokens=tokens, size=size, batch=batch, say=say, bar=bar)
    return read_columns(kept)


def read_columns(path: str | Path) -> Columns:
    """Reads a file of features, as `jssl embed` writes it.

    Args:
        path: Of the file: `features`, and perhaps `labels` and `class_names`.
    Returns:
        `Columns`.
    Raises:
        ValueError: for a file without features, or labels of another length.
    """
    try:
        with np.load(path) as file:
            held = {
                name: file[name] for name in ("features", "labels", "class_names", "names") if name in file
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as features: {' '.join(str(error).split())}") from None
    if "features" not in held:
        raise ValueError(f"{path} holds no features; `jssl embed` writes such files")
    features = held["features"]
    labels = held.get("labels", np.full(len(features), -1)).astype(np.int32)
    if features.ndim < 2 or labels.shape != (len(features),):
        raise ValueError(
            f"{path}: features have shape {features.shape} and labels {labels.shape}, expected [N, D] and [N]"
        )
    classes = tuple(str(name) for name in held.get("class_names", ()))
    classes = classes or tuple(map(str, range(labels.max(initial=-1) + 1)))
    return Columns(features, labels, classes, held.get("names"))


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


def mark_of_network(loaded: Loaded) -> str:
    """Gives a network a mark that changes with its numbers, its architecture and its preprocessing.

    Args:
        loaded: The network.
    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        digest.update(json.dumps(about(loaded.encoder, loaded.preprocess), sort_keys=True).encode())
    except ValueError:  # a network of the user's own that has no name
        shown = f"{loaded.encoder!r} {loaded.preprocess!r}"
        digest.update(re.sub(r" at 0x[0-9a-f]+", "", shown).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(loaded.variables):
        digest.update(f"{names(path)}".encode())
        take_in(digest, leaf)
    return digest.hexdigest()


def mark_of_data(records: Records) -> str:
    """Gives records a mark: of images in memory by all their bytes, of files by name, size and time.

    Args:
        records: The images.
    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{type(records).__name__} {len(records)} {records.class_names}".encode())
    source: Any = getattr(records, "source", None)
    if isinstance(records, Some):
        digest.update(mark_of_data(records.records).encode() + np.asarray(records.rows, np.int64).tobytes())
    elif hasattr(source, "columns"):
        for name, column in source.columns.items():
            digest.update(name.encode())
            take_in(digest, column)
    elif isinstance(records, Files):
        for path, label in zip(records.paths, records.labels, strict=True):
            found = os.stat(os.path.join(records.root, path))
            digest.update(f"{path!r} {label} {found.st_size} {found.st_mtime_ns}".encode())
    else:
        for number in np.linspace(0, len(records) - 1, min(SAMPLED, len(records))).astype(int):
            image = records[int(number)]["image"]
            digest.update(records.describe(int(number)).encode())
            digest.update(image if isinstance(image, bytes) else np.asarray(image).tobytes())
    return digest.hexdigest()
