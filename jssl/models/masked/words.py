"""Tokenizers of patches that learn nothing."""

import jax
import jax.numpy as jnp

from jssl.arrays.patches import patchify
from jssl.arrays.vectors import random_units, unit
from jssl.models.network import Network, as_features


def random_words(count: int, patch: int) -> Network:
    """Makes a tokenizer of random directions: a patch's word is the direction that its pixels are nearest to.

    Args:
        count: words.
        patch: side of a patch.
    Returns:
        A `Network` of images [B, H, W, C], with outputs [B, N] int32 and without parameters; its directions
        lie among the statistics.
    References:
        SplitMask, arXiv:2112.10740
    """

    def init(key, images):
        seed = jax.random.randint(key, (), 0, 2**31 - 1)
        return {}, {"directions": random_units(count, patchify(images, patch), seed=seed)}

    def apply(params, statistics, images, *, train=False, key=None):
        pixels = unit(patchify(images, patch).astype(jnp.float32))
        return jnp.argmax(pixels @ statistics["directions"].T, axis=-1).astype(jnp.int32), statistics

    def features(params, statistics, images):
        return as_features(jax.nn.one_hot(apply(params, statistics, images)[0], count))

    return Network(init, apply, features)
