"""Named methods, each a choice of networks and losses over one of a few engines (`jssl.methods.frames`)."""

from jssl.methods.balanced import dinov2, dinov2_distill, dinov3
from jssl.methods.base import Method
from jssl.methods.clustering import swav
from jssl.methods.contrastive import moco_v2, pcl, simclr
from jssl.methods.distillation import dino, ibot
from jssl.methods.hybrids import mim_contrast, slip
from jssl.methods.labels import supervised
from jssl.methods.masked import i_jepa, mae, simmim
from jssl.methods.multimodal import clip
from jssl.methods.negative_free import barlow_twins, byol, simsiam, vicreg
from jssl.methods.pretext import rotation
from jssl.methods.weighted import weighted_methods

__all__ = [
    "Method",
    "barlow_twins",
    "byol",
    "clip",
    "dino",
    "dinov2",
    "dinov2_distill",
    "dinov3",
    "i_jepa",
    "ibot",
    "mae",
    "mim_contrast",
    "moco_v2",
    "pcl",
    "rotation",
    "simclr",
    "simmim",
    "simsiam",
    "slip",
    "supervised",
    "swav",
    "vicreg",
    "weighted_methods",
]
