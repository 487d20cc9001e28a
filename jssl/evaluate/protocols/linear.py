"""The linear probe on frozen features: a sweep trained all at once, the best setting chosen on held-out
rows.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.checks import check_positive
from jssl.evaluate.protocols.base import LABELLED, Protocol, check_labels, checked, settings_of
from jssl.evaluate.protocols.heads import PART, ROWS
from jssl.optim.schedules import cosine
from jssl.sharding import make_mesh, replicated, rows_over


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
    """Trains softmax regression on standardised features; held-out rows choose its setting, and the test rows
    are used once.

    SGD with momentum 0.9 and a cosine to 0, as is usual for linear evaluation; all |learning_rates| *
    |weight_decays| settings share each batch, so that a sweep is one matrix product per step. The same
    arguments give the same numbers. Rows on the host stay there: they come to the devices part by part, each
    batch spread over all of them.

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
        ValueError: for wrong shapes, labels out of range, an empty grid, or a training set too small to
            split.
    References:
        The protocol of SimCLR, BYOL and DINO: arXiv:2002.05709, arXiv:2104.14294
    Examples:
        >>> features, labels = jnp.array([[0.0], [1.0]] * 20), jnp.array([0, 1] * 20)
        >>> float(linear_probe(features, labels, features, labels, classes=2, steps=20).accuracy)
        1.0
    """
    given = train_features, train_labels, test_features, test_labels
    on_host = isinstance(train_features, np.ndarray) and isinstance(test_features, np.ndarray)
    arrays: Any = tuple(map(np.asarray, given)) if on_host else checked(*given)
    if on_host:
        jax.eval_shape(checked, *arrays)  # checks their shapes alone
    check_positive(classes=classes, steps=steps, batch=batch)
    check_labels(classes, train_labels=train_labels, test_labels=test_labels)
    if not (learning_rates and weight_decays):
        raise ValueError("linear_probe: learning_rates and weight_decays must each hold at least one value")
    held_out = round(validation * len(train_features))
    if not 0 < held_out < len(train_features):
        raise ValueError(
            f"linear_probe: validation = {validation} of {len(train_features)} training rows is {held_out}, "
            "expected at least one row held out and one to train on"
        )
    grid = jnp.array([(rate, decay) for rate in learning_rates for decay in weight_decays])
    batch = min(batch, len(train_features) - held_out)
    probe: Callable[..., LinearProbe] = _from_host if on_host else _linear_probe
    return probe(*arrays, grid, jax.random.key(seed), classes, steps, batch, held_out)


@functools.partial(jax.jit, static_argnames=("classes", "steps", "batch", "held_out"))
def _linear_probe(
    train_features, train_labels, test_features, test_labels, grid, key, classes, steps, batch, held_out
):
    """All in one program, on rows that are on the device."""
    mean, scale = standardising(train_features.mean(axis=0), train_features.std(axis=0))
    held, drawn = _rows_of(key, len(train_features), steps, batch, held_out)
    grid = grid.astype(train_features.dtype)

    def step(carry, now):
        number, rows = now
        x = (train_features[rows] - mean) * scale
        return _step(carry, number, x, train_labels[rows], grid, steps), None

    start = _start(len(grid), train_features.shape[1], classes, grid.dtype)
    trained, _ = jax.lax.scan(step, start, (jnp.arange(steps), drawn))
    kernel, bias = _undone(trained, mean, scale)
    chosen_from = _unless_diverged(
        kernel, _accuracies(kernel, bias, train_features[held], train_labels[held])
    )
    best = jnp.argmax(chosen_from)
    top1 = _accuracies(kernel[best][None], bias[best][None], test_features, test_labels)[0]
    return LinearProbe(top1, chosen_from, *grid[best], kernel[best], bias[best])


def _from_host(
    train_features, train_labels, test_features, test_labels, grid, key, classes, steps, batch, held_out
):
    """The same on rows that stay on the host: they come to the devices part by part, spread over all."""
    mesh, (count, width) = make_mesh(), train_features.shape
    parts = [slice(at, at + ROWS) for at in range(0, count, ROWS)]
    total = sum(train_features[part].sum(axis=0, dtype=np.float64) for part in parts)
    squares = sum(
        ((train_features[part] - total / count) ** 2).sum(axis=0, dtype=np.float64) for part in parts
    )
    moments = jnp.asarray(total / count, jnp.float32), jnp.asarray((squares / count) ** 0.5, jnp.float32)
    whole = replicated(mesh)
    mean, scale, grid = jax.device_put((*standardising(*moments), grid), whole)
    held, drawn = map(np.asarray, _rows_of(key, count, steps, batch, held_out))
    trained = jax.device_put(_start(len(grid), width, classes, grid.dtype), whole)
    size = -(-steps // -(-steps * batch * width // PART))  # steps that go to the devices together
    for at in range(0, steps, size):
        rows = drawn[at : at + size]
        x, y = (rows_over(mesh, some[rows], axis=1, pad=False) for some in (train_features, train_labels))
        trained = _steps(trained, at, x, y, mean, scale, grid, steps)
    kernel, bias = _undone(trained, mean, scale)

    def accuracies(kernel, bias, features, labels):
        right = 0.0
        for part in (slice(at, at + ROWS) for at in range(0, len(labels), ROWS)):
            x, y = rows_over(mesh, features[part]), rows_over(mesh, labels[part])
            there = rows_over(mesh, np.ones(len(labels[part]), np.float32))
            right += jax.block_until_ready(_right(kernel, bias, x, y, there))  # one at a time, as features
        return right / len(labels)

    chosen_from = _unless_diverged(kernel, accuracies(kernel, bias, train_features[held], train_labels[held]))
    best = jnp.argmax(chosen_from)
    top1 = accuracies(kernel[best][None], bias[best][None], test_features, test_labels)[0]
    return LinearProbe(top1, chosen_from, *grid[best], kernel[best], bias[best])


def standardising(mean, deviation):
    """(mean, factor) that standardise features; the factor of a constant dimension is 0."""
    return mean, jnp.where(deviation > 1e-6 * jnp.max(deviation), 1 / deviation, 0.0)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _rows_of(key, count, steps, batch, held_out):
    """Numbers of the rows that are held out, and of those of each step [steps, batch]."""
    order_key, batch_key = jax.random.split(key)
    order = jax.random.permutation(order_key, count)
    held, rest = order[:held_out], order[held_out:]
    keys = jax.vmap(functools.partial(jax.random.fold_in, batch_key))(jnp.arange(steps))
    return held, rest[jax.vmap(lambda key: jax.random.randint(key, (batch,), 0, len(rest)))(keys)]


def _start(settings, width, classes, dtype):
    """Weights and velocities of all settings: zeros."""
    weights = jnp.zeros((settings, width, classes), dtype), jnp.zeros((settings, classes), dtype)
    return weights, jax.tree.map(jnp.zeros_like, weights)


def _step(carry, number, x, labels, grid, steps):
    """One step of all settings on a batch of standardised rows."""
    weights, velocity = carry
    rates, decays = grid.T

    def loss(weights):  # the sum over settings, whose gradients are independent
        kernel, bias = weights
        log_probabilities = jax.nn.log_softmax(jnp.einsum("bd,sdk->sbk", x, kernel) + bias[:, None])
        nll = -jnp.take_along_axis(log_probabilities, labels[None, :, None], axis=-1).mean(axis=(1, 2))
        return jnp.sum(nll + decays / 2 * jnp.sum(kernel**2, axis=(1, 2)))

    velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, jax.grad(loss)(weights))
    rate = cosine(1.0, 0.0, steps)(number) * rates
    weights = jax.tree.map(lambda w, v: w - rate.reshape(-1, *[1] * (w.ndim - 1)) * v, weights, velocity)
    return weights, velocity


@functools.partial(jax.jit, static_argnames="steps", donate_argnums=0)
def _steps(carry, first, x, labels, mean, scale, grid, steps):
    """Steps on batches x [T, B, D], from number `first` on."""

    def step(carry, now):
        number, x, labels = now
        return _step(carry, number, (x.astype(mean.dtype) - mean) * scale, labels, grid, steps), None

    return jax.lax.scan(step, carry, (first + jnp.arange(len(x)), x, labels))[0]


@jax.jit
def _undone(trained, mean, scale):
    """Weights for features that are not standardised."""
    (kernel, bias), _ = trained
    kernel = kernel * scale[:, None]
    return kernel, bias - jnp.einsum("d,sdk->sk", mean, kernel)


def _accuracies(kernel, bias, features, labels):
    return _right(kernel, bias, features, labels, jnp.ones(len(labels))) / len(labels)


@jax.jit
def _right(kernel, bias, features, labels, there):
    """The number of rows that each setting classifies correctly, where `there` is 1."""
    return jax.lax.map(
        lambda one: there @ (jnp.argmax(features @ one[0] + one[1], -1) == labels), (kernel, bias)
    )


def _unless_diverged(kernel, accuracies):
    return jnp.where(jnp.all(jnp.isfinite(kernel), axis=(1, 2)), accuracies, 0.0)
