"""The table that every run prints: what was learned beside raw pixels and the same network with random weights."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jssl.evaluate.extract import extract_features, to_float
from jssl.evaluate.protocols.knn import knn_accuracy
from jssl.evaluate.protocols.linear import linear_probe


class Labelled(NamedTuple):
    """What a probe is trained or tested on: values [N, ...], features or images, and labels [N] in [0, classes)."""

    values: Any
    labels: Any


class Scores(NamedTuple):
    """Top-1 accuracies in [0, 1] of the two probes."""

    knn: float
    linear: float


def probe(
    train: Labelled, test: Labelled, *, classes: int, k: int = 20, temperature: float = 0.07, **linear
) -> Scores:
    """Both probes on frozen features.

    train, test:    `Labelled` features, [N, D] and [M, D].
    classes:        number of classes.
    k, temperature: of `knn_classify`; k is cut to the number of training rows.
    linear:         settings of `linear_probe`, such as steps.

    Returns: `Scores` as Python floats.
    Raises:  ValueError as the probes do.
    Source:  DINO's evaluations, arXiv:2104.14294.

    >>> import jax.numpy as jnp
    >>> rows = Labelled(jnp.eye(2).repeat(20, 0), jnp.arange(2).repeat(20))
    >>> probe(rows, rows, classes=2, steps=5)
    Scores(knn=1.0, linear=1.0)
    """
    neighbours = dict(k=min(k, len(train.values)), temperature=temperature)
    knn = knn_accuracy(*train, *test, classes=classes, **neighbours)
    return Scores(float(knn), float(linear_probe(*train, *test, classes=classes, **linear).accuracy))


def probe_network(
    features_fn: Callable[[jax.Array], jax.Array],
    train: Labelled,
    test: Labelled,
    *,
    classes: int,
    batch: int = 256,
    view: Callable[[jax.Array], jax.Array] | None = None,
    **settings,
) -> Scores:
    """Both probes on a network's features of images.

    features_fn, batch, view: as in `extract_features`; features_fn returns [batch, D].
    train, test:              `Labelled` images, [N, H, W, C] and [M, H, W, C].
    classes, settings:        as in `probe`.

    Returns: `Scores`.
    Raises:  ValueError as the probes do.
    Source:  arXiv:2104.14294.
    """

    def embed(part):
        return part._replace(values=extract_features(features_fn, part.values, batch=batch, view=view))

    return probe(embed(train), embed(test), classes=classes, **settings)


def probe_pixels(
    train: Labelled, test: Labelled, *, classes: int, side: int = 32, **settings
) -> dict[str, Scores]:
    """Both probes on the images themselves, as they are and with the mean training image subtracted.

    train, test:       `Labelled` images, [N, H, W, C] and [M, H, W, C].
    side:              larger images are first resized to side x side.
    classes, settings: as in `probe`.

    Returns: {"raw pixels": Scores, "raw pixels, centred": Scores}; the linear probe standardises, so it is the same.
    Raises:  ValueError as the probes do.
    """
    a, b = (pixels(part.values, side=side) for part in (train, test))
    raw = probe(train._replace(values=a), test._replace(values=b), classes=classes, **settings)
    mean = a.mean(axis=0)
    neighbours = {name: settings[name] for name in ("k", "temperature") if name in settings}
    neighbours["k"] = min(neighbours.get("k", 20), len(a))
    centred = knn_accuracy(a - mean, train.labels, b - mean, test.labels, classes=classes, **neighbours)
    return {"raw pixels": raw, "raw pixels, centred": raw._replace(knn=float(centred))}


def pixels(images: jax.Array | np.ndarray, *, side: int = 32) -> jax.Array:
    """Images as vectors, made no larger than side x side.

    images: [N, H, W, C].

    Returns: [N, D] floats in [0, 1], D = min(H, side) * min(W, side) * C.

    >>> pixels(np.zeros((2, 64, 16, 3), np.uint8)).shape
    (2, 1536)
    """
    _, height, width, channels = images.shape
    size = min(height, side), min(width, side), channels

    def shrink(some):
        some = to_float(some)
        return some if some.shape[1:] == size else jax.image.resize(some, (len(some), *size), "linear")

    return extract_features(lambda some: some.reshape(len(some), -1), images, view=shrink)


def probe_table(
    learned: Callable[[jax.Array], jax.Array],
    random: Callable[[jax.Array], jax.Array],
    train: Labelled,
    test: Labelled,
    *,
    classes: int,
    **settings,
) -> dict[str, Scores]:
    """Raw pixels, the random network and what was learned, under the same probes.

    learned, random: features_fn of the trained network and of the same one as initialised, as in `extract_features`.
    train, test:     `Labelled` images.
    classes:         number of classes; settings: batch and view of `extract_features`, and those of `probe`.

    Returns: {name: Scores} in the order to print; `format_table` prints it.
    Raises:  ValueError as the probes do.
    """
    network = dict(classes=classes, **settings)
    plain = {name: value for name, value in network.items() if name not in ("batch", "view")}
    return {
        **probe_pixels(train, test, **plain),
        "random network": probe_network(random, train, test, **network),
        "learned": probe_network(learned, train, test, **network),
    }


def format_table(table: Mapping[str, Scores]) -> str:
    """The table as text, in percent.

    Returns: lines of equal width.

    >>> print(format_table({"raw pixels": Scores(0.13, 0.2), "learned": Scores(0.7, 0.8)}))
                  kNN  linear
    raw pixels   13.0    20.0
    learned      70.0    80.0
    """
    width = max(map(len, table))
    rows = [
        f"{name:<{width}}  {100 * scores.knn:5.1f}  {100 * scores.linear:6.1f}"
        for name, scores in table.items()
    ]
    return "\n".join([f"{'':<{width}}  {'kNN':>5}  {'linear':>6}", *rows])
