"""Views: what is done to a sample before networks see it, as functions (key, batch) -> views."""

from jssl.data.augment.base import CLIP, UNCHANGED, Statistics
from jssl.data.views.compose import SMALL, Batch, Images, Views, multi_crop, renormalized, two_views
from jssl.data.views.corruption import corrupted
from jssl.data.views.evaluation import evaluation_view
from jssl.data.views.labelled import fine_tuning, mixed
from jssl.data.views.multicrop import SWAV, dino, dinov2, ibot, local_side, msn, swav
from jssl.data.views.pairs import (
    byol,
    byol_view,
    cmae,
    infomin,
    moco_v1,
    moco_v2,
    moco_v2_view,
    papers_blur,
    ressl,
    simclr,
    simclr_view,
)
from jssl.data.views.plain import (
    clip,
    crops,
    data2vec,
    handwriting,
    i_jepa,
    mae,
    rotation,
    simmim,
    slip,
)

NAMED = {
    views.__name__: views
    for views in (
        simclr,
        moco_v1,
        moco_v2,
        ressl,
        byol,
        dino,
        ibot,
        dinov2,
        msn,
        swav,
        mae,
        simmim,
        i_jepa,
        data2vec,
        rotation,
        clip,
        slip,
        infomin,
        cmae,
        handwriting,
        crops,
        fine_tuning,
    )
}
"""Views by name: what `--views` understands; each takes `size`."""


def statistics(name: str) -> Statistics:
    """Tells what the views of a name are normalised with: ImageNet's mean and deviation but for a few.

    >>> statistics("swav").std
    (0.228, 0.224, 0.225)
    """
    return {"simclr": UNCHANGED, "swav": SWAV, "clip": CLIP}.get(name, Statistics())


__all__ = [
    "NAMED",
    "SMALL",
    "Batch",
    "Images",
    "Statistics",
    "Views",
    "byol",
    "byol_view",
    "clip",
    "cmae",
    "corrupted",
    "crops",
    "data2vec",
    "dino",
    "dinov2",
    "evaluation_view",
    "fine_tuning",
    "handwriting",
    "i_jepa",
    "ibot",
    "infomin",
    "local_side",
    "mae",
    "mixed",
    "moco_v1",
    "moco_v2",
    "moco_v2_view",
    "msn",
    "multi_crop",
    "papers_blur",
    "renormalized",
    "ressl",
    "rotation",
    "simclr",
    "simclr_view",
    "simmim",
    "slip",
    "statistics",
    "swav",
    "two_views",
]
