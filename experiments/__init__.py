"""Every system, entered once: the name of its file, its class and what `jssl list` and the README say of it.

    from jssl.experiments import Dino
    jssl.run(Dino(data="folder:/images"))

A class is imported when it is asked for.
"""

import importlib

from jssl.run.settings.systems import System

REGISTRY = {
    "simclr": System("SimCLR", "SimCLR", "2002.05709", "siamese", knn=(9.4, 68.8), linear=(9.9, 72.4)),
    "simclr_v2": System(
        "SimCLR v2", "SimCLRV2", "2006.10029", "siamese", knn=(41.2, 95.7), linear=(36.8, 93.0)
    ),
    "simclr_v2_fine_tune": System(
        "SimCLR v2, fine-tuning",
        "SimCLRV2FineTune",
        "2006.10029",
        "supervised, from the head's middle",
        "labelled images",
        knn=(74.0, 94.9),
        linear=(89.7, 97.1),
    ),
    "simclr_v2_distil": System(
        "SimCLR v2, distillation",
        "SimCLRV2Distil",
        "2006.10029",
        "distillation, frozen teacher",
        knn=(47.1, 98.3),
        linear=(50.2, 98.8),
    ),
    "dcl": System("DCL", "DCL", "2110.06848", "siamese", knn=(51.9, 96.5), linear=(58.8, 97.4)),
    "nnclr": System(
        "NNCLR", "NNCLR", "2104.14548", "siamese, predictor, queue", knn=(41.2, 78.0), linear=(36.5, 66.4)
    ),
    "moco_v1": System(
        "MoCo", "MoCoV1", "1911.05722", "self-distillation, queue", knn=(51.9, 92.5), linear=(58.8, 95.0)
    ),
    "npid": System("NPID", "NPID", "1805.01978", "siamese, bank", knn=(51.9, 81.6), linear=(58.8, 78.4)),
    "invariant_spreading": System(
        "Invariant and spreading",
        "InvariantSpreading",
        "1904.03436",
        "siamese",
        knn=(51.9, 96.3),
        linear=(58.8, 97.8),
    ),
    "moco_v2": System(
        "MoCo v2", "MoCoV2", "2003.04297", "self-distillation, queue", knn=(51.9, 81.9), linear=(58.8, 73.9)
    ),
    "moco_v3": System(
        "MoCo v3",
        "MoCoV3",
        "2104.02057",
        "self-distillation, predictor",
        knn=(84.1, 94.4),
        linear=(71.6, 90.4),
    ),
    "infomin": System(
        "InfoMin",
        "InfoMin",
        "2005.10243",
        "self-distillation, queue, tiles",
        knn=(17.9, 21.2),
        linear=(16.1, 18.8),
    ),
    "ressl": System(
        "ReSSL", "ReSSL", "2107.09282", "self-distillation, queue", knn=(51.9, 65.6), linear=(58.8, 58.2)
    ),
    "pcl": System(
        "PCL", "PCL", "2005.04966", "self-distillation, queue, k-means", knn=(51.9, 80.4), linear=(58.8, 72.0)
    ),
    "byol": System(
        "BYOL", "BYOL", "2006.07733", "self-distillation, predictor", knn=(51.9, 69.4), linear=(58.8, 70.5)
    ),
    "simsiam": System(
        "SimSiam", "SimSiam", "2011.10566", "siamese, predictor", knn=(41.2, 52.0), linear=(36.5, 54.2)
    ),
    "barlow_twins": System(
        "Barlow Twins", "BarlowTwins", "2103.03230", "siamese", knn=(51.9, 82.3), linear=(58.8, 77.6)
    ),
    "vicreg": System("VICReg", "VICReg", "2105.04906", "siamese", knn=(41.2, 82.7), linear=(36.5, 69.9)),
    "swav": System(
        "SwAV", "SwAV", "2006.09882", "siamese, prototypes, multi-crop", knn=(51.9, 78.9), linear=(58.8, 76.6)
    ),
    "deepcluster_v2": System(
        "DeepCluster v2",
        "DeepClusterV2",
        "2006.09882",
        "siamese, k-means, multi-crop",
        knn=(39.0, 47.1),
        linear=(53.0, 56.2),
    ),
    "obow": System(
        "OBoW",
        "OBoW",
        "2012.11552",
        "self-distillation, dictionary of words",
        knn=(51.9, 91.0),
        linear=(58.8, 89.7),
    ),
    "smog": System(
        "SMoG",
        "SMoG",
        "2207.06167",
        "self-distillation, predictor, groups",
        knn=(51.9, 72.9),
        linear=(58.8, 74.0),
    ),
    "dino": System(
        "DINO", "Dino", "2104.14294", "self-distillation, multi-crop", knn=(81.1, 90.3), linear=(75.5, 85.0)
    ),
    "esvit": System(
        "EsViT",
        "EsViT",
        "2106.09785",
        "self-distillation, regions, multi-crop",
        knn=(52.3, 73.6),
        linear=(45.3, 46.6),
    ),
    "ibot": System(
        "iBOT", "IBOT", "2111.07832", "self-distillation, masks", knn=(81.5, 87.6), linear=(72.7, 80.7)
    ),
    "msn": System(
        "MSN",
        "MSN",
        "2204.07141",
        "self-distillation, prototypes, tokens dropped, multi-crop",
        knn=(78.8, 88.9),
        linear=(72.4, 88.3),
    ),
    "attmask": System(
        "AttMask",
        "AttMask",
        "2203.12719",
        "self-distillation, attended patches hidden",
        knn=(81.3, 87.6),
        linear=(82.0, 88.6),
    ),
    "dinov2": System(
        "DINOv2",
        "DINOv2",
        "2304.07193",
        "self-distillation, masks, balanced",
        knn=(80.0, 85.4),
        linear=(80.0, 93.6),
    ),
    "dinov2_distill": System(
        "DINOv2, distilled",
        "DINOv2Distill",
        "2304.07193",
        "distillation of a frozen teacher",
        knn=(80.0, 85.5),
        linear=(80.2, 92.9),
    ),
    "dinov3": System(
        "DINOv3",
        "DINOv3",
        "2508.10104",
        "self-distillation, masks, Gram anchoring",
        knn=(78.1, 78.2),
        linear=(70.7, 85.5),
    ),
    "mae": System(
        "MAE", "MAE", "2111.06377", "masked prediction, tokens dropped", knn=(86.5, 66.7), linear=(71.3, 82.6)
    ),
    "simmim": System(
        "SimMIM",
        "SimMIM",
        "2111.09886",
        "masked prediction, mask tokens",
        knn=(45.1, 46.0),
        linear=(43.6, 48.0),
    ),
    "tokenizer": System(
        "Tokenizer",
        "Tokenizer",
        "2102.12092",
        "discrete autoencoder, words for beit and cae",
        knn=(64.7, 82.0),
        linear=(53.6, 74.1),
    ),
    "beit": System(
        "BEiT",
        "BEiT",
        "2106.08254",
        "masked prediction, words of patches",
        knn=(80.0, 77.2),
        linear=(70.9, 83.9),
    ),
    "cae": System(
        "CAE",
        "CAE",
        "2202.03026",
        "masked prediction, latents and words, tokens dropped",
        knn=(85.9, 51.0),
        linear=(73.8, 50.3),
    ),
    "maskfeat": System(
        "MaskFeat",
        "MaskFeat",
        "2112.09133",
        "masked prediction, histograms of gradients",
        knn=(81.3, 49.7),
        linear=(73.0, 55.2),
    ),
    "eva": System(
        "EVA",
        "EVA",
        "2211.07636",
        "masked prediction, a frozen CLIP",
        "images, a CLIP",
        knn=(58.1, 80.5),
        linear=(51.2, 76.2),
    ),
    "i_jepa": System(
        "I-JEPA", "IJEPA", "2301.08243", "joint-predictive", knn=(85.7, 83.9), linear=(67.5, 73.2)
    ),
    "data2vec": System(
        "data2vec",
        "Data2Vec",
        "2202.03555",
        "self-distillation, mask tokens",
        knn=(77.0, 88.0),
        linear=(63.6, 76.9),
    ),
    "sdae": System(
        "SdAE",
        "SdAE",
        "2208.00449",
        "masked prediction, teacher of the hidden patches",
        knn=(86.6, 80.3),
        linear=(71.5, 78.3),
    ),
    "splitmask": System(
        "SplitMask",
        "SplitMask",
        "2112.10740",
        "masked prediction, halves, words, contrast",
        knn=(85.3, 98.6),
        linear=(71.8, 98.9),
    ),
    "cmae": System(
        "CMAE",
        "CMAE",
        "2207.13532",
        "masked prediction, contrast with a teacher",
        knn=(84.4, 89.2),
        linear=(75.0, 91.0),
    ),
    "sit": System(
        "SiT",
        "SiT",
        "2104.03602",
        "self-distillation, corrupted pixels",
        knn=(78.8, 93.3),
        linear=(72.4, 96.5),
    ),
    "mim_contrast": System(
        "MIM + contrast",
        "MIMContrast",
        "2305.00729",
        "masked prediction, contrast",
        knn=(81.5, 97.6),
        linear=(72.7, 98.1),
    ),
    "clip": System(
        "CLIP", "CLIP", "2103.00020", "towers", "images and captions", knn=(61.8, 98.6), linear=(54.6, 98.4)
    ),
    "flip": System(
        "FLIP",
        "FLIP",
        "2212.00794",
        "towers, patches dropped",
        "images and captions",
        knn=(82.8, 99.6),
        linear=(71.5, 99.3),
    ),
    "siglip": System(
        "SigLIP",
        "SigLIP",
        "2303.15343",
        "towers",
        "images and captions",
        knn=(52.2, 93.0),
        linear=(42.8, 93.8),
    ),
    "slip": System(
        "SLIP",
        "SLIP",
        "2112.12750",
        "towers and siamese",
        "images and captions",
        knn=(73.1, 96.3),
        linear=(66.9, 97.8),
    ),
    "cpc": System(
        "CPC", "CPC", "1807.03748", "siamese, patches, contexts", knn=(61.3, 69.0), linear=(46.5, 62.5)
    ),
    "cpc_v2": System(
        "CPC v2", "CPCV2", "1905.09272", "siamese, patches, contexts", knn=(73.0, 75.3), linear=(61.4, 68.8)
    ),
    "rotation": System(
        "Image rotations", "Rotation", "1803.07728", "pretext", knn=(12.6, 26.4), linear=(12.5, 27.2)
    ),
    "context_prediction": System(
        "Context prediction",
        "ContextPrediction",
        "1505.05192",
        "pretext, tiles",
        knn=(19.6, 27.3),
        linear=(21.8, 33.2),
    ),
    "jigsaw": System(
        "Jigsaw puzzles", "Jigsaw", "1603.09246", "pretext, tiles", knn=(19.6, 33.7), linear=(21.8, 39.7)
    ),
    "jigsaw_pp": System(
        "Jigsaw++",
        "JigsawPP",
        "1805.00385",
        "pretext, tiles of two images",
        knn=(19.6, 32.1),
        linear=(21.8, 40.3),
    ),
    "cluster_transfer": System(
        "Jigsaw++, transfer",
        "ClusterTransfer",
        "1805.00385",
        "distillation, clusters of a frozen teacher",
        knn=(19.6, 27.1),
        linear=(21.8, 20.9),
    ),
    "counting": System(
        "Learning to count", "Counting", "1708.06734", "pretext, tiles", knn=(85.8, 93.0), linear=(91.5, 94.1)
    ),
    "context_encoder": System(
        "Context encoders",
        "ContextEncoder",
        "1604.07379",
        "pretext, a hole filled, adversary",
        knn=(19.7, 17.3),
        linear=(19.1, 20.9),
    ),
    "autoencoder": System(
        "Spot artifacts, auto-encoder",
        "Autoencoder",
        "1806.05024",
        "autoencoder",
        knn=(17.1, 18.6),
        linear=(15.4, 18.4),
    ),
    "spot_artifacts": System(
        "Spot artifacts",
        "SpotArtifacts",
        "1806.05024",
        "pretext, adversary, frozen auto-encoder",
        knn=(17.2, 14.6),
        linear=(18.2, 15.2),
    ),
    "colorization": System(
        "Colorization",
        "Colorization",
        "1603.08511",
        "pretext, colors of pixels",
        knn=(13.6, 18.0),
        linear=(18.9, 24.4),
    ),
    "supcon": System(
        "SupCon",
        "SupCon",
        "2004.11362",
        "siamese, labels",
        "labelled images",
        knn=(51.9, 83.5),
        linear=(58.8, 78.6),
    ),
    "fine_tune": System(
        "Fine-tuning", "FineTune", "2111.06377", "supervised, from any weights", "labelled images"
    ),
}
_MODULES = {system.experiment: name for name, system in REGISTRY.items()}
__all__ = ["REGISTRY", *_MODULES]


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name in REGISTRY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *REGISTRY]
