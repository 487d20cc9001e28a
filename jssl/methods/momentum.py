"""Methods with a momentum encoder, MoCo's kin: what it makes of images is what is found or followed."""

from functools import partial

from jssl.methods.base import Method
from jssl.methods.contrastive import moco_v2, momentum_contrast
from jssl.methods.frames.forward import apart
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.pairs import between_views
from jssl.models.heads import moco_head, moco_v3_head
from jssl.models.network import with_heads
from jssl.models.tiles import with_tiles
from jssl.objectives import named, relational, scaled_info_nce, tile_contrast


def moco_v1(
    encoder, *, head=None, queue: int = 65536, temperature: float = 0.07, momentum=0.999, groups: int = 8
) -> Method:
    """Makes a query find the momentum encoder's key of the other view among past keys, by one linear layer.

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
    """Makes a query, whole and in shuffled tiles, find its key, in views that share what a task needs alone.

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
    """Makes a prediction of one view find the momentum encoder's key of the other among those of the batch.

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
    """Makes a strongly augmented view as similar to past images as the teacher finds a weak one, sharpened.

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
