"""Toy encoders and views for the laws that every method keeps."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jssl import models
from jssl.methods import Method
from jssl.models.freezing import frozen
from jssl.models.headed import with_heads

BATCH, SIDE = 8, 16


# GELU by tanh: the exact one is an error function, a hundred operations to compile in place of ten.
MLP = partial(models.Mlp, activation=partial(jax.nn.gelu, approximate=True))


def vit(**fields):
    return models.ViT(**dict(patch=4, dim=16, depth=1, heads=2, mlp=MLP) | fields)


def text():
    return models.text_encoder("text_n", vocabulary=20, length=4, dim=16, depth=1, heads=2)


def small_resnet(**fields):
    """Three stages, so that 16 pixels make 4 x 4 tokens."""
    sizes = dict(widths=(8, 8, 16), stem_width=8, stem=models.cifar_stem)
    return models.ResNet(**dict(depths=(1, 1, 1), block=models.BasicBlock) | sizes | fields)


def patchwise(**fields):
    """Patches of 7 pixels, 3 apart, so that 16 pixels make 4 x 4 tokens."""
    encoder = small_resnet(depths=(1,), widths=(8,), norm=models.sample_norm)
    return models.Patchwise(encoder, side=7, stride=3, **fields)


def teacher(module):
    """First variables of a network that is frozen."""
    return jax.jit(module.init)(jax.random.key(8), jnp.zeros((1, SIDE, SIDE, 3)))


def noisy(globals_, locals_=0):
    """Views that cost nothing to compile: the image with noise, and corners of it."""

    def views(key, batch):
        images = batch["image"].astype(jnp.float32) / 255 - 0.5
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(batch["index"])

        def drawn(first, count, x):  # by one draw, which costs as much to compile as a layer
            def noise(number):
                return jax.vmap(lambda k: jax.random.normal(jax.random.fold_in(k, number), x.shape[1:]))(keys)

            return x + 0.1 * jax.vmap(noise)(first + jnp.arange(count))

        result = {name: value for name, value in batch.items() if name != "image"}
        result["global"] = drawn(0, globals_, images)
        if locals_:
            result["local"] = drawn(9, locals_, images[:, :8, :8])
        return result

    return views


def with_whole(views):
    """The same views, and the image as it is for a teacher."""

    def more(key, batch):
        return views(key, batch) | {"whole": batch["image"].astype(jnp.float32)[None] / 255 - 0.5}

    return more


def labelled(views):
    """The same views, and a class of each sample, of three."""

    def more(key, batch):
        return views(key, batch) | {"label": batch["index"] % 3}

    return more


def tiled(key, batch):
    """Two views, and an image's quarters as tiles."""
    views = noisy(2)(key, batch)
    first = views["global"][0]
    quarters = [first[:, i : i + 8, j : j + 8] for i in (0, 8) for j in (0, 8)]
    return views | {"tiles": jnp.stack(quarters, axis=1)}


def pixels(key, batch):
    """One view in [0, 1]."""
    views = noisy(1)(key, batch)
    return views | {"global": jnp.clip(views["global"] + 0.5, 0, 1)}


ONE, TWO, THREE, CROPS = noisy(1), noisy(2), noisy(3), noisy(2, 2)
SMALL = dict(hidden=16)


BALANCED = dict(
    prototypes=8,
    patch_prototypes=6,
    head=partial(models.dino_head, bottleneck=8, **SMALL),
    patch_head=partial(models.dino_head, bottleneck=4, **SMALL),
    momentum=0.9,
)


def larger():
    """A frozen teacher with the heads of `BALANCED`."""
    heads = dict(image=BALANCED["head"](8), patch=BALANCED["patch_head"](6))
    net = with_heads(vit(dim=24), **heads)
    params, statistics = jax.jit(net.init)(jax.random.key(7), jnp.zeros((1, SIDE, SIDE, 3)))
    return frozen(net, {"params": params, **statistics})


def batch():
    """Images with captions and without labels: who reads labels is given them by `labelled`."""
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)),
        "index": jnp.arange(BATCH, dtype=jnp.int32),
        "caption": jnp.asarray(rng.integers(0, 20, (BATCH, 4)), jnp.int32),
    }


class Row(NamedTuple):
    make: Callable[[], Method]
    views: Callable
