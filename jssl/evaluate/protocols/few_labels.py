"""Few labels: a share of the training images of each class, or a handful."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import similarity, unit
from jssl.data.splits import balanced
from jssl.evaluate.protocols.base import LABELLED, Protocol
from jssl.evaluate.protocols.logistic import logistic_probe


def low_shot(
    *,
    shares: Sequence[float] = (0.01, 0.1),
    draws: int = 3,
    strength: float = 400.0,
    iterations: int = 300,
    seed: int = 0,
) -> Protocol:
    """Makes the protocol of 1 % and 10 % of the labels: logistic regression on a share of each class.

    A larger share holds all images of a smaller one. Features are centred and scaled to unit length, row by
    row, as in MSN, whose regression has no intercept; here there is one. SimCLR's lists of ImageNet's images
    are one draw; here there are several.

    Args:
        shares: Of the training images of each class; the first is the main one.
        draws: Different choices of images.
        strength: C of `logistic_probe`: the inverse of the weight decay in MSN's README, 0.0025, which its
            code divides by the number of images.
        iterations: The most steps of L-BFGS.
        seed: Of the first draw.
    Returns:
        The `Protocol` "low_shot" with "p1_top1", the mean over draws at 1 %, "p1_spread", the deviation over
        draws, and so on.
    Raises:
        ValueError: for shares outside (0, 1], or numbers that are not above 0.
    References:
        arXiv:2002.05709; facebookresearch/msn, README.md and logistic_eval.py
    """
    check_positive(draws=draws, strength=strength, iterations=iterations)
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ValueError(f"low_shot: shares must hold numbers above 0 and at most 1, got {tuple(shares)}")

    def run(train_features, train_labels, test_features, test_labels, classes):
        train, test = map(_row_normalised, _checked(train_features, test_features))
        labels = np.asarray(train_labels)
        probe = dict(classes=classes, strengths=(strength,), iterations=iterations)
        found = {}
        for share in shares:
            tops = []
            for draw in range(seed, seed + draws):
                rows = balanced(labels, share=share, seed=draw)
                probed = logistic_probe(train[rows], labels[rows], test, test_labels, **probe)
                tops.append(float(probed.accuracy))
            found |= {f"p{100 * share:g}_top1": np.mean(tops), f"p{100 * share:g}_spread": np.std(tops)}
        return found

    settings = dict(shares=tuple(shares), draws=draws, strength=strength, iterations=iterations, seed=seed)
    return Protocol("low_shot", LABELLED, run, main=f"p{100 * shares[0]:g}_top1", settings=settings)


def k_shot(*, shots: Sequence[int] = (1, 2, 5), draws: int = 100, seed: int = 0) -> Protocol:
    """Makes the few-shot protocol: a few images of every class, whose means classify all test images.

    With one image per class it is the nearest neighbour.

    Args:
        shots: Images per class; the first is the main one. All of a class that has fewer.
        draws: Different choices of images.
        seed: Of the first draw.
    Returns:
        The `Protocol` "k_shot" with "n1_top1", the mean over draws with one image per class, "n1_interval",
        half the width of its 95 % interval, and so on.
    Raises:
        ValueError: for numbers that are not above 0.
    References:
        MSN, arXiv:2204.07141; prototypes as linusericsson/ssl-transfer, few_shot.py, arXiv:2011.13377
    """
    check_positive(shots=min(shots, default=0), draws=draws)

    def run(train_features, train_labels, test_features, test_labels, classes):
        labels = np.asarray(train_labels)
        train, test = map(unit, _checked(train_features, test_features))
        found = {}
        for count in shots:
            rows = [balanced(labels, per_class=count, seed=draw) for draw in range(seed, seed + draws)]
            tops = np.asarray(
                _prototype_top1(train, labels, test, jnp.asarray(test_labels), np.stack(rows), classes)
            )
            interval = 1.96 * tops.std() / len(tops) ** 0.5
            found |= {f"n{count}_top1": tops.mean(), f"n{count}_interval": interval}
        return found

    settings = dict(shots=tuple(shots), draws=draws, seed=seed)
    return Protocol("k_shot", LABELLED, run, main=f"n{shots[0]}_top1", settings=settings)


def _checked(train_features, test_features) -> list[jax.Array]:
    """Features in float32 at least: the squares of half precision overflow at a length of 256."""
    return check(train_features=(train_features, "N D"), test_features=(test_features, "M D"))


def _row_normalised(x: jax.Array) -> jax.Array:
    return unit(x - x.mean(axis=1, keepdims=True))


@partial(jax.jit, static_argnums=5)
def _prototype_top1(train, labels, test, test_labels, rows, classes):
    """Accuracies [draws] of nearest class means, over rows [draws, shots * classes] of the training split."""
    labels = jnp.asarray(labels)

    def one(rows):
        chosen = jax.nn.one_hot(labels[rows], classes, axis=0)
        count = chosen.sum(axis=1)
        means = similarity(chosen, train[rows].T) / jnp.maximum(count, 1)[:, None]
        distances = jnp.sum(means**2, axis=1) - 2 * similarity(test, means)
        distances = jnp.where(count > 0, distances, jnp.inf)  # a class without images is never predicted
        return jnp.mean(jnp.argmin(distances, axis=1) == test_labels)

    return jax.lax.map(one, jnp.asarray(rows))
