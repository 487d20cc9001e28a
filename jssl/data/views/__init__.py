"""Views: what is done to a sample before networks see it, as functions (key, batch) -> views."""

from jssl.data.augment.base import UNCHANGED, Statistics
from jssl.data.views.compose import SMALL, Batch, Images, Views, multi_crop, renormalized, two_views
from jssl.data.views.evaluation import evaluation_view
from jssl.data.views.labelled import fine_tuning, mixed
from jssl.data.views.multicrop import SWAV, dino, dinov2, dinov3, ibot, local_side, swav
from jssl.data.views.pairs import (
    byol,
    byol_view,
    infomin,
    moco_v2,
    moco_v2_view,
    papers_blur,
    simclr,
    simclr_view,
)
from jssl.data.views.plain import CLIP, clip, crops, handwriting, i_jepa, mae, rotation, simmim, slip

NAMED = {
    views.__name__: views
    for views in (
        simclr,
        moco_v2,
        byol,
        dino,
        ibot,
        dinov2,
        dinov3,
        swav,
        mae,
        simmim,
        i_jepa,
        rotation,
        clip,
        slip,
        infomin,
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
    "crops",
    "dino",
    "dinov2",
    "dinov3",
    "evaluation_view",
    "fine_tuning",
    "handwriting",
    "i_jepa",
    "ibot",
    "infomin",
    "local_side",
    "mae",
    "mixed",
    "moco_v2",
    "moco_v2_view",
    "multi_crop",
    "papers_blur",
    "renormalized",
    "rotation",
    "simclr",
    "simclr_view",
    "simmim",
    "slip",
    "statistics",
    "swav",
    "two_views",
]
