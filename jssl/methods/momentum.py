"""Methods with a momentum encoder, MoCo's kin: what it makes of images is what is found or followed."""

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
        queue, temperature, momentum, groups: as for `moco_v2`, which has a deeper head.
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
        groups: of queries, normalised apart as on the paper's 8 GPUs.
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
        head: the projection MLP, of queries and keys.
        tile: that of each tile, as wide by default.
        join: from the tiles' vectors in a row to one, linear by default.
        tile_weight: of the tiles' loss; that of the whole query has the rest.
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

    The authors keep a ViT's random patch projection as it is: `freeze_during`.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP, 3 layers by default.
        predictor: the prediction MLP, 2 layers by default, which the momentum encoder lacks.
        temperature: T; 0.2 for ViTs, 1 for ResNets.
        momentum: of the key encoder; 0.99 rising to 1 in the paper, `teacher_momentum(0.99, steps)`.
    Returns:
        A `Method`; views: two global ones. The loss adds up both directions, each 2 T times its mean.
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
        queue: the teacher's past embeddings kept, a multiple of the batch.
        temperature: of the student's similarities.
        teacher_temperature: of the teacher's, which must be lower.
        momentum, groups: as for `moco_v2`.
    Returns:
        A `Method`; views: two global ones, the strong view first and the weak one last.
    Raises:
        ValueError: for a teacher that is no sharper than the student.
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
        examples: how many images the data has: each is remembered by its index, and they are clustered after
            every epoch, by what the momentum encoder makes of them in evaluation mode where whoever trains
            shows it all images (`Refresh`).
        clusters: how many at each granularity.
        negatives: prototypes drawn.
        restarts: of k-means.
        start: the step before which nothing is clustered, and only the keys are contrasted.
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

    A query and its key, alone in coming from the same batch, could be told from others by common statistics;
    so the paper normalises each of 8 GPUs' shares by itself and shuffles keys between them. Here keys are
    normalised together: their mean has the same covariance with a group's as a shuffled group's, 1 / B.

    Args:
        network: with the heads on.
        objective: given queries as student and keys as target.
        groups: of queries, each normalised by itself.
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
