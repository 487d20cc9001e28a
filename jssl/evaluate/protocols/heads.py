"""Heads trained on frozen features by stochastic gradients: many at once, on one stream of rows."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl.arrays.checks import check, check_positive
from jssl.models.network import network
from jssl.sharding import make_mesh, replicated, rows_over

PART = 2**26  # numbers that go to the devices at a time: 256 MiB
ROWS = 65_536  # rows that predictions are made for at a time


class Heads(NamedTuple):
    """Trained heads, as many as there were rates.

    Attributes:
        module: The Linen module of one.
        params: Stacked, [S, ...].
        statistics: Stacked, [S, ...].
    """

    module: Any
    params: Any
    statistics: Any

    def predict(self, features: jax.Array | np.ndarray) -> np.ndarray:
        """Predicts the class of every row, by each head.

        Args:
            features: [N, D].
        Returns:
            [S, N] integers.
        """
        mesh, found = make_mesh(), []
        predict = jax.jit(partial(_predict, network(self.module), self.params, self.statistics))
        for start in range(0, len(features), ROWS):
            some = np.asarray(features[start : start + ROWS], np.float32)
            found.append(np.asarray(predict(rows_over(mesh, some)))[:, : len(some)])
        return np.concatenate(found, axis=1)

    def only(self, number: int) -> "Heads":
        """Selects one of the heads."""
        params, statistics = jax.tree.map(lambda x: x[number : number + 1], (self.params, self.statistics))
        return Heads(self.module, params, statistics)

    def top1(self, features: jax.Array | np.ndarray, labels: jax.Array | np.ndarray) -> np.ndarray:
        """Measures the accuracy of each head.

        Args:
            features: [N, D].
            labels: [N] integers.
        Returns:
            [S] shares; 0 for a head that has diverged.
        """
        finite = [jnp.isfinite(x).reshape(len(x), -1).all(1) for x in jax.tree.leaves(self.params)]
        right = (self.predict(features) == np.asarray(labels)).mean(axis=1)
        return np.where(np.all(finite, axis=0), right, 0.0)


def train_heads(
    module,
    features: jax.Array | np.ndarray,
    labels: jax.Array | np.ndarray,
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    batch: int,
    rates: Sequence[float] = (1.0,),
    columns: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    seed: int = 0,
) -> Heads:
    """Trains a head for every rate by the cross-entropy with labels, each by itself and all on the same rows.

    Rows stay on the host. They come to the devices part by part, each batch spread over all devices.

    Args:
        module: A Linen module, [B, D] -> [B, classes], such as `jssl.models.linear_head`.
        features: [N, D] frozen features.
        labels: [N] integers.
        optimizer: For a head of rate 1; its updates are multiplied by the rate.
        steps: Optimizer steps.
        batch: Rows of each, at most those that there are. Every epoch has its own order and drops the last,
            partial batch.
        rates: One for each head.
        columns: [S, D] booleans, the features that each head reads; by default all.
        rows: Numbers of the rows that are trained on; by default all.
        seed: Of initial weights and order.
    Returns:
        `Heads`.
    Raises:
        ValueError: for wrong shapes or numbers.
    Examples:
        >>> import flax.linen as nn
        >>> x, y = np.eye(2).repeat(4, 0), np.arange(2).repeat(4)
        >>> sgd = optax.sgd(1.0)
        >>> heads = train_heads(nn.Dense(2), x, y, optimizer=sgd, steps=50, batch=8, rates=(0.0, 1.0))
        >>> float(heads.top1(x, y)[1])
        1.0
    """
    check_positive(steps=steps, batch=batch)
    check(features=(features[:1], "N D"), labels=(labels[:1], "N", int))
    if len(features) != len(labels):
        raise ValueError(f"there are {len(features)} rows of features and {len(labels)} labels")
    width, count = features.shape[1], len(rates)
    reads = jnp.asarray(np.ones((count, width), bool) if columns is None else columns)
    net, mesh = network(module), make_mesh()

    def start(key, reads):
        params, statistics = net.init(key, jnp.zeros((1, width)))
        params = _masked(params, reads)
        return params, statistics, optimizer.init(params)

    keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(jnp.arange(count))
    state = jax.vmap(start)(keys, reads)
    each = jax.device_put((jnp.asarray(rates, jnp.float32), reads), replicated(mesh))
    state = jax.device_put(state, replicated(mesh))
    advance = jax.jit(partial(_advance, net, optimizer), donate_argnums=0)
    chosen = np.arange(len(features)) if rows is None else rows
    batch = min(batch, len(chosen))
    for part in _parts(len(chosen), steps, batch, max(1, PART // (batch * width)), seed):
        taken = np.asarray(features)[chosen[part]], np.asarray(labels)[chosen[part]]
        x, y = (rows_over(mesh, some, axis=1, pad=False) for some in taken)
        state = advance(state, each, x.astype(jnp.float32), y)
    params, statistics, _ = state
    return Heads(module, params, statistics)


def _advance(net, optimizer, state, each, x, y):
    """Takes a step for each batch of x [T, B, D] and y [T, B]."""

    def step(state, batch):
        x, y = batch

        def one(state, each):
            (params, statistics, memory), (rate, reads) = state, each

            def loss(params):
                logits, moved = net.apply(params, statistics, x, train=True)
                return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), moved

            gradients, statistics = jax.grad(loss, has_aux=True)(params)
            updates, memory = optimizer.update(_masked(gradients, reads), memory, params)
            params = jax.tree.map(lambda p, u: p + rate * u, params, updates)
            return params, statistics, memory

        return jax.vmap(one)(state, each), None

    return jax.lax.scan(step, state, (x, y))[0]


def _predict(net, params, statistics, x):
    def one(params, statistics):
        return jnp.argmax(net.apply(params, statistics, x)[0], axis=-1)

    return jax.vmap(one)(params, statistics)


def _masked(tree, reads):
    """A matrix [D, K] without the rows of features that are not read."""
    return jax.tree.map(lambda x: x * reads[:, None] if x.ndim == 2 else x, tree)


def _parts(count: int, steps: int, batch: int, most: int, seed: int) -> Iterator[np.ndarray]:
    """Numbers of rows [T, batch], so many steps together, T at most `most`."""
    whole = count // batch
    parts = -(-steps // most)
    size = -(-steps // parts)
    waiting: list[np.ndarray] = []
    for epoch in range(-(-steps // whole)):
        order = np.random.default_rng((seed, epoch)).permutation(count)[: whole * batch].reshape(whole, batch)
        waiting += list(order[: steps - epoch * whole])
        while len(waiting) >= size:
            yield np.stack(waiting[:size])
            waiting = waiting[size:]
    if waiting:
        yield np.stack(waiting)
