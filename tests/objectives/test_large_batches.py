"""Block-wise losses and gradient caching: exact for any block size, in memory that does not grow with batch
squared.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import objectives as o


@pytest.fixture
def double_precision():
    with jax.enable_x64(True):
        yield


def pair(batch, width=4, seed=0):
    return np.random.default_rng(seed).normal(size=(2, batch, width))


def nt_xent(block_size):
    return lambda a, b, t: jnp.mean(
        jnp.arange(2 * len(a)) * o.nt_xent(a, b, temperature=t, block_size=block_size)
    )


def symmetric(block_size):
    def loss(a, b, scale):
        return jnp.mean(
            jnp.arange(len(a)) * o.symmetric_info_nce(a, b, logit_scale=scale, block_size=block_size)
        )

    return loss


def sigmoid(block_size):
    settings = dict(logit_bias=-1.0, block_size=block_size)
    return lambda a, b, s: jnp.mean(jnp.arange(len(a)) * o.sigmoid_pairwise(a, b, logit_scale=s, **settings))


@functools.cache
def told(make, batch, block_size=None):
    """The value and the gradients."""
    arrays = *pair(batch), np.asarray(0.3)
    return jax.jit(jax.value_and_grad(make(block_size), (0, 1, 2)))(*arrays)


@pytest.mark.parametrize("make", [nt_xent, symmetric, sigmoid])
@pytest.mark.parametrize("batch, block_size", [(5, 3), (5, 64), (2, 5), (5, 1)])
def test_any_block_size_gives_the_dense_value_and_gradients(double_precision, make, batch, block_size):
    (dense, slopes), (value, others) = told(make, batch), told(make, batch, block_size)
    np.testing.assert_allclose(value, dense, rtol=1e-12, atol=1e-12)
    for slope, other in zip(slopes, others, strict=True):
        np.testing.assert_allclose(other, slope, rtol=1e-9, atol=1e-12)


def test_towers_that_point_away_from_each_other_have_the_dense_gradients():
    a, b = (
        np.float32([side, 0, 0, 0]) + 0.05 * pair(5)[i].astype(np.float32) for i, side in ((0, 1), (1, -1))
    )
    arrays = a, b, np.float32(100)  # the block of 2 pads the batch of 5 with a row of zeros
    slopes, others = (jax.jit(jax.grad(symmetric(size), (0, 1, 2)))(*arrays) for size in (None, 2))
    for slope, other in zip(slopes, others, strict=True):
        np.testing.assert_allclose(other, slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [nt_xent, symmetric, sigmoid])
def test_memory_grows_with_the_block_not_with_the_batch_squared(make):
    def temporary(batch, block_size):
        arrays = [jax.ShapeDtypeStruct((batch, 32), jnp.float32)] * 2 + [
            jax.ShapeDtypeStruct((), jnp.float32)
        ]
        compiled = jax.jit(jax.grad(make(block_size), (0, 1, 2))).lower(*arrays).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(2048, 64) < temporary(2048, None) / 8
    assert temporary(4096, 64) < 3 * temporary(2048, 64)


def test_a_block_size_below_one_is_refused():
    with pytest.raises(ValueError, match="block_size is 0"):
        o.nt_xent(*pair(3), block_size=0)


def encode(params, inputs):
    return jnp.tanh(inputs["x"] @ params["w"]) @ params["v"]


@pytest.mark.parametrize("block_size", [1, 4, 5, 100])
def test_cached_gradients_are_exact(double_precision, block_size):
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(6, 8)), "v": rng.normal(size=(8, 4))}
    inputs = {"x": rng.normal(size=(12, 6))}

    def loss(z):
        losses = o.nt_xent(z[::2], z[1::2], temperature=0.5)
        return jnp.mean(losses), {"largest": jnp.max(losses)}

    plain = jax.value_and_grad(lambda params: loss(encode(params, inputs)), has_aux=True)
    cached = jax.jit(o.cached_gradients(loss, encode, block_size=block_size, has_aux=True))
    chex.assert_trees_all_close(cached(params, inputs), plain(params), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("block_size", [2, 3, 5])
def test_blocks_take_keys_and_encoders_without_a_slope_at_zero(block_size):
    def encode(w, inputs):
        noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(inputs["key"])
        return (inputs["x"] / jnp.linalg.norm(inputs["x"], axis=1, keepdims=True) + noise) * w

    inputs = {"x": jnp.asarray(pair(6, 3)[0], jnp.float32), "key": jax.random.split(jax.random.key(0), 6)}
    inputs = jax.tree.map(lambda x: x[:5], inputs)
    slopes = [
        jax.grad(lambda w, encode=encode: jnp.sum(encode(w, inputs) ** 2))(jnp.ones(3))
        for encode in (encode, o.microbatched(encode, block_size=block_size))
    ]
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-5)


def test_cached_gradients_keep_one_block_of_activations():
    params = {"w": jnp.zeros((16, 2048)), "v": jnp.zeros((2048, 16))}

    def temporary(block_size):
        gradients = o.cached_gradients(lambda z: jnp.mean(o.koleo(z)), encode, block_size=block_size)
        inputs = {"x": jax.ShapeDtypeStruct((512, 16), jnp.float32)}
        return jax.jit(gradients).lower(params, inputs).compile().memory_analysis().temp_size_in_bytes

    assert temporary(32) < temporary(512) / 4
