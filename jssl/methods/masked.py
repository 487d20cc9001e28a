"""Masked image modelling: hidden patches are predicted, as pixels or as a teacher's features."""

from functools import partial

import jax
import jax.numpy as jnp

from jssl import objectives
from jssl.masks import multiblock_masks, multiblock_sizes, random_mask, unit_mask
from jssl.methods.base import Method
from jssl.methods.frames.joint_predictive import joint_predictive
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.pairs import over_patches
from jssl.models.masked.autoencoder import encode_decode
from jssl.models.masked.decoders import mae_decoder, pixel_head
from jssl.models.masked.predictors import Predictor
from jssl.models.network import with_heads


def mae(encoder, *, decoder=None, ratio: float = 0.75, normalize_target: bool = True) -> Method:
    """MAE: a small decoder predicts the pixels of the patches that the encoder never sees.  arXiv:2111.06377

    encoder: a `ViT`. decoder: `mae_decoder(encoder.patch)` by default. ratio: share of patches hidden.
    normalize_target: pixels normalised within each patch.

    Returns: a `Method`; views: one global one.
    """
    network = encode_decode(
        encoder, decoder or mae_decoder(encoder.patch), visible=lambda tokens: int(tokens * (1 - ratio))
    )
    return masked_prediction(
        network,
        over_patches(partial(objectives.masked_reconstruction, normalize_target=normalize_target)),
        masking=lambda keys, images: random_mask(keys, encoder.grid(images.shape), ratio=ratio),
        target=lambda images: objectives.patchify(images, encoder.patch),
    )


def simmim(encoder, *, side: int | None = None, ratio: float = 0.6, unit: int = 32) -> Method:
    """SimMIM: mask tokens enter the encoder, one linear layer predicts the pixels, absolute error.  arXiv:2111.09886

    encoder: a `ViT` or `Swin`. side: pixels that one of its tokens covers, by default the patch; 32 for Swin.
    ratio: share hidden. unit: side in pixels of what is hidden at once, a multiple of `side`.

    Returns: a `Method`; views: one global one. The loss is the mean over all hidden pixels.

    Raises: ValueError where `side` does not divide `unit`.
    """
    side = side or encoder.patch
    if unit % side:
        raise ValueError(f"simmim: unit={unit} must be a multiple of a token's side, {side} pixels")

    def masking(keys, images):
        return unit_mask(keys, encoder.grid(images.shape), ratio=ratio, unit=unit // side)

    return masked_prediction(
        with_heads(encoder, patch=pixel_head(side)),
        over_patches(partial(objectives.masked_reconstruction, distance="l1")),
        masking=masking,
        target=lambda images: objectives.patchify(images, side),
    )


def i_jepa(
    encoder, *, predictor=None, momentum=0.996, masking=multiblock_masks, sizes=multiblock_sizes
) -> Method:
    """I-JEPA: from one context block, the teacher's features of several target blocks are predicted.  arXiv:2301.08243

    encoder: a `ViT` without class token. predictor: `Predictor()` by default. momentum: 0.996 rising to 1 in a line.
    masking, sizes: (keys, grid) -> (context, targets), and grid -> the most patches that either can have.

    Returns: a `Method`; views: one global one. The loss is smooth L1 on layer-normalised features.
    """
    return joint_predictive(
        encoder,
        predictor or Predictor(),
        over_patches(partial(objectives.masked_reconstruction, distance="smooth_l1")),
        momentum=momentum,
        masking=lambda keys, images: masking(keys, encoder.grid(images.shape)),
        sizes=sizes,
        target=layer_normalized,
    )


def layer_normalized(tokens):
    """Tokens [B, N, D] of mean 0 and variance 1 over their features, as I-JEPA's and data2vec's targets."""
    return jax.nn.standardize(tokens.astype(jnp.float32), axis=-1, epsilon=1e-5)
