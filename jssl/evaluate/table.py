"""The table that every run prints: the trained network beside raw pixels and the same network with random
weights.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jssl.data.augment.base import as_float
from jssl.evaluate.extract import extract_features
from jssl.evaluate.protocols.base import Labelled, Protocol, heading, score, shown
from jssl.evaluate.protocols.knn import knn_protocol
from jssl.evaluate.protocols.linear import linear_protocol

Table = Mapping[str, Mapping[str, float]]
"""{row: {metric: value}}, in the order to print."""

RAW, CENTRED, RANDOM, LEARNED = "raw pixels", "raw pixels, centred", "random network", "learned"  # rows
CHANCE = "chance"  # the row of a guess's accuracy in a method's own task

USUAL = (knn_protocol(), linear_protocol())


def score_network(
    features_fn: Callable[[jax.Array], jax.Array],
    train: Labelled,
    test: Labelled,
    *,
    classes: int,
    protocols: Sequence[Protocol] = USUAL,
    batch: int | None = None,
    view: Callable[[jax.Array], jax.Array] | None = None,
) -> dict[str, float]:
    """Runs protocols on a network's features of images.

    Args:
        features_fn: As in `extract_features`, returning [batch, D].
        train: Images [N, H, W, C] and their labels.
        test: Images [M, H, W, C] and their labels.
        classes: Number of classes.
        protocols: Those that need features and labels.
        batch: As in `extract_features`.
        view: As in `extract_features`.
    Returns:
        {metric: value}, as `score`.
    Raises:
        ValueError: as the protocols do.
    """
    a, b = (extract_features(features_fn, part.values, batch=batch, view=view) for part in (train, test))
    labels = dict(train_labels=train.labels, test_labels=test.labels, classes=classes)
    return score(protocols, train_features=a, test_features=b, **labels)


def score_pixels(
    train: Labelled, test: Labelled, *, classes: int, protocols: Sequence[Protocol] = USUAL, side: int = 32
) -> dict[str, dict[str, float]]:
    """Runs protocols on the images themselves, as they are and with the mean training image subtracted.

    Args:
        train: Images [N, H, W, C] and their labels.
        test: Images [M, H, W, C] and their labels.
        classes: Number of classes.
        protocols: Those that need features and labels.
        side: Larger images are first resized to side x side.
    Returns:
        {"raw pixels": metrics, "raw pixels, centred": metrics}; protocols that standardise have the same in
        both.
    Raises:
        ValueError: as the protocols do.
    """
    a, b = (pixels(part.values, side=side) for part in (train, test))
    labels = dict(train_labels=train.labels, test_labels=test.labels, classes=classes)
    raw = score(protocols, train_features=a, test_features=b, **labels)
    moved = [protocol for protocol in protocols if not protocol.standardises]
    mean = a.mean(axis=0)
    centred = score(moved, train_features=a - mean, test_features=b - mean, **labels)
    return {RAW: raw, CENTRED: raw | centred}


def pixels(images: jax.Array | np.ndarray, *, side: int = 32) -> jax.Array:
    """Flattens images to vectors, after resizing those larger than side x side.

    Args:
        images: [N, H, W, C].
        side: The most rows and columns.
    Returns:
        [N, D] floats in [0, 1], D = min(H, side) * min(W, side) * C.
    Examples:
        >>> pixels(np.zeros((2, 64, 16, 3), np.uint8)).shape
        (2, 1536)
    """
    _, height, width, channels = images.shape
    size = min(height, side), min(width, side), channels

    return extract_features(_flat, images, view=jax.tree_util.Partial(partial(_shrunk, size=size)))


def _flat(images):
    return images.reshape(len(images), -1)


def _shrunk(images, *, size):
    images = as_float(images)
    return images if images.shape[1:] == size else jax.image.resize(images, (len(images), *size), "linear")


def score_table(
    learned: Callable[[jax.Array], jax.Array],
    random: Callable[[jax.Array], jax.Array],
    train: Labelled,
    test: Labelled,
    *,
    classes: int,
    protocols: Sequence[Protocol] = USUAL,
    **extraction,
) -> dict[str, dict[str, float]]:
    """Runs the same protocols on raw pixels, the random network and the trained one.

    Args:
        learned: features_fn of the trained network, as in `extract_features`.
        random: features_fn of the same network as initialised.
        train: Images and their labels.
        test: Images and their labels.
        classes: Number of classes.
        protocols: Those that need features and labels.
        **extraction: batch and view of `extract_features`.
    Returns:
        {row: {metric: value}} in the order to print; `format_table` prints it.
    Raises:
        ValueError: as the protocols do.
    """
    settings: dict[str, Any] = dict(classes=classes, protocols=protocols)
    return {
        **score_pixels(train, test, **settings),
        RANDOM: score_network(random, train, test, **settings, **extraction),
        LEARNED: score_network(learned, train, test, **settings, **extraction),
    }


def metrics_of(table: Table) -> list[str]:
    """Lists the metrics of a table: every row's, in the order of their first appearance.

    Examples:
        >>> metrics_of({"raw pixels": {"knn_top1": 0.1}, "learned": {"knn_top1": 0.7, "depth_rmse": 0.2}})
        ['knn_top1', 'depth_rmse']
    """
    return list(dict.fromkeys(metric for row in table.values() for metric in row))


def format_table(table: Table) -> str:
    """Writes the table as text, accuracies in percent; a row without a metric has a dash there.

    Args:
        table: {row: {metric: value}}.
    Returns:
        Lines of equal width.
    Examples:
        >>> learned = {"knn_top1": 0.7, "linear_top1": 0.8}
        >>> print(format_table({"raw pixels": {"knn_top1": 0.13}, "learned": learned}))
                    kNN top-1, %  linear top-1, %
        raw pixels          13.0                -
        learned             70.0             80.0
    """
    metrics = metrics_of(table)
    cells = [["", *map(heading, metrics)]]
    cells += [[row, *(shown(m, v[m]) if m in v else "-" for m in metrics)] for row, v in table.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    )
