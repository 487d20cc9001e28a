"""Rows of methods that predict: hidden patches, features, captions, what a transform has done, labels."""

from functools import partial

import jax.numpy as jnp

from jssl import methods, models
from jssl.data.views import corrupted
from jssl.masks import multiblock_masks
from jssl.methods.labels import classifier
from jssl.models.freezing import frozen
from tests.law_toys import (
    BATCH,
    ONE,
    SMALL,
    THREE,
    TWO,
    Row,
    labelled,
    patchwise,
    pixels,
    small_resnet,
    teacher,
    text,
    vit,
)


def puzzle(method, **how) -> Row:
    """The row of a puzzle of two by two cells with four permutations."""

    def make():
        heads = dict(tile=models.tile_head(8), join=models.puzzle_head(4, **SMALL, dropout=0.0))
        return method(small_resnet(), permutations=4, side=6, cells=2, number=2, **heads, **how)

    return Row(make, ONE)


PREDICTING = {
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
            masking=partial(multiblock_masks, min_keep=1),
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
    "clip": Row(lambda: methods.clip(vit(), text(), dim=8), ONE),
    "flip": Row(lambda: methods.flip(vit(), text(), dim=8), ONE),
    "siglip": Row(lambda: methods.siglip(vit(), text(), dim=16, logit_bias=-2.0), ONE),
    "rotation": Row(lambda: methods.rotation(vit()), ONE),
    "context_prediction": Row(
        lambda: methods.context_prediction(
            small_resnet(), side=4, tile=models.tile_head(8), join=models.puzzle_head(8, **SMALL, dropout=0.0)
        ),
        ONE,
    ),
    "jigsaw": puzzle(methods.jigsaw),
    "jigsaw_pp": puzzle(methods.jigsaw_pp, intruders=1),
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
    "distil": Row(
        lambda: methods.distil(
            vit(), frozen(classifier(vit(dim=8), models.linear_head(3, deviation=1.0)), drawn=True), 3
        ),
        ONE,
    ),
    "supervised": Row(lambda: methods.supervised(vit(), 3, smoothing=0.1), labelled(ONE)),
    "slip": Row(
        lambda: methods.slip(
            vit(),
            text(),
            dim=8,
            head=models.simclr_head(8, **SMALL),
        ),
        THREE,
    ),
    "mim_contrast": Row(lambda: methods.mim_contrast(vit(), head=models.simclr_head(8, **SMALL)), TWO),
}
