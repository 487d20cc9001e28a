"""Latent prediction: what a teacher that follows makes of an image is predicted from a part of it."""

from jssl import objectives
from jssl.masks import random_mask
from jssl.methods.base import Method, check_hides
from jssl.methods.frames.forward import anchor_views, key_view
from jssl.methods.frames.self_distillation import self_distillation
from jssl.models.heads import Prototypes, msn_head
from jssl.models.masked.autoencoder import visible_only
from jssl.models.network import with_heads


def msn(
    encoder,
    *,
    prototypes: int = 1024,
    head=None,
    ratio: float = 0.15,
    momentum=0.996,
    temperature: float = 0.1,
    sharpening: float = 0.25,
    sinkhorn: bool = True,
    entropy_weight: float = 1.0,
) -> Method:
    """Assigns a view with patches dropped, and small views, to the prototypes of another, whole view.

    Heads see the views of one size at a time, as in the authors' code, so those share batch statistics.

    Args:
        encoder: a `ViT`.
        prototypes: their number K; they are trained through the anchors, and the teacher has none.
        head: the projection, `msn_head()` by default.
        ratio: share of its patches that the anchor drops.
        momentum: of the teacher, a number or a schedule; 0.996 rising to 1 in a line in the paper.
        temperature, sharpening, sinkhorn, entropy_weight: as for `masked_siamese_objective`.
    Returns:
        A `Method`; views: two global ones, the anchor and the target, and, with multi-crop, local anchors.
    References:
        MSN, arXiv:2204.07141
    """
    check_hides(encoder, "msn")
    anchor = visible_only(encoder, visible=lambda patches: int(patches * (1 - ratio)))
    network = with_heads(anchor, cls=head or msn_head(), scores=("cls", Prototypes(prototypes)))
    objective = objectives.masked_siamese_objective(
        temperature=temperature, sharpening=sharpening, sinkhorn=sinkhorn, entropy_weight=entropy_weight
    )
    return self_distillation(
        network._replace(encode=None, heads=None),
        objective,
        momentum=momentum,
        student_only=("scores",),
        masking=lambda keys, images, taught: random_mask(keys, encoder.grid(images.shape), ratio=ratio),
        student_sees=anchor_views,
        teacher_sees=key_view,
        exposes=learned_prototypes,
    )


def learned_prototypes(params):
    """Exposes the student's prototypes [K, D]; a teacher has none."""
    return {"prototypes": params["scores"]["kernel"].T} if "scores" in params else {}
