"""The scores of raw pixels on a data set: computed once, and cached by content in the user's directory."""

import hashlib
import inspect
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jssl.evaluate import Labelled, Protocol, score_pixels
from jssl.evaluate.table import Table


def user_cache() -> Path:
    """Returns the directory of cached results: $XDG_CACHE_HOME/jssl, ~/.cache/jssl by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jssl"


def pixel_scores(train: Labelled, test: Labelled, *, classes: int, protocols: Sequence[Protocol]) -> Table:
    """Runs protocols on raw pixels, as `score_pixels`, or reads their cached scores on the same data.

    The file's name is a hash of everything that could change a number: the images, the labels, the protocols'
    code and settings, and jax's version.

    Args:
        train: Images [N, H, W, C] and their labels.
        test: Images [M, H, W, C] and their labels.
        classes: Number of classes.
        protocols: Those that need features and labels.
    Returns:
        The table of `score_pixels`.
    """
    name = content_name(train, test, classes=classes, protocols=protocols)
    path = user_cache() / "baselines" / f"{name}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):  # not there, or not whole
        table = score_pixels(train, test, classes=classes, protocols=protocols)
    _keep(path, json.dumps(table))
    return table


def content_name(train: Labelled, test: Labelled, *, classes: int, protocols: Sequence[Protocol]) -> str:
    """Makes a hash of everything that the result of `pixel_scores` depends on.

    Args:
        train, test, classes, protocols: As in `pixel_scores`.
    Returns:
        32 hexadecimal digits.
    Examples:
        >>> some = Labelled(np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]))
        >>> len(content_name(some, some, classes=2, protocols=()))
        32
    """
    digest = hashlib.blake2b(digest_size=16)
    about = [jax.__version__, classes, *map(_described, protocols), inspect.getsource(score_pixels)]
    digest.update(json.dumps(about).encode())
    for values in (*train, *test):
        take_in(digest, values)
    return digest.hexdigest()


def take_in(digest: Any, values: Any) -> None:
    """Adds an array to a digest of hashlib: its type, its shape and all of its bytes."""
    array = np.ascontiguousarray(values)
    digest.update(f"{array.dtype}{array.shape}".encode())
    digest.update(array.reshape(-1).view(np.uint8).data)


def _described(protocol: Protocol) -> list[str]:
    """A protocol's name, the code of its module and the settings that it was made with."""
    run = inspect.unwrap(getattr(protocol.run, "func", protocol.run))
    settings = [repr(getattr(protocol.run, part, None)) for part in ("args", "keywords")]
    settings += [f"{name}={value!r}" for name, value in inspect.getclosurevars(run).nonlocals.items()]
    return [protocol.name, inspect.getsource(inspect.getmodule(run) or run), *settings]


def _keep(path: Path, text: str) -> None:
    """Writes a file completely or not at all; a failure is ignored."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(f".{os.getpid()}.new")
        whole.write_text(text)
        whole.replace(path)
    except OSError:
        pass
