"""Random keys, one for each sample, so that neither the order nor the placement of a batch matters."""

import math
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Bits = TypeVar("Bits", jax.Array, np.ndarray)


def sample_keys(key: jax.Array, index: jax.Array) -> jax.Array:
    """Makes one key per sample, a function of the key and the sample's index only.

    Args:
        key: one key.
        index: [B] integer ids of the samples in their data set.
    Returns:
        [B] keys.
    """
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def check_keys(keys: jax.Array) -> None:
    """Raises a ValueError for anything but [B] keys, one for each sample.

    Args:
        keys: the argument to check.
    Raises:
        ValueError: for one key, no key at all, or numbers.
    """
    if not is_key(keys) or keys.ndim != 1 or not len(keys):
        raise ValueError(
            f"keys must be [B] keys, one for each sample, got {keys.dtype} {keys.shape}; "
            "jax.random.split(key, B) or jssl.arrays.keys.sample_keys(key, index) makes them"
        )


def batch_key(keys: jax.Array) -> jax.Array:
    """Combines the keys of a batch into one, whatever their order, for draws that all samples share.

    Args:
        keys: [B].
    Returns:
        One key.
    """
    total = jnp.sum(jax.random.key_data(keys), axis=0, dtype=jnp.uint32)
    return jax.random.wrap_key_data(scramble(total), impl=jax.random.key_impl(keys))


def fold_keys(keys: jax.Array, number: int | jax.Array) -> jax.Array:
    """Derives new keys from keys: an independent stream of random numbers for each purpose.

    Args:
        keys: [B].
        number: the number of the purpose.
    Returns:
        [B] keys.
    """
    words = jax.random.key_data(keys)
    salt = jnp.arange(1, words.shape[-1] + 1, dtype=jnp.uint32) * jnp.uint32(0x01000193)
    number = jnp.asarray(number, jnp.uint32) + salt
    return jax.random.wrap_key_data(scramble(scramble(words) ^ number), impl=jax.random.key_impl(keys))


def uniform(keys: jax.Array, low: float = 0.0, high: float = 1.0, *, shape: Sequence[int] = ()) -> jax.Array:
    """Draws numbers for each key, uniform in [low, high).

    Args:
        keys: [B].
        low, high: the bounds.
        shape: the shape of the draw of each key.
    Returns:
        [B, *shape] float32.
    """
    words = jax.random.key_data(keys).T[..., None]  # [2, B, 1]
    counter = jnp.arange(1, math.prod(shape) + 1, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    counter = jnp.broadcast_to(counter, (len(keys), counter.size))
    # A loop, since XLA does not fuse across loops. Without it, the draw would be repeated for every pixel
    # that depends on it.
    bits, _ = jax.lax.scan(lambda bits, word: (scramble(bits ^ word), None), counter, words)
    return (low + (bits >> 8).astype(jnp.float32) * (2.0**-24 * (high - low))).reshape(-1, *shape)


def scramble(x: Bits) -> Bits:
    """Mixes bits by Murmur3's finaliser, a bijection in which every input bit affects every output bit.

    An augmentation draws a few dozen numbers for an image. JAX's own generator would take most of its compile
    time, for guarantees that nothing here needs.

    Args:
        x: uint32, any shape, of JAX or NumPy.
    Returns:
        uint32 of the same shape and kind.
    """
    x = (x ^ (x >> x.dtype.type(16))) * x.dtype.type(0x85EBCA6B)
    x = (x ^ (x >> x.dtype.type(13))) * x.dtype.type(0xC2B2AE35)
    return x ^ (x >> x.dtype.type(16))


def is_key(x) -> bool:
    """Tells whether an array, or a `jax.ShapeDtypeStruct`, holds random keys."""
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def as_numbers(tree):
    """Replaces the random keys of a tree by their data, arrays of integers.

    Args:
        tree: arrays, or `jax.ShapeDtypeStruct`s.
    Returns:
        The same tree without keys; a `jax.ShapeDtypeStruct` keeps its sharding.
    """

    def numbers(leaf):
        if not is_key(leaf):
            return leaf
        if isinstance(leaf, jax.ShapeDtypeStruct):
            shape = jax.eval_shape(jax.random.key_data, leaf)
            return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=leaf.sharding)
        return jax.random.key_data(leaf)

    return jax.tree.map(numbers, tree)


def as_key(like, numbers):
    """Turns integers back into random keys where `like` holds keys; anything else stays as it is."""
    return jax.random.wrap_key_data(numbers, impl=like.dtype) if is_key(like) else numbers
