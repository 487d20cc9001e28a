"""Methods with a momentum encoder, MoCo and related ones: its outputs are the targets."""

from functools import partial

from jssl.methods.base import Method, Refresh
from jssl.methods.frames.forward import apart, in_groups, key_view, query_view
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.pairs import between_views
from jssl.models.headed import with_heads
from jssl.models.heads import moco_head, moco_v3_head
from jssl.models.tiles import with_tiles
from jssl.objectives import (
    named,
    prototype_contrast,
    queue_contrast,
    refresh,
    relational,
    remember,
    scaled_info_nce,
    tile_contrast,
    weighted_sum,
)


def moco_v1(
    encoder, *, head=None, queue: int = 65536, temperature: float = 0.07, momentum=0.999, groups: int = 8
) -> Method:
    """Finds the momentum encoder's key of the other view among a queue of past keys, with a linear head.

    Args:
        encoder: anything `network` takes.
        head: the projection, one linear layer by default.
        queue, temperature, momentum, groups: as for `moco_v2`.
    Returns:
        A `Method`; views: two global ones, query and key.
    References:
        MoCo, arXiv:1911.05722
    """
    how = dict(queue=queue, temperature=temperature, momentum=momentum, groups=groups)
    return moco_v2(encoder, head=head or moco_head(hidden=None), **how)


def moco_v2(
    encoder, *, head=None, queue: int = 65536, temperature: float = 0.2, momentum=0.999, groups: int = 8
) -> Method:
    """Finds the momentum encoder's key of the other view among a queue of past keys, with an MLP head.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP.
        queue: past keys kept, a multiple of the batch.
        temperature: of the contrast.
        momentum: of the key encoder, a number or a schedule.
        groups: the number of groups of queries with separate batch statistics, as on the paper's 8 GPUs.
    Returns:
        A `Method`; views: two global ones, query and key.
    References:
        MoCo v2, arXiv:2003.04297
    """
    network = with_heads(encoder, cls=head or moco_head())
    objective = queue_contrast("cls", size=queue, temperature=temperature)
    return momentum_contrast(network, objective, momentum=momentum, groups=groups)


def infomin(
    encoder,
    *,
    head=None,
    tile=None,
    join=None,
    tile_weight: float = 0.5,
    queue: int = 65536,
    temperature: float = 0.15,
    momentum=0.999,
    groups: int = 8,
) -> Method:
    """Contrasts as MoCo does, with views that share little information and with shuffled tiles of a view.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP of queries and keys.
        tile: the projection of each tile, by default as wide as `head`.
        join: the layer from the concatenated vectors of the tiles to one vector, linear by default.
        tile_weight: weight of the tiles' loss; the loss of the whole query has 1 - tile_weight.
        queue, temperature, momentum, groups: as for `moco_v2`.
    Returns:
        A `Method`; views: two global ones, query and key, and "tiles" [B, N, h, w, C] of the image, such as
        those of `jssl.data.views.infomin`.
    References:
        InfoMin, arXiv:2005.10243
    """
    heads = dict(tile=tile or moco_head(), join=join or moco_head(hidden=None))
    network = with_tiles(encoder, cls=head or moco_head(), **heads)
    objective = tile_contrast("cls", size=queue, temperature=temperature, weight=tile_weight)
    return momentum_contrast(
        network,
        objective,
        momentum=momentum,
        groups=groups,
        student_only=("tile", "join"),
        beside=lambda views: {"tiles": named(views, "tiles", "views")[None]},
    )


def moco_v3(encoder, *, head=None, predictor=None, temperature: float = 0.2, momentum=0.99) -> Method:
    """Predicts, from one view, the momentum encoder's key of the other, among the keys of the batch.

    The authors freeze a ViT's random patch projection: use `freeze_during`.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP, 3 layers by default.
        predictor: the prediction MLP, 2 layers by default, which the momentum encoder lacks.
        temperature: T; 0.2 for ViTs, 1 for ResNets.
        momentum: of the key encoder; 0.99 rising to 1 in the paper, `teacher_momentum(0.99, steps)`.
    Returns:
        A `Method`; views: two global ones. The loss is the sum of both directions, each 2 T times its mean.
    References:
        MoCo v3, arXiv:2104.02057
    """
    network = with_heads(
        encoder, cls=head or moco_v3_head(), prediction=("cls", predictor or moco_v3_head(layers=2))
    )

    objective = between_views(partial(scaled_info_nce, temperature=temperature), student="prediction")
    return self_distillation(
        network, objective, momentum=momentum, student_only=("prediction",), across=apart, evaluated="student"
    )


