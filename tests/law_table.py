"""One table of all methods, each with a toy encoder: `test_laws.py` asks every one of them."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jssl import methods, models
from jssl.data.views import corrupted
from jssl.masks import multiblock_masks
from jssl.methods import Method
from jssl.methods.labels import classifier
from jssl.models.freezing import frozen
from jssl.models.headed import with_heads

BATCH, SIDE = 8, 16


def vit(**fields):
    return models.ViT(**dict(patch=4, dim=16, depth=1, heads=2) | fields)


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
    return module.init(jax.random.key(8), jnp.zeros((1, SIDE, SIDE, 3)))


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


def with_whole(views):
    """The same views, and the image as it is for a teacher."""

    def more(key, batch):
        return views(key, batch) | {"whole": batch["image"].astype(jnp.float32)[None] / 255 - 0.5}

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
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)),
        "index": jnp.arange(BATCH, dtype=jnp.int32),
        "caption": jnp.asarray(rng.integers(0, 20, (BATCH, 4)), jnp.int32),
        "label": jnp.arange(BATCH, dtype=jnp.int32) % 3,
    }


class Row(NamedTuple):
    make: Callable[[], Method]
    views: Callable


TABLE = {
    "simclr": Row(lambda: methods.simclr(vit(), head=models.simclr_head(8, **SMALL)), TWO),
    "simclr_v2": Row(
        lambda: methods.simclr_v2(vit(), head=models.simclr_head(8, layers=3, **SMALL), temperature=0.5),
        TWO,
    ),
    "dcl": Row(lambda: methods.dcl(vit(), head=models.simclr_head(8, **SMALL)), TWO),
    "nnclr": Row(
        lambda: methods.nnclr(
            vit(),
            head=models.nnclr_head(8, **SMALL),
            predictor=models.nnclr_predictor(8, **SMALL),
            queue=16,
        ),
        TWO,
    ),
    "moco_v1": Row(
        lambda: methods.moco_v1(vit(), head=models.moco_head(8, hidden=None), queue=16, momentum=0.9), TWO
    ),
    "npid": Row(
        lambda: methods.npid(vit(), examples=BATCH, head=models.moco_head(8, hidden=None), negatives=0), ONE
    ),
    "npid_noise": Row(
        lambda: methods.npid(
            vit(), examples=512, head=models.moco_head(8, hidden=None), negatives=5, temperature=0.5
        ),
        ONE,
    ),
    "invariant_spreading": Row(
        lambda: methods.invariant_spreading(vit(), head=models.moco_head(8, hidden=None)), TWO
    ),
    "moco_v2": Row(
        lambda: methods.moco_v2(vit(), head=models.moco_head(8, **SMALL), queue=16, momentum=0.9), TWO
    ),
    "moco_v3": Row(
        lambda: methods.moco_v3(
            vit(),
            head=models.moco_v3_head(8, **SMALL),
            predictor=models.moco_v3_head(8, layers=2, **SMALL),
            momentum=0.9,
        ),
        TWO,
    ),
    "infomin": Row(
        lambda: methods.infomin(
            vit(),
            head=models.moco_head(8, **SMALL),
            tile=models.moco_head(4, **SMALL),
            join=models.moco_head(8, hidden=None),
            queue=16,
            momentum=0.9,
        ),
        tiled,
    ),
    "ressl": Row(
        lambda: methods.ressl(vit(), head=models.moco_head(8, **SMALL), queue=16, momentum=0.9), TWO
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
    "deepcluster_v2": Row(
        lambda: methods.deepcluster_v2(
            vit(), examples=BATCH, clusters=(3, 4, 3), head=models.swav_head(8, **SMALL)
        ),
        CROPS,
    ),
    "obow": Row(
        lambda: methods.obow(small_resnet(), levels=("layer2",), words=16, momentum=0.9),
        with_whole(noisy(2, 1)),
    ),
    "smog": Row(
        lambda: methods.smog(
            vit(),
            prototypes=4,
            head=models.moco_v3_head(8, layers=2, **SMALL),
            predictor=models.swav_head(8, **SMALL),
            temperature=1.0,
            momentum=0.9,
            recent=16,
            restart=100,
        ),
        TWO,
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
    "esvit": Row(
        lambda: methods.esvit(
            models.Swin(patch=2, dim=8, depths=(1, 2), heads=(1, 2), window=2),
            prototypes=8,
            head=partial(models.dino_head, bottleneck=8, **SMALL),
            momentum=0.9,
        ),
        CROPS,
    ),
    "ibot": Row(
        lambda: methods.ibot(
            vit(), prototypes=8, head=partial(models.dino_head, bottleneck=8, **SMALL), momentum=0.9
        ),
        CROPS,
    ),
    "msn": Row(
        lambda: methods.msn(vit(), prototypes=6, head=models.msn_head(8, **SMALL), momentum=0.9), CROPS
    ),
    "attmask": Row(
        lambda: methods.attmask(
            vit(),
            hides="hint",
            probability=1.0,
            prototypes=8,
            head=partial(models.dino_head, bottleneck=8, **SMALL),
            momentum=0.9,
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
    "tokenizer": Row(
        lambda: methods.tokenizer(models.TokenEncoder(4, 8, 8), models.TokenDecoder(4, 8, 8)), ONE
    ),
    "beit": Row(lambda: methods.beit(vit(), models.patch_words(4, 8), words=8, count=6, min_block=2), ONE),
    "cae": Row(
        lambda: methods.cae(
            vit(positions=models.sincos_positions_rows_first),
            models.patch_words(4, 8),
            words=8,
            regressor=models.LatentRegressor(depth=1, heads=2),
            decoder=models.LatentDecoder(8, depth=1, heads=2),
            count=8,
            min_block=2,
        ),
        ONE,
    ),
    "maskfeat": Row(lambda: methods.maskfeat(vit(), cell=2), ONE),
    "eva": Row(
        lambda: methods.eva(vit(), frozen(vit(dim=8), teacher(vit(dim=8))), dim=8, count=6, min_block=2), ONE
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
    "data2vec": Row(lambda: methods.data2vec(vit(), layers=1, ratio=0.5, momentum=0.9), ONE),
    "sdae": Row(
        lambda: methods.sdae(vit(), decoder=models.MaskedDecoder(16, dim=8, depth=1, heads=2), momentum=0.9),
        ONE,
    ),
    "splitmask": Row(
        lambda: methods.splitmask(
            vit(), decoder=models.WordDecoder(6, models.MaskedDecoder(None, 8, 1, 2)), words=6
        ),
        ONE,
    ),
    "cmae": Row(
        lambda: methods.cmae(
            vit(),
            decoder=models.mae_decoder(4, dim=8, depth=1, heads=2),
            describer=models.MaskedDecoder(16, dim=8, depth=1, heads=2),
            projection=models.byol_head(8, **SMALL),
            prediction=models.byol_head(8, **SMALL),
            momentum=0.9,
        ),
        TWO,
    ),
    "sit": Row(lambda: methods.sit(vit(), head=models.sit_head(8, **SMALL), momentum=0.9), corrupted(TWO)),
    "cpc": Row(lambda: methods.cpc(patchwise(), offsets=(1, 2), dim=8, hidden=8, blocks=1), ONE),
    "cpc_v2": Row(
        lambda: methods.cpc_v2(
            patchwise(augment=partial(models.augmented_patches, flip=0.5, drop=0.5)),
            offsets=(2,),
            dim=8,
            hidden=8,
            blocks=1,
        ),
        ONE,
    ),
    "clip": Row(
        lambda: methods.clip(vit(), models.text_encoder("text_n", vocabulary=20, length=4), dim=8), ONE
    ),
    "flip": Row(lambda: methods.flip(vit(), text(), dim=8), ONE),
    "siglip": Row(lambda: methods.siglip(vit(), text(), dim=16, logit_bias=-2.0), ONE),
    "rotation": Row(lambda: methods.rotation(vit()), ONE),
    "context_prediction": Row(
        lambda: methods.context_prediction(
            small_resnet(), side=4, tile=models.tile_head(8), join=models.puzzle_head(8, **SMALL, dropout=0.0)
        ),
        ONE,
    ),
    "jigsaw": Row(
        lambda: methods.jigsaw(
            small_resnet(),
            permutations=4,
            side=6,
            cells=2,
            number=2,
            tile=models.tile_head(8),
            join=models.puzzle_head(4, **SMALL, dropout=0.0),
        ),
        ONE,
    ),
    "jigsaw_pp": Row(
        lambda: methods.jigsaw_pp(
            small_resnet(),
            permutations=4,
            intruders=1,
            side=6,
            cells=2,
            number=2,
            tile=models.tile_head(8),
            join=models.puzzle_head(4, **SMALL, dropout=0.0),
        ),
        ONE,
    ),
    "cluster_transfer": Row(
        lambda: methods.cluster_transfer(
            vit(), frozen(vit(dim=8), teacher(vit(dim=8))), examples=BATCH, clusters=3, dim=4
        ),
        ONE,
    ),
    "counting": Row(
        lambda: methods.counting(small_resnet(), head=models.count_head(8, layers=2, **SMALL)), ONE
    ),
    "context_encoder": Row(
        lambda: methods.context_encoder(
            small_resnet(),
            squeezed=models.Squeezed(16, 8, 2),
            decoder=models.MapDecoder(3, (8, 8), last=jnp.tanh),
            adversary=models.Judge((4, 4)),
            band=1,
        ),
        ONE,
    ),
    "autoencoder": Row(lambda: methods.autoencoder(models.AutoEncoder((4, 8), 4)), ONE),
    "spot_artifacts": Row(
        lambda: methods.spot_artifacts(
            vit(), models.artifacts(models.AutoEncoder((4, 8), 4), drawn=True), sides=4
        ),
        ONE,
    ),
    "colorization": Row(
        lambda: methods.colorization(small_resnet(), decoder=models.MapDecoder(313, (8,))), pixels
    ),
    "supcon": Row(lambda: methods.supcon(vit(), head=models.moco_head(8, **SMALL)), TWO),
    "distil": Row(
        lambda: methods.distil(
            vit(), frozen(classifier(vit(dim=8), models.linear_head(3, deviation=1.0)), drawn=True), 3
        ),
        ONE,
    ),
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
TAUGHT = {
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "infomin",
    "ressl",
    "pcl",
    "byol",
    "obow",
    "smog",
    "dino",
    "esvit",
    "ibot",
    "attmask",
    "dinov2",
    "dinov2_distill",
    "dinov3",
    "msn",
    "i_jepa",
    "data2vec",
    "sdae",
    "cmae",
    "sit",
}

MASKED = (
    "ibot",
    "attmask",
    "dinov2",
    "dinov2_distill",
    "dinov3",
    "mae",
    "simmim",
    "simmim_swin",
    "beit",
    "maskfeat",
    "eva",
    "i_jepa",
    "data2vec",
    "sdae",
    "splitmask",
    "cmae",
    "mim_contrast",
)
