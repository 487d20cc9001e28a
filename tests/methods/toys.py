"""A small network, small data and a few recorded steps, for the laws of single methods."""

from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jssl import feed, fit, init_state, make_step, train_step
from jssl.arrays.jaxprs import matrix_flops
from jssl.models.layers.convolution import Conv


class Mlp(nn.Module):
    """Images [B, ...] -> [B, D]."""

    widths: tuple[int, ...] = (16,)

    @nn.compact
    def __call__(self, images):
        x = images.reshape(len(images), -1)
        for width in self.widths:
            x = nn.relu(nn.Dense(width)(x))
        return x


class Convolutions(nn.Module):
    """Images [B, H, W, C] -> [B, out]: strided layers, and where things are."""

    widths: tuple[int, ...]
    out: int

    @nn.compact
    def __call__(self, images):
        x = images
        for width in self.widths:
            x = nn.relu(Conv(width, (3, 3), strides=2)(x))
        return nn.relu(nn.Dense(self.out)(x.reshape(len(x), -1)))


def flops(function, *shapes):
    """Of the matrix products that a result depends on: nothing is compiled."""
    return matrix_flops(jax.make_jaxpr(function)(*shapes).jaxpr)


def identity():
    """A network without parameters: images as they are, flat."""
    return (lambda key, x: {}), (lambda params, x: x.reshape(len(x), -1))


def noisy(number, *, noise=0.1, crops=0):
    """So many views of each image with Gaussian noise, and corners of it as local ones."""

    def views(key, batch):
        def drawn(first, count, x):
            def one(i):
                return jax.random.normal(jax.random.fold_in(key, i), x.shape)

            return x + noise * jax.vmap(one)(first + jnp.arange(count))

        images = batch["image"]
        result = {"global": drawn(0, number, images), "index": batch["index"]}
        if crops:
            half = images[:, : images.shape[1] // 2, : images.shape[2] // 2]
            result["local"] = drawn(number, crops, half)
        return result

    return views


def batch(seed=0, *, size=8, side=8):
    """A batch of noise."""
    images = np.random.default_rng(seed).normal(size=(size, side, side, 3)).astype(np.float32)
    return {"image": jnp.asarray(images), "index": jnp.arange(size, dtype=jnp.int32)}


def seen_as(images):
    """One view."""
    return {"global": images[None], "index": jnp.arange(len(images))}


def record(method, optimizer, views, batches, *, seed=0):
    """Takes a step on each batch.

    Returns: (states, the first before any step, metrics of each step).
    """
    states = [init_state(method, optimizer, views, batches[0], key=jax.random.key(seed))]
    metrics, step = [], jax.jit(train_step(method, optimizer, views))
    for one in batches:
        state, figures = step(states[-1], one)
        states.append(state)
        metrics.append(figures)
    return states, metrics


def keys_of(state):
    """The keys of views and of the loss in the step that the state is about to take."""
    return jax.random.split(jax.random.fold_in(state.key, state.step))


def handwriting(step, *, size=64):
    """The batch of a step: scikit-learn's digits as they are, 8 x 8 pixels, standardised."""
    images, labels = _digits()
    rows = np.random.default_rng(step).integers(0, len(images), size)
    return {"image": images[rows], "label": labels[rows], "index": jnp.asarray(rows, jnp.int32)}


@cache
def _digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    return jnp.asarray((data.images - data.images.mean()) / data.images.std(), jnp.float32)[
        ..., None
    ], data.target


def trained(method, optimizer, views, batch_of, *, steps):
    """The state after training."""
    state = init_state(method, optimizer, views, batch_of(0), key=jax.random.key(0))
    return fit(feed(make_step(method, optimizer, views), batch_of), state, steps=steps)


def outputs_of(method, state, images):
    """What the objective sees of images without noise."""
    views = {"global": jnp.stack([images, images]), "index": jnp.arange(len(images))}
    return jax.jit(method.outputs)(state.params, state.teacher, state.memory, views, jax.random.key(0))
