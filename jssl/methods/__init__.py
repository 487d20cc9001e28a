"""Named methods, each a choice of networks and losses over one of a few engines (`jssl.methods.frames`)."""

from jssl.methods.base import Method
from jssl.methods.clustering import deepcluster_v2, smog, swav
from jssl.methods.contrastive import invariant_spreading, moco_v2, npid, pcl, simclr
from jssl.methods.distillation import dino, esvit, ibot
from jssl.methods.hybrids import mim_contrast, slip
from jssl.methods.labels import supervised
from jssl.methods.masked import i_jepa, mae, simmim
from jssl.methods.multimodal import clip
from jssl.methods.negative_free import barlow_twins, byol, simsiam, vicreg
from jssl.methods.patches import cpc, cpc_v2
from jssl.methods.pretext import rotation
from jssl.methods.weighted import weighted_methods
from jssl.methods.words import obow

__all__ = [
    "Method",
    "barlow_twins",
    "byol",
    "clip",
    "cpc",
    "cpc_v2",
    "deepcluster_v2",
    "dino",
    "esvit",
    "i_jepa",
    "ibot",
    "invariant_spreading",
    "mae",
    "mim_contrast",
    "moco_v2",
    "npid",
    "obow",
    "pcl",
    "rotation",
    "simclr",
    "simmim",
    "simsiam",
    "slip",
    "smog",
    "supervised",
    "swav",
    "vicreg",
    "weighted_methods",
]
