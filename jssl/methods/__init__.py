"""Named methods, each a choice of networks and losses over one of a few engines (`jssl.methods.frames`)."""

from jssl.methods.base import Method
from jssl.methods.clustering import swav
from jssl.methods.contrastive import dcl, moco_v2, nnclr, pcl, simclr, simclr_v2
from jssl.methods.distillation import dino, ibot
from jssl.methods.hybrids import cmae, mim_contrast, sit, slip, splitmask
from jssl.methods.labels import distil, supcon, supervised
from jssl.methods.latent import data2vec, msn, sdae
from jssl.methods.masked import i_jepa, mae, simmim
from jssl.methods.momentum import infomin, moco_v1, moco_v3, ressl
from jssl.methods.multimodal import clip, flip, siglip
from jssl.methods.negative_free import barlow_twins, byol, simsiam, vicreg
from jssl.methods.pretext import rotation
from jssl.methods.weighted import weighted_methods

__all__ = [
    "Method",
    "barlow_twins",
    "byol",
    "clip",
    "cmae",
    "data2vec",
    "dcl",
    "dino",
    "distil",
    "flip",
    "i_jepa",
    "ibot",
    "infomin",
    "mae",
    "mim_contrast",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "msn",
    "nnclr",
    "pcl",
    "ressl",
    "rotation",
    "sdae",
    "siglip",
    "simclr",
    "simclr_v2",
    "simmim",
    "simsiam",
    "sit",
    "slip",
    "splitmask",
    "supcon",
    "supervised",
    "swav",
    "vicreg",
    "weighted_methods",
]
