"""Tokenizers: networks that give each patch a word (discrete token), [B, N] ids below K, which BEiT and
related methods predict for hidden patches.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.patches import patchify
from jssl.arrays.vectors import random_units, unit
from jssl.models.features import Features
from jssl.models.network import Network, as_features, as_outputs, network
from jssl.objectives.clusters import kmeans, random_rows, spread_rows


def patch_words(patch: int, words: int, *, most: int = 20_000, iterations: int = 10) -> Network:
    """Makes a tokenizer whose word for a patch is the nearest of K mean patches.

    The mean patches are k-means centroids of patches of the first images, computed when the network is
    initialised; they never change.

    Args:
        patch: side of a patch in pixels.
        words: K; the first images must have at least as many patches.
        most: the most patches of the first images that are clustered, drawn at random.
        iterations: of k-means.
    Returns:
        A `Network` without parameters, images [B, H, W, C] -> [B, N] int32, with statistics {"words": [K, P *
        P * C]}.
    References:
        SplitMask, arXiv:2112.10740, finds that such simple words suffice in place of a trained tokenizer
    Examples:
        >>> images = jnp.kron(jnp.array([[0.0, 1.0], [5.0, 1.0]]), jnp.ones((2, 2)))[None, ..., None]
        >>> net = patch_words(2, 3)
        >>> ids = net.apply(*net.init(jax.random.key(0), images), images)[0][0]
        >>> bool(ids[1] == ids[3]), len(set(ids.tolist()))
        (True, 3)
    """

    def init(key, images):
        rows = patchify(images.astype(jnp.float32), patch)
        rows = rows.reshape(-1, rows.shape[-1])
        drawn, clustered = jax.random.split(key)
        some = random_rows(drawn, rows, min(most, len(rows)))
        found = kmeans(clustered, some, words, iterations=iterations, first_rows=spread_rows)
        return {}, {"words": found.centroids}

    def apply(params, statistics, images, *, train=False, key=None):
        rows, table = patchify(images.astype(jnp.float32), patch), statistics["words"]
        products = jnp.matmul(rows, table.T, precision=jax.lax.Precision.HIGHEST)
        nearest = jnp.argmax(products - jnp.sum(table**2, axis=-1) / 2, axis=-1)
        return nearest.astype(jnp.int32), statistics

    def features(params, statistics, images):
        ids = jax.nn.one_hot(apply(params, statistics, images)[0], len(statistics["words"]))
        return Features(ids.mean(1), ids)

    return Network(init, apply, features)


def likeliest(model) -> Network:
    """Makes a tokenizer from a network whose patch tokens are the logits of words.

    Args:
        model: anything `network` takes, images -> `Features` with tokens [B, N, K], such as a `TokenEncoder`;
            `frozen` if its words are targets.
    Returns:
        A `Network`, images -> [B, N] int32.
    References:
        BEiT, arXiv:2106.08254
    """
    net = network(model)

    def apply(params, statistics, images, **how):
        outputs, statistics = net.apply(params, statistics, images, **how)
        return jnp.argmax(as_outputs(outputs)["tokens"], axis=-1).astype(jnp.int32), statistics

    return net._replace(apply=apply)


def random_words(count: int, patch: int) -> Network:
    """Makes a tokenizer of random directions: a patch's word is the direction nearest to its pixels.

    Args:
        count: the number of words.
        patch: side of a patch.
    Returns:
        A `Network` of images [B, H, W, C], with outputs [B, N] int32 and without parameters; its directions
        are kept among the statistics.
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
