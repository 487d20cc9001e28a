"""Views: what is done to a sample before networks see it, as functions (key, batch) -> views."""

from jssl.data.views.compose import SMALL, Batch, Images, Views, multi_crop, renormalized, two_views
from jssl.data.views.evaluation import evaluation_view
from jssl.data.views.labelled import fine_tuning, mixed
from jssl.data.views.multicrop import dino, dinov2, ibot, local_side, swav
from jssl.data.views.pairs import byol, byol_view, infomin, moco_v2, papers_blur, simclr, simclr_view
from jssl.data.views.plain import crops, handwriting, mae

NAMED = {
    views.__name__: views
    for views in (
        simclr,
        moco_v2,
        byol,
        dino,
        ibot,
        dinov2,
        swav,
        mae,
        infomin,
        handwriting,
        crops,
        fine_tuning,
    )
}
"""Views by name: what `--views` understands; each takes `size`."""

__all__ = [
    "NAMED",
    "SMALL",
    "Batch",
    "Images",
    "Views",
    "byol",
    "byol_view",
    "crops",
    "dino",
    "dinov2",
    "evaluation_view",
    "fine_tuning",
    "handwriting",
    "ibot",
    "infomin",
    "local_side",
    "mae",
    "mixed",
    "moco_v2",
    "multi_crop",
    "papers_blur",
    "renormalized",
    "simclr",
    "simclr_view",
    "swav",
    "two_views",
]
