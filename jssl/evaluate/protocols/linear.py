"""The linear probe on frozen features: a sweep trained all at once, the best setting chosen on held-out
rows.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.evaluate.protocols.base import LABELLED, Protocol, settings_of
from jssl.optim.schedules import cosine


class LinearProbe(NamedTuple):
    """A trained probe: logits = features @ kernel + bias, standardisation included.

    Attributes:
        accuracy: [] top-1 on the test rows, of the setting chosen.
        validation: [S] top-1 of each setting on the rows held out of training.
        learning_rate: [] of the setting chosen.
        weight_decay: [] of the setting chosen.
        kernel: [D, classes].
        bias: [classes].
    """

    accuracy: jax.Array
    validation: jax.Array
    learning_rate: jax.Array
    weight_decay: jax.Array
    kernel: jax.Array
    bias: jax.Array


def linear_protocol(**settings) -> Protocol:
    """Makes the linear protocol: top-1 accuracy of `linear_probe`.

    Args:
        **settings: Keyword arguments of `linear_probe`, such as steps.
    Returns:
        The `Protocol` "linear" with the metric "top1".
    Raises:
        ValueError: for a setting that the probe does not have.
    References:
        arXiv:2104.14294
    """

    def run(train_features, train_labels, test_features, test_labels, classes):
        arrays = train_features, train_labels, test_features, test_labels
        return {"top1": linear_probe(*arrays, classes=classes, **settings).accuracy}

    chosen = settings_of(linear_probe, settings, of="linear")
    return Protocol("linear", LABELLED, run, settings=chosen, standardises=True)


def linear_probe(
    train_features: jax.Array,
    train_labels: jax.Array,
    test_features: jax.Array,
    test_labels: jax.Array,
    *,
    classes: int,
    learning_rates: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0),
    weight_decays: Sequence[float] = (0.0, 1e-3, 1e-2),
    steps: int = 1000,
    batch: int = 512,
    validation: float = 0.1,
    seed: int = 0,
) -> LinearProbe:
    """Trains softmax regression on standardised features; held-out rows choose its setting, which sees the
    test rows once.

    SGD with momentum 0.9 and a cosine to 0, as the field's linear evaluation; all |learning_rates| *
    |weight_decays| settings share each batch, so that a sweep is one matrix product per step. Same arguments,
    same numbers.

    Args:
        train_features: [N, D] frozen features, standardised here by the training rows.
        train_labels: [N] integers in [0, classes).
        test_features: [M, D].
        test_labels: [M] integers in [0, classes).
        classes: Number of classes.
        learning_rates: One side of the grid.
        weight_decays: The other side: L2 penalties on the kernel.
        steps: Optimiser steps.
        batch: Rows per step, at most those that there are, drawn with replacement.
        validation: Share of the training rows, in (0, 1), held out to choose the setting.
        seed: Of the split and of the batches.
    Returns:
        A `LinearProbe`.
    Raises:
        ValueError: for wrong shapes, an empty grid, or a training set too small to split.
    References:
        The protocol of SimCLR, BYOL and DINO: arXiv:2002.05709, arXiv:2104.14294
    Examples:
        >>> features, labels = jnp.array([[0.0], [1.0]] * 20), jnp.array([0, 1] * 20)
        >>> float(linear_probe(features, labels, features, labels, classes=2, steps=20).accuracy)
        1.0
    """
    train_features, train_labels, test_features, test_labels = check(
        train_features=(train_features, "N D"),
        train_labels=(train_labels, "N", int),
        test_features=(test_features, "M D"),
        test_labels=(test_labels, "M", int),
    )
    check_positive(classes=classes, steps=steps, batch=batch)
    if not (learning_rates and weight_decays):
        raise ValueError("linear_probe: learning_rates and weight_decays must each hold at least one value")
    held_out = round(validation * len(train_features))
    if not 0 < held_out < len(train_features):
        raise ValueError(
            f"linear_probe: validation = {validation} of {len(train_features)} training rows is {held_out}, "
            "expected at least one row held out and one to train on"
        )
    grid = jnp.array([(rate, decay) for rate in learning_rates for decay in weight_decays])
    arrays = train_features, train_labels, test_features, test_labels
    batch = min(batch, len(train_features) - held_out)
    return _linear_probe(*arrays, grid, jax.random.key(seed), classes, steps, batch, held_out)


@functools.partial(jax.jit, static_argnames=("classes", "steps", "batch", "held_out"))
def _linear_probe(
    train_features, train_labels, test_features, test_labels, grid, key, classes, steps, batch, held_out
):
    mean, deviation = train_features.mean(axis=0), train_features.std(axis=0)
    scale = jnp.where(
        deviation > 1e-6 * jnp.max(deviation), 1 / deviation, 0.0
    )  # a dead dimension says nothing
    order_key, batch_key = jax.random.split(key)
    order = jax.random.permutation(order_key, len(train_features))
    held, rest = order[:held_out], order[held_out:]
    rates, decays = grid.T.astype(train_features.dtype)
    decline = cosine(1.0, 0.0, steps)

    def loss(weights, x, labels):  # the sum over settings: their gradients do not meet
        kernel, bias = weights
        log_probabilities = jax.nn.log_softmax(jnp.einsum("bd,sdk->sbk", x, kernel) + bias[:, None])
        nll = -jnp.take_along_axis(log_probabilities, labels[None, :, None], axis=-1).mean(axis=(1, 2))
        return jnp.sum(nll + decays / 2 * jnp.sum(kernel**2, axis=(1, 2)))

    def step(i, carry):
        weights, velocity = carry
        rows = rest[jax.random.randint(jax.random.fold_in(batch_key, i), (batch,), 0, len(rest))]
        gradients = jax.grad(loss)(weights, (train_features[rows] - mean) * scale, train_labels[rows])
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, gradients)
        rate = decline(i) * rates
        weights = jax.tree.map(lambda w, v: w - rate.reshape(-1, *[1] * (w.ndim - 1)) * v, weights, velocity)
        return weights, velocity

    settings, width = len(grid), train_features.shape[1]
    kernel, bias = (
        jnp.zeros((settings, width, classes), rates.dtype),
        jnp.zeros((settings, classes), rates.dtype),
    )
    start = (kernel, bias), (jnp.zeros_like(kernel), jnp.zeros_like(bias))
    (kernel, bias), _ = jax.lax.fori_loop(0, steps, step, start)
    kernel = kernel * scale[:, None]
    bias = bias - jnp.einsum("d,sdk->sk", mean, kernel)

    def accuracy(features, labels, kernel, bias):
        return jnp.mean(jnp.argmax(features @ kernel + bias, axis=-1) == labels)

    chosen_from = jax.vmap(lambda k, b: accuracy(train_features[held], train_labels[held], k, b))(
        kernel, bias
    )
    diverged = ~jnp.all(jnp.isfinite(kernel), axis=(1, 2))
    chosen_from = jnp.where(diverged, 0.0, chosen_from)
    best = jnp.argmax(chosen_from)
    top1 = accuracy(test_features, test_labels, kernel[best], bias[best])
    return LinearProbe(top1, chosen_from, rates[best], decays[best], kernel[best], bias[best])
