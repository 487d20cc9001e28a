"""Named methods: each chooses networks and losses for one of a few forward passes (`jssl.methods.frames`)."""

from jssl.methods.adversarial import autoencoder, context_encoder, spot_artifacts
from jssl.methods.attended import attmask
from jssl.methods.balanced import dinov2, dinov2_distill, dinov3
from jssl.methods.base import Method
from jssl.methods.clustering import deepcluster_v2, smog, swav
from jssl.methods.colors import colorization
from jssl.methods.contrastive import dcl, invariant_spreading, nnclr, npid, simclr, simclr_v2
from jssl.methods.distillation import dino, esvit, ibot
from jssl.methods.hybrids import cmae, mim_contrast, sit, slip, splitmask
from jssl.methods.labels import cluster_transfer, distil, supcon, supervised
from jssl.methods.latent import data2vec, msn, sdae
from jssl.methods.masked import i_jepa, mae, simmim
from jssl.methods.masked_targets import beit, cae, eva, maskfeat
from jssl.methods.momentum import infomin, moco_v1, moco_v2, moco_v3, pcl, ressl
from jssl.methods.multimodal import clip, flip, siglip
from jssl.methods.negative_free import barlow_twins, byol, simsiam, vicreg
from jssl.methods.patches import cpc, cpc_v2
from jssl.methods.pretext import rotation
from jssl.methods.puzzles import context_prediction, counting, jigsaw, jigsaw_pp
from jssl.methods.tokens import tokenizer
from jssl.methods.weighted import weighted_methods
from jssl.methods.words import obow

__all__ = [
    "Method",
    "attmask",
    "autoencoder",
    "barlow_twins",
    "beit",
    "byol",
    "cae",
    "clip",
    "cluster_transfer",
    "cmae",
    "colorization",
    "context_encoder",
    "context_prediction",
    "counting",
    "cpc",
    "cpc_v2",
    "data2vec",
    "dcl",
    "deepcluster_v2",
    "dino",
    "dinov2",
    "dinov2_distill",
    "dinov3",
    "distil",
    "esvit",
    "eva",
    "flip",
    "i_jepa",
    "ibot",
    "infomin",
    "invariant_spreading",
    "jigsaw",
    "jigsaw_pp",
    "mae",
    "maskfeat",
    "mim_contrast",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "msn",
    "nnclr",
    "npid",
    "obow",
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
    "smog",
    "splitmask",
    "spot_artifacts",
    "supcon",
    "supervised",
    "swav",
    "tokenizer",
    "vicreg",
    "weighted_methods",
]
