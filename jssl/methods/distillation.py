"""Self-distillation: a student predicts the distribution over prototypes of its running mean, the teacher."""

import math

import jax.numpy as jnp

from jssl import objectives
from jssl.arrays.keys import fold_keys, uniform
from jssl.masks import Masking, block_mask
from jssl.methods.base import Method, check_hides
from jssl.methods.frames.self_distillation import self_distillation
from jssl.models.headed import with_heads
from jssl.models.heads import dino_head
from jssl.models.network import collecting


def dino(
    encoder,
    *,
    prototypes: int = 65536,
    head=dino_head,
    momentum=0.996,
    student_temperature: float = 0.1,
    teacher_temperature=0.04,
    center_momentum: float = 0.9,
) -> Method:
    """Predicts the teacher's centred, sharpened distribution from the other views.

    Freeze the last layer for the first epoch, by `freeze_during`.

    Args:
        encoder: anything `network` takes.
        prototypes: outputs K of the head.
        head: prototypes -> module.
        momentum: of the teacher, a number or a schedule; 0.996 rising to 1 in the paper.
        student_temperature: of the prediction.
        teacher_temperature: a number or a schedule, 0.04 to 0.07.
        center_momentum: of the running mean of the teacher's logits.
    Returns:
        A `Method`; views: two global ones and, with multi-crop, local ones.
    References:
        DINO, arXiv:2104.14294
    """
    network = with_heads(encoder, cls=head(prototypes))
    objective = objectives.view_distillation(
        "cls",
        student_temperature=student_temperature,
        teacher_temperature=teacher_temperature,
        center_momentum=center_momentum,
    )
    return self_distillation(network, objective, momentum=momentum)


def esvit(
    encoder,
    *,
    prototypes: int = 65536,
    head=dino_head,
    region_weight: float = 0.5,
    momentum=0.996,
    student_temperature: float = 0.1,
    teacher_temperature=0.04,
    center_momentum: float = 0.9,
) -> Method:
    """Distils views as DINO does, and each region of a view from the most similar region of another.

    Args:
        encoder: an encoder with tokens, such as `Swin`, whose image vector is the mean of its tokens.
        region_weight: weight of the term on regions; the term on views has 1 - region_weight.
        prototypes, head, momentum, student_temperature, teacher_temperature, center_momentum: as for `dino`;
            views and regions have separate heads.
    Returns:
        A `Method`; views: two global ones and, with multi-crop, local ones, whose regions count too.
    References:
        EsViT, arXiv:2106.09785
    """
    heads = {"cls": head(prototypes), "patch": head(prototypes), "patch/local": ("tokens/local", "patch")}
    settings = dict(
        student_temperature=student_temperature,
        teacher_temperature=teacher_temperature,
        center_momentum=center_momentum,
    )
    objective = objectives.weighted_sum(
        cls=(1 - region_weight, objectives.view_distillation("cls", **settings)),
        patch=(region_weight, objectives.region_distillation("patch", "tokens", **settings)),
    )
    return self_distillation(with_heads(encoder, **heads), objective, momentum=momentum)


def ibot(
    encoder,
    *,
    prototypes: int = 8192,
    head=dino_head,
    shared_head: bool = True,
    masking=None,
    collects: tuple[str, ...] = (),
    patch_weight: float = 1.0,
    momentum=0.996,
    student_temperature: float = 0.1,
    teacher_temperature=0.04,
    patch_temperature=0.04,
    center_momentum: float = 0.9,
) -> Method:
    """Distils the class token as DINO does, and the patches that are hidden from the student.

    Args:
        encoder: a `ViT`.
        shared_head: whether the class token and the patches have one head.
        masking: as for `self_distillation`, `sometimes_blocks(encoder)` by default.
        collects: names of inner values of the encoder that the masking uses, as for `collecting`.
        patch_weight: weight of the term on patches.
        patch_temperature: the teacher's temperature on patches, 0.04 to 0.07.
        prototypes, head, momentum, student_temperature, teacher_temperature, center_momentum: as for `dino`.
    Returns:
        A `Method`; views: two global ones and, with multi-crop, local ones.
    References:
        iBOT, arXiv:2111.07832
    """
    check_hides(encoder, "ibot")
    body, patch = collecting(encoder, *collects), "cls" if shared_head else head(prototypes)
    network = with_heads(body, cls=head(prototypes), patch=patch)
    settings = dict(student_temperature=student_temperature, center_momentum=center_momentum)
    objective = objectives.weighted_sum(
        cls=(1.0, objectives.view_distillation("cls", teacher_temperature=teacher_temperature, **settings)),
        patch=(
            patch_weight,
            objectives.patch_distillation("patch", teacher_temperature=patch_temperature, **settings),
        ),
    )
    return self_distillation(
        network, objective, momentum=momentum, masking=masking or sometimes_blocks(encoder)
    )


def sometimes_blocks(encoder, *, ratio=(0.1, 0.5), probability: float = 0.5):
    """Makes iBOT's masking: a part of the views hides blocks, a share of the patches drawn anew for each.

    Args:
        encoder: with a method grid(image shape), such as `ViT`.
        ratio: the smallest and the largest share of the patches that a view hides.
        probability: share of the views that hide patches.
    Returns:
        A `Masking` (keys [B], images [B, H, W, C], the teacher's outputs, unused) -> mask [B, N] bool.
    References:
        iBOT, arXiv:2111.07832
    """

    def masking(keys, images, taught=None):
        grid = encoder.grid(images.shape)
        patches = math.prod(grid)
        some, share = uniform(fold_keys(keys, 0), shape=(2,)).T
        share = ratio[0] + share * (ratio[1] - ratio[0])
        count = jnp.where(some < probability, share * patches, 0)
        smallest = max(1, (min(grid) // 3) ** 2)  # 16 of 14 x 14
        return block_mask(fold_keys(keys, 1), grid, count=count.astype(jnp.int32), min_block=smallest)

    return Masking(masking, lambda patches: max(1, int(ratio[1] * patches)))
