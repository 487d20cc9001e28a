"""Hybrids: several objectives over one forward pass, or several methods over one encoder."""

from functools import partial

from jssl import objectives
from jssl.masks import random_mask
from jssl.methods.base import Method, check_hides, shown
from jssl.methods.contrastive import simclr
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.multimodal import clip
from jssl.methods.pairs import over_patches, over_views
from jssl.methods.weighted import weighted_methods
from jssl.models.heads import simclr_head, slip_head
from jssl.models.masked.decoders import pixel_head
from jssl.models.network import with_heads


def slip(
    encoder, text, *, dim: int = 512, head=None, temperature: float = 0.1, weight: float = 1.0
) -> Method:
    """Trains CLIP and SimCLR on one image encoder.

    Args:
        encoder: the image's, anything `network` takes.
        text: the caption's, tokens [B, L] -> `Features`.
        dim: of the joint space.
        head: SimCLR's projection.
        temperature: SimCLR's.
        weight: of SimCLR's term, the mean of both directions.
    Returns:
        A `Method`; views: three global ones, of which the caption meets the first and SimCLR compares the
        others, and "caption" [B, L], its tokens.
    References:
        SLIP, arXiv:2112.12750
    """
    contrast = simclr(encoder, head=head or slip_head(), temperature=temperature)
    return weighted_methods(
        shared=("encoder",),
        clip=(1.0, shown(clip(encoder, text, dim=dim), plain_view)),
        simclr=(weight / 2, shown(contrast, augmented_views)),
    )


def plain_view(views):
    """Selects the first of SLIP's three images, which the caption meets."""
    return views | {"global": views["global"][:1]}


def augmented_views(views):
    """Selects the last two of SLIP's three images, which SimCLR compares."""
    return views | {"global": views["global"][1:]}


def mim_contrast(
    encoder, *, mix: float = 0.2, ratio: float = 0.6, head=None, temperature: float = 0.2
) -> Method:
    """Models hidden patches and contrasts images in one pass: (1 - mix) L_MIM + mix L_CL.

    Args:
        encoder: a `ViT`.
        mix: the share of the contrastive loss.
        ratio: share of the patches hidden from both views.
        head: the projection for the contrast.
        temperature: of the contrast.
    Returns:
        A `Method`; views: two global ones.
    References:
        arXiv:2305.00729
    """
    check_hides(encoder, "mim_contrast")
    network = with_heads(encoder, cls=head or simclr_head(), patch=pixel_head(encoder.patch))
    objective = objectives.weighted_sum(
        mim=(1 - mix, over_patches(partial(objectives.masked_reconstruction, distance="l1"))),
        contrast=(mix, over_views(partial(objectives.nt_xent, temperature=temperature))),
    )
    return masked_prediction(
        network,
        objective,
        masking=lambda keys, images: random_mask(keys, encoder.grid(images.shape), ratio=ratio),
        target=lambda images: objectives.patchify(images, encoder.patch),
    )
