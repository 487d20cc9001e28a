"""Logistic regression on frozen features, to its optimum by L-BFGS on the device."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl.arrays.checks import check_positive
from jssl.evaluate.protocols.base import LABELLED, Protocol, check_labels, checked, settings_of
from jssl.sharding import make_mesh, rows_over

STRENGTHS = tuple(float(c) for c in 10.0 ** np.linspace(-6, 5, 45))  # DINOv2's, `eval/log_regression.py`


class LogisticProbe(NamedTuple):
    """A fitted probe: logits = features @ kernel + bias.

    Attributes:
        accuracy: [] top-1 on the test rows, of the strength chosen.
        validation: [S] top-1 of each strength on the rows held out of fitting; nan where there was nothing to
            choose.
        strength: [] the strength chosen.
        kernel: [D, classes].
        bias: [classes].
    """

    accuracy: jax.Array
    validation: jax.Array
    strength: jax.Array
    kernel: jax.Array
    bias: jax.Array


def logistic_protocol(**settings) -> Protocol:
    """Makes the logistic protocol: top-1 accuracy of `logistic_probe`.

    Args:
        **settings: Keyword arguments of `logistic_probe`, such as strengths.
    Returns:
        The `Protocol` "logistic" with the metric "top1".
    Raises:
        ValueError: for a setting that the probe does not have.
    References:
        arXiv:2304.07193
    """

    def run(train_features, train_labels, test_features, test_labels, classes):
        arrays = train_features, train_labels, test_features, test_labels
        return {"top1": logistic_probe(*arrays, classes=classes, **settings).accuracy}

    chosen = settings_of(logistic_probe, settings, of="logistic")
    return Protocol("logistic", LABELLED, run, settings=chosen, standardises=True)


def logistic_probe(
    train_features: jax.Array,
    train_labels: jax.Array,
    test_features: jax.Array,
    test_labels: jax.Array,
    *,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    validation: float = 0.1,
    iterations: int = 1000,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> LogisticProbe:
    """Fits softmax regression with an L2 penalty; held-out rows choose its strength, all training rows are
    then fitted. Rows on the host are spread over all devices.

    loss(W, b) = C sum_i cross_entropy(x_i W + b, y_i) + |W|^2 / 2, scikit-learn's objective, of the features
    as they are; of two classes the penalty is that of one logit, |w_1 - w_0|^2 / 2. Each C starts from the
    optimum of the smaller one before. The test rows are seen once.

    Args:
        train_features: [N, D] frozen features.
        train_labels: [N] integers in [0, classes).
        test_features: [M, D].
        test_labels: [M] integers in [0, classes).
        classes: Number of classes.
        strengths: Values of C, from small to large; a single one is used as it is.
        validation: Share of the training rows, in (0, 1), held out to choose C.
        iterations: The most steps of L-BFGS for each C.
        tolerance: Largest entry of the gradient at which L-BFGS stops, of the loss per row and in units of
            its curvature.
        seed: Of the split.
    Returns:
        A `LogisticProbe`.
    Raises:
        ValueError: for wrong shapes, labels out of range, no strengths, or too few training rows to hold one
            out.
    References:
        arXiv:2304.07193; arXiv:2011.13377
    Examples:
        >>> features, labels = jnp.array([[0.0], [1.0]] * 20), jnp.array([0, 1] * 20)
        >>> float(logistic_probe(features, labels, features, labels, classes=2).accuracy)
        1.0
    """
    spread = isinstance(train_features, np.ndarray)
    train_features, train_labels, test_features, test_labels = checked(
        train_features, train_labels, test_features, test_labels
    )
    check_positive(classes=classes, iterations=iterations, tolerance=tolerance)
    check_labels(classes, train_labels=train_labels, test_labels=test_labels)
    if not strengths or not all(strength > 0 for strength in strengths):
        raise ValueError(f"logistic_probe: strengths must hold numbers above 0, got {tuple(strengths)}")
    held_out = round(validation * len(train_features))
    if len(strengths) > 1 and not 0 < held_out < len(train_features):
        raise ValueError(
            f"logistic_probe: validation = {validation} of {len(train_features)} training rows is "
            f"{held_out}, expected at least one row held out and one to fit; or give a single strength"
        )
    order = jax.random.permutation(jax.random.key(seed), len(train_features))
    held = jnp.zeros(len(order), bool).at[order[: held_out if len(strengths) > 1 else 0]].set(True)
    train = train_features, train_labels, 1.0 - held, jnp.asarray(held, jnp.float32)
    test = test_features, test_labels, jnp.ones(len(test_labels))
    if spread and (mesh := make_mesh()).size > 1:
        train, test = jax.tree.map(lambda x: rows_over(mesh, np.asarray(x)), (train, test))
    strengths = jnp.array(sorted(strengths), train_features.dtype)
    return _logistic_probe(train, test, strengths, tolerance, classes, iterations)


@functools.partial(jax.jit, static_argnames=("classes", "iterations"))
def _logistic_probe(train, test, strengths, tolerance, classes, iterations):
    """Fits and tests on rows that stay on their devices; weights beside the rows select those that count."""
    features, labels, fitted, held = train
    everyone = fitted + held
    mean = everyone @ features / everyone.sum()
    features, weights = features - mean, (jnp.zeros((len(mean), classes)), jnp.zeros(classes))
    weights = jax.tree.map(lambda x: x.astype(features.dtype), weights)

    def fit(weights, rows, strength):
        return _fit(weights, features, labels, rows, strength, tolerance=tolerance, iterations=iterations)

    def accuracy(weights, features, labels, rows):
        return rows @ (jnp.argmax(_logits(weights, features), axis=-1) == labels) / rows.sum()

    def one(weights, strength):
        weights = fit(weights, fitted, strength)
        return weights, (weights, accuracy(weights, features, labels, held))

    best, found = 0, jnp.full(len(strengths), jnp.nan)
    if len(strengths) > 1:
        _, (path, found) = jax.lax.scan(one, weights, strengths)
        best = jnp.argmax(found)
        weights = jax.tree.map(lambda x: x[best], path)
    kernel, bias = weights = fit(weights, everyone, strengths[best])
    top1 = accuracy(weights, test[0] - mean, *test[1:])
    return LogisticProbe(top1, found, strengths[best], kernel, bias - mean @ kernel)


def _logits(weights, features):
    kernel, bias = weights
    return jnp.matmul(features, kernel, precision="highest") + bias


def _fit(weights, features, labels, rows, strength, *, tolerance, iterations):
    """The optimum for centred features, from these weights on.

    L-BFGS works on the kernel in units of the loss's curvature along each feature, as it is where all classes
    are equally likely, and needs few steps there; the optimum is the same.
    """
    kernel, bias = weights
    chance = (1 - 1 / len(bias)) / len(bias)
    count = rows.sum()
    decay = (2 if len(bias) == 2 else 1) / (strength * count)
    scale = jax.lax.rsqrt(chance * (rows @ features**2) / count + decay)[:, None]

    def loss(scaled):
        kernel, bias = scaled[0] * scale, scaled[1]
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(
            _logits((kernel, bias), features), labels
        )
        return jnp.sum(rows * cross_entropy) / count + decay / 2 * jnp.sum(kernel**2)

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry):
        count, scaled, state, _ = carry
        value, gradient = value_and_grad(scaled, state=state)
        updates, state = solver.update(gradient, state, scaled, value=value, grad=gradient, value_fn=loss)
        steepest = jnp.maximum(*(jnp.max(jnp.abs(x)) for x in optax.tree.get(state, "grad")))
        return count + 1, optax.apply_updates(scaled, updates), state, steepest

    def unfinished(carry):
        count, _, _, steepest = carry
        return (count < iterations) & (steepest > tolerance)

    start = kernel / scale, bias
    start = 0, start, solver.init(start), jnp.asarray(jnp.inf, kernel.dtype)
    kernel, bias = jax.lax.while_loop(unfinished, step, start)[1]
    return kernel * scale, bias
