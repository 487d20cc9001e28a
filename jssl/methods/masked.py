"""Masked image modelling: hidden patches are predicted, as pixels or as a teacher's features."""

from jssl import objectives
from jssl.masks import multiblock_masks, multiblock_sizes, random_mask, unit_mask
from jssl.methods.base import Method, check_hides
from jssl.methods.frames.joint_predictive import joint_predictive
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.pairs import reconstructed
from jssl.models.headed import with_heads
from jssl.models.masked.autoencoder import encode_decode
from jssl.models.masked.decoders import mae_decoder, pixel_head
from jssl.models.masked.predictors import Predictor
from jssl.objectives.data2vec import normalized


def mae(encoder, *, decoder=None, ratio: float = 0.75, normalize_target: bool = True) -> Method:
    """Predicts, with a small decoder, the pixels of the patches that the encoder never sees.

    Args:
        encoder: a `ViT`.
        decoder: `mae_decoder(encoder.patch)` by default.
        ratio: share of patches hidden.
        normalize_target: whether pixels are normalised within each patch.
    Returns:
        A `Method`; views: one global one.
    References:
        MAE, arXiv:2111.06377
    """
    check_hides(encoder, "mae")
    network = encode_decode(
        encoder, decoder or mae_decoder(encoder.patch), visible=lambda tokens: int(tokens * (1 - ratio))
    )
    return masked_prediction(
        network,
        reconstructed(normalize_target=normalize_target),
        masking=lambda keys, images: random_mask(keys, encoder.grid(images.shape), ratio=ratio),
        target=lambda images: objectives.patchify(images, encoder.patch),
    )


def simmim(encoder, *, side: int | None = None, ratio: float = 0.6, unit: int = 32) -> Method:
    """Predicts the pixels of mask tokens that enter the encoder, by one linear layer and the absolute error.

    Args:
        encoder: a `ViT` or `Swin`.
        side: side in pixels of the square that a token covers, by default the patch; 32 for Swin.
        ratio: share of the squares hidden.
        unit: side in pixels of the squares that are hidden, a multiple of `side`.
    Returns:
        A `Method`; views: one global one. The loss is the mean over all hidden pixels.
    Raises:
        ValueError: where `side` does not divide `unit`.
    References:
        SimMIM, arXiv:2111.09886
    """
    check_hides(encoder, "simmim")
    side = side or encoder.patch
    if unit % side:
        raise ValueError(f"simmim: unit={unit} must be a multiple of a token's side, {side} pixels")

    def masking(keys, images):
        return unit_mask(keys, encoder.grid(images.shape), ratio=ratio, unit=unit // side)

    return masked_prediction(
        with_heads(encoder, patch=pixel_head(side)),
        reconstructed(distance="l1"),
        masking=masking,
        target=lambda images: objectives.patchify(images, side),
    )


def i_jepa(
    encoder, *, predictor=None, momentum=0.996, masking=multiblock_masks, sizes=multiblock_sizes
) -> Method:
    """Predicts a teacher's features of several target blocks from one context block.

    Args:
        encoder: a `ViT` without class token.
        predictor: `Predictor()` by default.
        momentum: of the teacher, a number or a schedule; 0.996 rising linearly to 1 in the paper.
        masking: (keys [B], grid) -> (context [B, N], targets [M, B, N]).
        sizes: grid -> the most patches that a context and a target can have.
    Returns:
        A `Method`; views: one global one. The loss is smooth L1 on layer-normalised features.
    References:
        I-JEPA, arXiv:2301.08243
    """
    check_hides(encoder, "i_jepa")
    return joint_predictive(
        encoder,
        predictor or Predictor(),
        reconstructed(distance="smooth_l1"),
        momentum=momentum,
        masking=lambda keys, images: masking(keys, encoder.grid(images.shape)),
        sizes=sizes,
        target=layer_normalized,
    )


def layer_normalized(tokens):
    """Normalises tokens to mean 0 and variance 1 over their features, for the targets of I-JEPA and data2vec.

    Args:
        tokens: [B, N, D].
    Returns:
        [B, N, D] float32.
    """
    return normalized(tokens, axis=-1)
