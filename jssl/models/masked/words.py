"""Words for patches: what BEiT and its kin predict of those that are hidden, [B, N] ids below K."""

import jax
import jax.numpy as jnp

from jssl.arrays.patches import patchify
from jssl.arrays.vectors import random_units, unit
from jssl.models.features import Features
from jssl.models.network import Network, as_features, as_outputs, network
from jssl.objectives.clusters import kmeans, random_rows, spread_rows


def patch_words(patch: int, words: int, *, most: int = 20_000, iterations: int = 10) -> Network:
    """Makes a tokenizer that calls each patch by the nearest of so many mean patches.

    They are k-means centroids of the patches of the first images that it is given, found while it is
    initialised, and never move.

    Args:
        patch: side of a patch in pixels.
        words: how many, K; the first images have at least as many patches.
        most: of the first images' patches, so many, drawn at random, are clustered.
        iterations: of k-means.
    Returns:
        A `Network` without parameters, images [B, H, W, C] -> [B, N] int32, with statistics {"words": [K, P *
        P * C]}.
    References:
        SplitMask, arXiv:2112.10740, finds such simple words to suffice in place of a trained tokenizer

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
    """Makes a tokenizer of a network whose patch tokens are the logits of words.

    Args:
        model: anything `network` takes, images -> `Features` with tokens [B, N, K], such as a `TokenEncoder`;
            `frozen`, where its words are to be predicted.
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
