"""Views: what is done to a sample before networks see it, as functions (key, batch) -> views."""

from jssl.data.augment.base import CIFAR, CLIP, IMAGENET, SIGNED, SWAV, UNCHANGED, Statistics
from jssl.data.views.compose import SMALL, Batch, Images, Views, multi_crop, renormalized, two_views
from jssl.data.views.corruption import corrupted
from jssl.data.views.evaluation import evaluation_view
from jssl.data.views.instances import invariant_spreading, moco_v1, npid, npid_cifar, npid_view
from jssl.data.views.labelled import fine_tuning, mixed
from jssl.data.views.multicrop import dino, dinov2, dinov3, ibot, local_side, msn, swav
from jssl.data.views.pairs import (
    byol,
    byol_view,
    cmae,
    infomin,
    moco_v2,
    moco_v2_view,
    moco_v3,
    papers_blur,
    ressl,
    simclr,
    simclr_view,
    smog,
    supcon,
)
from jssl.data.views.patches import cpc, cpc_v2, puzzle
from jssl.data.views.plain import (
    beit,
    clip,
    colorization,
    context_encoder,
    crops,
    data2vec,
    eva,
    handwriting,
    i_jepa,
    mae,
    rotation,
    siglip,
    simmim,
    slip,
    spot_artifacts,
)
from jssl.data.views.whole import obow, whole_and_crops

NAMED = {
    views.__name__: views
    for views in (
        simclr,
        moco_v1,
        moco_v2,
        ressl,
        supcon,
        npid,
        npid_cifar,
        invariant_spreading,
        byol,
        moco_v3,
        smog,
        dino,
        ibot,
        dinov2,
        msn,
        dinov3,
        swav,
        obow,
        whole_and_crops,
        mae,
        beit,
        eva,
        simmim,
        i_jepa,
        data2vec,
        rotation,
        colorization,
        context_encoder,
        spot_artifacts,
        cpc,
        cpc_v2,
        puzzle,
        clip,
        siglip,
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
    """Returns the statistics that views are normalised with, by their name: ImageNet's for most.

    Examples:
        >>> statistics("swav").std
        (0.228, 0.224, 0.225)
    """
    others = {"simclr": UNCHANGED, "swav": SWAV, "clip": CLIP, "eva": CLIP}
    others |= dict.fromkeys(("invariant_spreading", "npid_cifar", "supcon"), CIFAR)
    others |= {
        "colorization": UNCHANGED,
        "context_encoder": SIGNED,
        "spot_artifacts": SIGNED,
        "siglip": SIGNED,
    }
    return others.get(name, IMAGENET)


__all__ = [
    "NAMED",
    "SMALL",
    "Batch",
    "Images",
    "Statistics",
    "Views",
    "beit",
    "byol",
    "byol_view",
    "clip",
    "cmae",
    "colorization",
    "context_encoder",
    "corrupted",
    "cpc",
    "cpc_v2",
    "crops",
    "data2vec",
    "dino",
    "dinov2",
    "dinov3",
    "eva",
    "evaluation_view",
    "fine_tuning",
    "handwriting",
    "i_jepa",
    "ibot",
    "infomin",
    "invariant_spreading",
    "local_side",
    "mae",
    "mixed",
    "moco_v1",
    "moco_v2",
    "moco_v2_view",
    "moco_v3",
    "msn",
    "multi_crop",
    "npid",
    "npid_cifar",
    "npid_view",
    "obow",
    "papers_blur",
    "puzzle",
    "renormalized",
    "ressl",
    "rotation",
    "siglip",
    "simclr",
    "simclr_view",
    "simmim",
    "slip",
    "smog",
    "spot_artifacts",
    "statistics",
    "supcon",
    "swav",
    "two_views",
    "whole_and_crops",
]
