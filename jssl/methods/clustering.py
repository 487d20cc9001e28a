"""Clustering methods: the views of an image predict the same assignment to prototypes or clusters."""

import jax.numpy as jnp

from jssl import objectives
from jssl.methods.base import Method, Refresh
from jssl.methods.frames.forward import apart, key_view, query_view
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.frames.siamese import siamese
from jssl.models.headed import with_heads
from jssl.models.heads import Prototypes, moco_v3_head, swav_head
from jssl.objectives.base import value_at


def swav(
    encoder,
    *,
    prototypes: int = 3000,
    head=None,
    temperature: float = 0.1,
    epsilon: float = 0.05,
    queue: int = 0,
    queue_start: int = 0,
) -> Method:
    """Predicts each view's balanced assignment to prototypes from the other views.

    Freeze the prototypes for the first epoch, by `freeze_during`.

    Args:
        encoder: anything `network` takes.
        prototypes: the number K of prototypes; they are normalised in the forward pass.
        head: the projection MLP.
        temperature: of the prediction.
        epsilon: Sinkhorn's temperature.
        queue: the number of past embeddings that take part in balancing, for small batches.
        queue_start: the step from which on the queue is filled.
    Returns:
        A `Method`; views: two global ones, which are assigned, and, with multi-crop, local ones.
    References:
        SwAV, arXiv:2006.09882
    """
    network = with_heads(
        encoder, projection=head or swav_head(), scores=("projection", Prototypes(prototypes))
    )
    objective = objectives.swapped_assignment(
        "scores", temperature=temperature, epsilon=epsilon, queue=queue, queue_start=queue_start
    )
    return siamese(network, objective, exposes=lambda params: {"prototypes": params["scores"]["kernel"].T})


def deepcluster_v2(
    encoder,
    *,
    examples: int,
    clusters: tuple[int, ...] = (3000, 3000, 3000),
    head=None,
    temperature: float = 0.1,
) -> Method:
    """Classifies every view by its image's cluster; images are clustered anew after every epoch.

    Nothing is learned in the first epoch, which only fills the banks that are clustered.

    Args:
        encoder: anything `network` takes.
        examples: how many images the data has: each is remembered by its index.
        clusters: the number of clusters of each clustering.
        head: the projection MLP.
        temperature: of the softmax.
    Returns:
        A `Method` with `refresh`; views: two global ones, which are clustered, with multi-crop local ones,
        and "index" [B].
    References:
        DeepCluster v2, arXiv:2006.09882
    """
    objective = objectives.cluster_classification(
        "cls", examples=examples, clusters=clusters, temperature=temperature
    )
    network = with_heads(encoder, cls=head or swav_head())
    return siamese(network, objective, refresh=Refresh(None, objectives.recluster))


def smog(
    encoder,
    *,
    prototypes: int = 300,
    head=None,
    predictor=None,
    temperature: float = 0.1,
    group_momentum: float = 0.99,
    momentum=0.99,
    recent: int = 10000,
    restart: int = 300,
) -> Method:
    """Predicts the group of the other view; the groups move with every batch.

    Args:
        encoder: anything `network` takes.
        prototypes: how many groups.
        head: the projection MLP, with a batch norm without parameters at its end.
        predictor: the prediction MLP, which the teacher lacks.
        temperature: of the softmax.
        group_momentum: the momentum of the groups.
        momentum: of the teacher, a number or a schedule.
        recent: the number of past projections that are clustered.
        restart: every so many steps, the groups are computed anew by k-means, and the teacher becomes a copy
            of the student.
    Returns:
        A `Method` with `refresh`; views: two global ones, the student's and the teacher's.
    References:
        SMoG, arXiv:2207.06167
    """
    head, predictor = head or moco_v3_head(128, hidden=2048, layers=2), predictor or swav_head()
    network = with_heads(encoder, projection=head, prediction=("projection", predictor))
    objective = objectives.momentum_grouping(
        groups=prototypes, momentum=group_momentum, temperature=temperature, recent=recent
    )

    def follows(step):
        return jnp.where((step + 1) % restart == 0, 0.0, value_at(momentum, step))

    return self_distillation(
        network,
        objective,
        momentum=follows,
        student_only=("prediction",),
        student_sees=query_view,
        teacher_sees=key_view,
        across=apart,
        evaluated="student",
        refresh=Refresh(restart, objectives.regroup),
    )
