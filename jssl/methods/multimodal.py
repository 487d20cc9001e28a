"""Multimodal methods: one network (tower) for each modality, whose outputs are compared in a joint space."""

import math

import flax.linen as nn

from jssl import objectives
from jssl.masks import random_mask, visible_indices
from jssl.methods.base import Method, check_hides
from jssl.methods.frames.towers import towers
from jssl.models.encoders.text import LogitBias, LogitScale
from jssl.models.headed import with_heads
from jssl.models.heads import Head, clip_head
from jssl.objectives import stateless


def clip(encoder, text, *, dim: int = 512, block_size: int | None = None, visible=None) -> Method:
    """Finds every image's caption in the batch, and every caption's image.

    Args:
        encoder: the image's, anything `network` takes.
        text: the caption's, tokens [B, L] -> `Features`.
        dim: of the joint space.
        block_size: for large batches, as in `symmetric_info_nce`.
        visible: as for `towers`.
    Returns:
        A `Method`; views: one global one, and "caption" [B, L], its tokens.
    References:
        CLIP, arXiv:2103.00020
    """

    def losses(outputs):
        image, caption = outputs.student["image"], outputs.student["caption"]
        scale = outputs.student["logit_scale"]
        losses = objectives.symmetric_info_nce(image, caption, logit_scale=scale, block_size=block_size)
        return losses, {"logit_scale": scale}

    return towers(
        with_heads(encoder, image=clip_head(dim)),
        stateless(losses),
        caption=with_heads(text, caption=clip_head(dim)),
        learned={"logit_scale": LogitScale()},
        visible=visible,
    )


def flip(encoder, text, *, ratio: float = 0.5, dim: int = 512, block_size: int | None = None) -> Method:
    """Trains CLIP on images of which a random part of the patches is dropped, which saves computation.

    Args:
        encoder: the image's, a `ViT`.
        text: the caption's, tokens [B, L] -> `Features`.
        ratio: share of the patches that is dropped in training; evaluation uses all patches.
        dim, block_size: as for `clip`.
    Returns:
        A `Method`; views: one global one, "index" [B] and "caption" [B, L], its tokens.
    References:
        FLIP, arXiv:2212.00794
    """
    check_hides(encoder, "flip")

    def visible(keys, images):
        mask = random_mask(keys, encoder.grid(images.shape), ratio=ratio)
        return visible_indices(mask, int(mask.shape[-1] * (1 - ratio)))

    return clip(encoder, text, dim=dim, block_size=block_size, visible=visible)


def siglip(
    encoder,
    text,
    *,
    head=None,
    dim: int = 768,
    logit_scale: float = 10.0,
    logit_bias: float = -10.0,
    block_size: int | None = None,
) -> Method:
    """Classifies every pair of an image and a caption of the batch as matching or not.

    Args:
        encoder: the image's, anything `network` takes.
        text: the caption's, tokens [B, L] -> `Features`.
        head: the image's projection; none by default, for an encoder as wide as the joint space.
        dim: of the joint space.
        logit_scale: the initial factor on cosines, learned and not bounded.
        logit_bias: the number initially added to them, learned; near -log(batch) for small batches.
        block_size: for large batches, as in `sigmoid_pairwise`.
    Returns:
        A `Method`; views: one global one, and "caption" [B, L], its tokens.
    References:
        SigLIP, arXiv:2303.15343
    """

    def losses(outputs):
        image, caption = outputs.student["image"], outputs.student["caption"]
        learned = {name: outputs.student[name] for name in ("logit_scale", "logit_bias")}
        return objectives.sigmoid_pairwise(image, caption, **learned, block_size=block_size), learned

    return towers(
        with_heads(encoder, image=head or Head([])),
        stateless(losses),
        caption=with_heads(text, caption=Head([nn.Dense(dim)])),
        learned={"logit_scale": LogitScale(logit_scale, math.inf), "logit_bias": LogitBias(logit_bias)},
    )
