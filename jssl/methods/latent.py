"""Latent prediction: a student predicts, from a part of an image, an EMA teacher's features of the whole
image.
"""

from functools import partial

from jssl import objectives
from jssl.masks import random_mask
from jssl.methods.base import Method, check_hides
from jssl.methods.distillation import sometimes_blocks
from jssl.methods.frames.complement import complement
from jssl.methods.frames.forward import anchor_views, key_view
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.pairs import reconstructed
from jssl.models.headed import with_heads
from jssl.models.heads import Prototypes, linear_head, msn_head
from jssl.models.masked.autoencoder import visible_only
from jssl.models.masked.decoders import MaskedDecoder
from jssl.models.masked.targets import block_targets


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
    """Matches the prototype assignments of a masked view, and of small views, to that of another, whole view.

    Patches are dropped at random for each image; in the authors' code all images on a GPU drop the same ones.

    As in the authors' code, heads are called once for all views of one size, which share batch statistics.

    Args:
        encoder: a `ViT`.
        prototypes: the number K of prototypes; they are trained through the anchors, and the teacher has
            none.
        head: the projection, `msn_head()` by default.
        ratio: share of the patches that the anchor drops.
        momentum: of the teacher, a number or a schedule; 0.996 rising linearly to 1 in the paper.
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


def data2vec(
    encoder,
    *,
    layers: int = 6,
    ratio: float = 0.6125,
    momentum=0.9998,
    beta: float = 2.0,
    each: int | None = -1,
    mean: int | None = -1,
) -> Method:
    """Predicts, from an image with mask tokens, the mean of the teacher's last blocks on the whole image.

    Args:
        encoder: a `ViT`.
        layers: how many of the teacher's last blocks are averaged for the target.
        ratio: share of the patches hidden, in blocks.
        momentum: of the teacher, a number or a schedule.
        beta: the size of the error at which it changes from quadratic to linear.
        each, mean: the axis over which each block's tokens and their mean are normalised, -1 the features, -2
            the tokens; None: not normalised.
    Returns:
        A `Method`; views: one global one. The student's features are evaluated, as the authors do.
    References:
        data2vec, arXiv:2202.03555
    """
    check_hides(encoder, "data2vec")
    make = partial(objectives.averaged_blocks, last=layers, each=each, mean=mean)
    return self_distillation(
        with_heads(block_targets(encoder, make), patch=linear_head(encoder.dim)),
        objectives.patch_regression(beta=beta),
        momentum=momentum,
        student_only=("patch",),
        masking=sometimes_blocks(encoder, ratio=(ratio, ratio), probability=1.0),
        evaluated="student",
    )


def sdae(encoder, *, decoder=None, ratio: float = 0.75, folds: int = 3, momentum=0.96) -> Method:
    """Predicts a teacher's features of hidden patches from the visible ones; the teacher sees a part of the
    hidden patches at a time.

    Args:
        encoder: a `ViT`.
        decoder: a decoder with outputs as wide as the encoder, `MaskedDecoder(encoder.dim)` by default.
        ratio: share of the patches hidden.
        folds: the number of equal parts into which the hidden patches are divided for the teacher.
        momentum: of the teacher, a number or a schedule; in the paper it moves once an epoch, `optim.every`.
    Returns:
        A `Method`; views: one global one. The loss is 1 minus the cosine with the teacher's standardised
        tokens.
    References:
        SdAE, arXiv:2208.00449
    """
    check_hides(encoder, "sdae")
    return complement(
        encoder,
        decoder or MaskedDecoder(encoder.dim),
        reconstructed(distance="cosine", normalize_target=True),
        momentum=momentum,
        masking=lambda keys, images: random_mask(keys, encoder.grid(images.shape), ratio=ratio),
        visible=lambda patches: int(patches * (1 - ratio)),
        folds=folds,
    )


def learned_prototypes(params):
    """Exposes the student's prototypes [K, D]; a teacher has none."""
    return {"prototypes": params["scores"]["kernel"].T} if "scores" in params else {}
