"""Methods without negatives: a predictor, a teacher or a statistic of the batch keeps them from
collapsing.
"""

from functools import partial

from jssl import objectives
from jssl.methods.base import Method
from jssl.methods.frames.forward import apart
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.frames.siamese import siamese
from jssl.methods.pairs import between_views, over_views
from jssl.models.headed import with_heads
from jssl.models.heads import barlow_head, byol_head, simsiam_head, simsiam_predictor, vicreg_head


def byol(encoder, *, head=None, predictor=None, momentum=0.996) -> Method:
    """Predicts the teacher's projection of one view from the other view, without negatives.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP.
        predictor: the prediction MLP, which the teacher lacks.
        momentum: of the teacher; 0.996 rising to 1 in the paper, `teacher_momentum(0.996, steps)`.
    Returns:
        A `Method`; views: two global ones. The loss is the sum of both directions, 0 to 8.
    References:
        BYOL, arXiv:2006.07733
    """
    network = with_heads(encoder, cls=head or byol_head(), prediction=("cls", predictor or byol_head()))
    objective = between_views(objectives.normalized_mse, student="prediction")
    return self_distillation(
        network, objective, momentum=momentum, student_only=("prediction",), across=apart, evaluated="student"
    )


def simsiam(encoder, *, head=None, predictor=None) -> Method:
    """Predicts the projection of one view from the other, without a gradient into the projection.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP.
        predictor: the prediction MLP.
    Returns:
        A `Method`; views: two global ones. The loss is the mean of both directions, -1 to 1.
    References:
        SimSiam, arXiv:2011.10566
    """
    network = with_heads(
        encoder, cls=head or simsiam_head(), prediction=("cls", predictor or simsiam_predictor())
    )

    def half(prediction, target):
        return objectives.negative_cosine_similarity(prediction, target) / 2

    return siamese(network, between_views(half, student="prediction"), across=apart)


def barlow_twins(encoder, *, head=None, off_diagonal_weight: float = 5e-3) -> Method:
    """Drives the cross-correlation matrix of two views' embeddings to the identity.

    Args:
        encoder: anything `network` takes.
        head: the expander MLP.
        off_diagonal_weight: weight of the terms off the diagonal.
    Returns:
        A `Method`; views: two global ones.
    References:
        Barlow Twins, arXiv:2103.03230
    """
    loss = partial(objectives.barlow_twins, off_diagonal_weight=off_diagonal_weight)
    return siamese(with_heads(encoder, cls=head or barlow_head()), over_views(loss), across=apart)


def vicreg(
    encoder, *, head=None, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> Method:
    """Makes two views agree, keeps the variance of features over the batch, and decorrelates features.

    Args:
        encoder: anything `network` takes.
        head: the expander MLP.
        invariance, variance, covariance: weights of the three terms.
    Returns:
        A `Method`; views: two global ones.
    References:
        VICReg, arXiv:2105.04906
    """
    loss = partial(objectives.vicreg, invariance=invariance, variance=variance, covariance=covariance)
    return siamese(with_heads(encoder, cls=head or vicreg_head()), over_views(loss), across=apart)