def ressl(
    encoder,
    *,
    head=None,
    queue: int = 131072,
    temperature: float = 0.1,
    teacher_temperature: float = 0.04,
    momentum=0.999,
    groups: int = 8,
) -> Method:
    """Matches a strongly augmented view's similarities to past images to the teacher's for a weak view.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP, linear, ReLU, linear, 4096 to 512 by default.
        queue: the number of the teacher's past embeddings kept, a multiple of the batch.
        temperature: the temperature of the student's similarities.
        teacher_temperature: the temperature of the teacher's similarities, which must be lower.
        momentum, groups: as for `moco_v2`.
    Returns:
        A `Method`; views: two global ones, the strong view first and the weak one last.
    Raises:
        ValueError: for a teacher's temperature that is not lower than the student's.
    References:
        ReSSL, arXiv:2107.09282
    """
    if teacher_temperature >= temperature:
        raise ValueError(
            f"ressl: teacher_temperature={teacher_temperature} must be below temperature={temperature}; a "
            "teacher that is no sharper than the student has nothing to teach"
        )
    network = with_heads(encoder, cls=head or moco_head(512, hidden=4096))
    objective = relational(
        "cls", size=queue, student_temperature=temperature, teacher_temperature=teacher_temperature
    )
    return momentum_contrast(network, objective, momentum=momentum, groups=groups)


def pcl(
    encoder,
    *,
    examples: int,
    clusters: tuple[int, ...] = (25000, 50000, 100000),
    negatives: int = 16384,
    restarts: int = 5,
    start: int = 0,
    head=None,
    queue: int = 16384,
    temperature: float = 0.2,
    momentum=0.999,
    groups: int = 8,
) -> Method:
    """Contrasts as MoCo does, and with prototypes: the centroids of clusters at several granularities.

    Args:
        encoder: anything `network` takes.
        examples: how many images the data has. The bank has a row for each, by its index, and is clustered
            after every epoch. If the trainer calls `Refresh.observe` with all images, the bank then holds the
            momentum encoder's outputs in evaluation mode.
        clusters: the number of clusters at each granularity.
        negatives: the number of prototypes drawn as negatives.
        restarts: how often k-means is run.
        start: the step before which there is no clustering and only the contrast with keys is trained.
        head, queue, temperature, momentum, groups: as for `moco_v2`.
    Returns:
        A `Method` with `refresh`; views: two global ones, query and key, and "index" [B].
    References:
        PCL, arXiv:2005.04966
    """
    network = with_heads(encoder, cls=head or moco_head())
    objective = weighted_sum(
        instance=(1.0, queue_contrast("cls", size=queue, temperature=temperature)),
        prototype=(
            1.0,
            prototype_contrast(
                "cls", examples=examples, clusters=clusters, negatives=negatives, temperature=temperature
            ),
        ),
    )

    def clustered(key, memory):
        return memory | {"prototype": refresh(key, memory["prototype"], restarts=restarts)}

    def observe(params, teacher, memory, images, index):
        outputs, _ = network.apply(teacher, memory["statistics"]["teacher"], images)
        terms = memory["objective"]
        seen = remember(terms["prototype"], index, outputs["cls"])
        return memory | {"objective": terms | {"prototype": seen}}

    again = Refresh(None, clustered, start, observe)
    return momentum_contrast(network, objective, momentum=momentum, groups=groups, refresh=again)


def momentum_contrast(network, objective, *, momentum, groups: int, refresh=None, **more) -> Method:
    """Builds MoCo's frame: the student sees queries, the first view, and the teacher keys, the last one.

    Only a query and its key come from the same batch, so shared batch statistics could reveal the match.
    Therefore the paper normalises the share of each of 8 GPUs by itself and shuffles keys between them. Here
    all keys are normalised together: the covariance of their mean with a group's mean is 1 / B, the same as
    for a shuffled group.

    Args:
        network: the network with its heads.
        objective: reads queries as student and keys as target.
        groups: the number of groups of queries, each with batch statistics of its own.
        momentum, refresh, more: as for `self_distillation`.
    Returns:
        A `Method`.
    References:
        MoCo, arXiv:1911.05722
    """
    return self_distillation(
        network,
        objective,
        momentum=momentum,
        student_sees=query_view,
        teacher_sees=key_view,
        across=in_groups(groups),
        teacher_across=apart,
        evaluated="student",
        refresh=refresh,
        **more,
    )
