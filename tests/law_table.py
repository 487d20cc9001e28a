"""One table of all methods, each with a toy encoder: `test_laws.py` asks every one of them."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jssl import methods, models
from jssl.masks import multiblock_masks
from jssl.methods import Method

BATCH, SIDE = 8, 16


def vit(**fields):
    return models.ViT(**dict(patch=4, dim=16, depth=1, heads=2) | fields)


def noisy(globals_, locals_=0):
    """Views that cost nothing to compile: the image with noise, and corners of it."""

    def views(key, batch):
        images = batch["image"].astype(jnp.float32) / 255 - 0.5
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(batch["index"])

        def view(number, x):
            noise = jax.vmap(lambda k: jax.random.normal(jax.random.fold_in(k, number), x.shape[1:]))(keys)
            return x + 0.1 * noise

        result = {name: value for name, value in batch.items() if name != "image"}
        result["global"] = jnp.stack([view(i, images) for i in range(globals_)])
        if locals_:
            result["local"] = jnp.stack([view(9 + i, images[:, :8, :8]) for i in range(locals_)])
        return result

    return views


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
    net = models.network.with_heads(vit(dim=24), **heads)
    params, statistics = jax.jit(net.init)(jax.random.key(7), jnp.zeros((1, SIDE, SIDE, 3)))
    return models.network.frozen(net, {"params": params, **statistics})


class Row(NamedTuple):
    make: Callable[[], Method]
    views: Callable


TABLE = {
    "simclr": Row(lambda: methods.simclr(vit(), head=models.simclr_head(8, **SMALL)), TWO),
    "moco_v2": Row(
        lambda: methods.moco_v2(vit(), head=models.moco_head(8, **SMALL), queue=16, momentum=0.9), TWO
    ),
    "byol": Row(
        lambda: methods.byol(
            vit(), head=models.byol_head(8, **SMALL), predictor=models.byol_head(8, **SMALL)
        ),
        TWO,
    ),
    "simsiam": Row(
        lambda: methods.simsiam(
            vit(), head=models.simsiam_head(8, **SMALL), predictor=models.simsiam_predictor(8, hidden=4)
        ),
        TWO,
    ),
    "barlow_twins": Row(lambda: methods.barlow_twins(vit(), head=models.barlow_head(8, **SMALL)), TWO),
    "vicreg": Row(lambda: methods.vicreg(vit(), head=models.vicreg_head(8, **SMALL)), TWO),
    "swav": Row(
        lambda: methods.swav(vit(), prototypes=6, head=models.swav_head(8, **SMALL), queue=16, queue_start=1),
        CROPS,
    ),
    "pcl": Row(
        lambda: methods.pcl(
            vit(), examples=BATCH, clusters=(3, 4), head=models.moco_head(8, **SMALL), queue=16, momentum=0.9
        ),
        TWO,
    ),
    "dino": Row(
        lambda: methods.dino(
            vit(), prototypes=8, head=partial(models.dino_head, bottleneck=8, **SMALL), momentum=0.9
        ),
        CROPS,
    ),
    "ibot": Row(
        lambda: methods.ibot(
            vit(), prototypes=8, head=partial(models.dino_head, bottleneck=8, **SMALL), momentum=0.9
        ),
        CROPS,
    ),
    "dinov2": Row(lambda: methods.dinov2(vit(), **BALANCED), CROPS),
    "dinov2_distill": Row(lambda: methods.dinov2_distill(vit(), larger(), **BALANCED), CROPS),
    "dinov3": Row(
        lambda: methods.dinov3(
            vit(positions=None, rotary=models.MovingRotary(rescale=2.0), registers=2),
            refreshed=lambda step: step == 1,
            **BALANCED,
        ),
        CROPS,
    ),
    "mae": Row(lambda: methods.mae(vit(), decoder=models.mae_decoder(4, dim=8, depth=1, heads=2)), ONE),
    "simmim": Row(lambda: methods.simmim(vit(), unit=8), ONE),
    "simmim_swin": Row(
        lambda: methods.simmim(
            models.Swin(patch=2, dim=8, depths=(1, 2), heads=(1, 2), window=2), side=4, unit=8
        ),
        ONE,
    ),
    "i_jepa": Row(
        lambda: methods.i_jepa(
            vit(class_token=False),
            predictor=models.Predictor(dim=8, depth=1, heads=2),
            masking=partial(multiblock_masks, min_keep=2),
            momentum=0.9,
        ),
        ONE,
    ),
    "clip": Row(
        lambda: methods.clip(vit(), models.text_encoder("text_n", vocabulary=20, length=4), dim=8), ONE
    ),
    "rotation": Row(lambda: methods.rotation(vit()), ONE),
    "supervised": Row(lambda: methods.supervised(vit(), 3, smoothing=0.1), ONE),
    "slip": Row(
        lambda: methods.slip(
            vit(),
            models.text_encoder("text_n", vocabulary=20, length=4),
            dim=8,
            head=models.simclr_head(8, **SMALL),
        ),
        THREE,
    ),
    "mim_contrast": Row(lambda: methods.mim_contrast(vit(), head=models.simclr_head(8, **SMALL)), TWO),
}
TAUGHT = ("moco_v2", "byol", "pcl", "dino", "ibot", "dinov2", "dinov2_distill", "dinov3", "i_jepa")

MASKED = (
    "ibot",
    "dinov2",
    "dinov2_distill",
    "dinov3",
    "mae",
    "simmim",
    "simmim_swin",
    "i_jepa",
    "mim_contrast",
)
