"""DINOv2 and DINOv3: distillation of images and of hidden patches with balanced targets."""

import math
from functools import partial

import jax.numpy as jnp

from jssl import objectives
from jssl.arrays.keys import fold_keys, uniform
from jssl.masks import Masking, block_mask
from jssl.methods.base import Method, check_hides, ema
from jssl.methods.frames.anchor import anchored, from_itself_and_anchor, mean_of
from jssl.methods.frames.at_places import distillation_at_places, from_frozen, from_itself
from jssl.models.headed import with_heads
from jssl.models.heads import dino_head


def dinov2(
    encoder,
    *,
    prototypes: int = 131072,
    patch_prototypes: int = 131072,
    head=dino_head,
    patch_head=dino_head,
    masking=None,
    momentum=0.994,
    **terms,
) -> Method:
    """Distils images and hidden patches with separate heads and balanced targets; KoLeo spreads images.

    Freeze the last layers for the first epoch, by `freeze_during`.

    Args:
        encoder: a `ViT`.
        prototypes: outputs of the head on images.
        patch_prototypes: outputs of the head on patches.
        head: prototypes -> module, on images.
        patch_head: likewise, on patches.
        masking: as for `distillation_at_places`, `stratified_blocks(encoder)` by default.
        momentum: of the teacher, a number or a schedule; 0.994 rising to 1 in the paper.
        terms: as for `objectives.dinov2_terms`.
    Returns:
        A `Method`; views: two global ones and, with multi-crop, local ones.
    References:
        DINOv2, arXiv:2304.07193
    """
    check_hides(encoder, "dinov2")
    return distillation_at_places(
        with_heads(encoder, image=head(prototypes), patch=patch_head(patch_prototypes)),
        _halved(**terms),
        lesson=from_itself,
        teacher=ema(momentum),
        masking=masking or stratified_blocks(encoder),
    )


def dinov2_distill(
    encoder,
    teacher,
    *,
    prototypes: int = 131072,
    patch_prototypes: int = 131072,
    head=dino_head,
    patch_head=dino_head,
    masking=None,
    momentum=0.994,
    **terms,
) -> Method:
    """Distils a larger frozen network and its heads; nothing is hidden, and the student's running mean is
    evaluated.

    Args:
        encoder: a `ViT`.
        teacher: a frozen network with heads named image and patch, of as many prototypes:
            `frozen(with_heads(large, image=..., patch=...), variables)`.
        momentum: of the student's running mean.
        prototypes, patch_prototypes, head, patch_head, masking, terms: as for `dinov2`; the masking chooses
            the patches at which teacher and student are compared.
    Returns:
        A `Method`; views: two global ones and, with multi-crop, local ones.
    References:
        DINOv2, arXiv:2304.07193, section 5
    """
    check_hides(encoder, "dinov2_distill")
    return distillation_at_places(
        with_heads(encoder, image=head(prototypes), patch=patch_head(patch_prototypes)),
        _halved(**terms),
        lesson=lambda student: from_frozen(teacher),
        teacher=ema(momentum),
        masking=masking or stratified_blocks(encoder),
        hides=False,
    )


def dinov3(
    encoder,
    *,
    prototypes: int = 262144,
    patch_prototypes: int = 98304,
    head=dino_head,
    patch_head=dino_head,
    masking=None,
    momentum=0.994,
    gram_weight=2.0,
    refreshed=lambda step: False,
    **terms,
) -> Method:
    """Distils as DINOv2 does, and keeps similarities between patches close to an earlier teacher's.

    Args:
        encoder: a `ViT`, with rotary positions in the paper.
        gram_weight: of the Gram term, a number or a schedule.
        refreshed: (step) -> whether the earlier teacher is replaced by the current one after this step. It
            starts as the initial teacher.
        prototypes, patch_prototypes, head, patch_head, masking, momentum, terms: as for `dinov2`.
    Returns:
        A `Method`; views: as for `dinov2`, and optionally "anchor", the same crops as the global views,
        undistorted and at a higher resolution.
    References:
        DINOv3, arXiv:2508.10104
    """
    check_hides(encoder, "dinov3")
    return distillation_at_places(
        with_heads(encoder, image=head(prototypes), patch=patch_head(patch_prototypes)),
        _halved(gram=(gram_weight, objectives.gram_anchoring()), **terms),
        lesson=partial(from_itself_and_anchor, grid=encoder.grid),
        teacher=anchored(ema(momentum), when=refreshed),
        masking=masking or stratified_blocks(encoder),
        evaluates=mean_of,
    )


def _halved(*, patch_weight: float = 1.0, **terms):
    """DINOv2's terms, with half of the patches' weight: the authors average over all global views, half of
    which hide no patches.
    """
    return objectives.dinov2_terms(patch_weight=patch_weight / 2, **terms)


def stratified_blocks(encoder, *, ratio=(0.1, 0.5)) -> Masking:
    """Makes DINOv2's masking: one global view of each image hides blocks, their shares spread evenly over the
    batch.

    The authors hide blocks in half of a batch's global views. Here one view of each image hides blocks, so
    that the heads have the same work for every image. The share of an image is determined by the rank of a
    random number of its own.

    Args:
        encoder: with a method grid(image shape), such as `ViT`.
        ratio: the smallest and the largest share of the patches that the view hides.
    Returns:
        A `Masking` (keys [B], global views [G, B, H, W, C]) -> mask [G, B, N] bool.
    References:
        DINOv2, arXiv:2304.07193
    """

    def masking(keys, crops):
        grid = encoder.grid(crops.shape)
        order, within, which = uniform(fold_keys(keys, 0), shape=(3,)).T
        share = (jnp.argsort(jnp.argsort(order)) + within) / len(keys)
        count = (ratio[0] + share * (ratio[1] - ratio[0])) * math.prod(grid)
        mask = block_mask(fold_keys(keys, 1), grid, count=count.astype(jnp.int32), min_block=4)
        chosen = jnp.floor(which * len(crops)) == jnp.arange(len(crops))[:, None]
        return mask & chosen[..., None]

    return Masking(masking, lambda patches: max(1, int(ratio[1] * patches)))
