"""Every system, entered once: the name of its file, its class and what `jssl list` and the README say of it.

    from jssl.experiments import Dino
    jssl.run(Dino(data="folder:/images"))

A class is imported when it is asked for.
"""

import importlib

from jssl.run.settings.systems import System

SYSTEMS = {
    "simclr": System("SimCLR", "SimCLR", "2002.05709", "siamese"),
    "simclr_v2": System("SimCLR v2", "SimCLRV2", "2006.10029", "siamese"),
    "simclr_v2_fine_tune": System(
        "SimCLR v2, fine-tuning",
        "SimCLRV2FineTune",
        "2006.10029",
        "supervised, from the head's middle",
        "labelled images",
    ),
    "simclr_v2_distil": System(
        "SimCLR v2, distillation", "SimCLRV2Distil", "2006.10029", "distillation, frozen teacher"
    ),
    "dcl": System("DCL", "DCL", "2110.06848", "siamese"),
    "nnclr": System("NNCLR", "NNCLR", "2104.14548", "siamese, predictor, queue"),
    "moco_v1": System("MoCo", "MoCoV1", "1911.05722", "self-distillation, queue"),
    "npid": System("NPID", "NPID", "1805.01978", "siamese, bank"),
    "invariant_spreading": System("Invariant and spreading", "InvariantSpreading", "1904.03436", "siamese"),
    "moco_v2": System("MoCo v2", "MoCoV2", "2003.04297", "self-distillation, queue"),
    "moco_v3": System("MoCo v3", "MoCoV3", "2104.02057", "self-distillation, predictor"),
    "infomin": System("InfoMin", "InfoMin", "2005.10243", "self-distillation, queue, tiles"),
    "ressl": System("ReSSL", "ReSSL", "2107.09282", "self-distillation, queue"),
    "pcl": System("PCL", "PCL", "2005.04966", "self-distillation, queue, k-means"),
    "byol": System("BYOL", "BYOL", "2006.07733", "self-distillation, predictor"),
    "simsiam": System("SimSiam", "SimSiam", "2011.10566", "siamese, predictor"),
    "barlow_twins": System("Barlow Twins", "BarlowTwins", "2103.03230", "siamese"),
    "vicreg": System("VICReg", "VICReg", "2105.04906", "siamese"),
    "swav": System("SwAV", "SwAV", "2006.09882", "siamese, prototypes, multi-crop"),
    "deepcluster_v2": System("DeepCluster v2", "DeepClusterV2", "2006.09882", "siamese, k-means, multi-crop"),
    "obow": System("OBoW", "OBoW", "2012.11552", "self-distillation, dictionary of words"),
    "smog": System("SMoG", "SMoG", "2207.06167", "self-distillation, predictor, groups"),
    "dino": System("DINO", "Dino", "2104.14294", "self-distillation, multi-crop"),
    "esvit": System("EsViT", "EsViT", "2106.09785", "self-distillation, regions, multi-crop"),
    "ibot": System("iBOT", "IBOT", "2111.07832", "self-distillation, masks"),
    "msn": System("MSN", "MSN", "2204.07141", "self-distillation, prototypes, tokens dropped, multi-crop"),
    "attmask": System("AttMask", "AttMask", "2203.12719", "self-distillation, attended patches hidden"),
    "dinov2": System("DINOv2", "DINOv2", "2304.07193", "self-distillation, masks, balanced"),
    "dinov2_distill": System(
        "DINOv2, distilled", "DINOv2Distill", "2304.07193", "distillation of a frozen teacher"
    ),
    "dinov3": System("DINOv3", "DINOv3", "2508.10104", "self-distillation, masks, Gram anchoring"),
    "mae": System("MAE", "MAE", "2111.06377", "masked prediction, tokens dropped"),
    "simmim": System("SimMIM", "SimMIM", "2111.09886", "masked prediction, mask tokens"),
    "tokenizer": System(
        "Tokenizer", "Tokenizer", "2102.12092", "discrete autoencoder, words for beit and cae"
    ),
    "beit": System("BEiT", "BEiT", "2106.08254", "masked prediction, words of patches"),
    "cae": System("CAE", "CAE", "2202.03026", "masked prediction, latents and words, tokens dropped"),
    "maskfeat": System("MaskFeat", "MaskFeat", "2112.09133", "masked prediction, histograms of gradients"),
    "eva": System("EVA", "EVA", "2211.07636", "masked prediction, a frozen CLIP", "images, a CLIP"),
    "i_jepa": System("I-JEPA", "IJEPA", "2301.08243", "joint-predictive"),
    "data2vec": System("data2vec", "Data2Vec", "2202.03555", "self-distillation, mask tokens"),
    "sdae": System("SdAE", "SdAE", "2208.00449", "masked prediction, teacher of the hidden patches"),
    "splitmask": System("SplitMask", "SplitMask", "2112.10740", "masked prediction, halves, words, contrast"),
    "cmae": System("CMAE", "CMAE", "2207.13532", "masked prediction, contrast with a teacher"),
    "sit": System("SiT", "SiT", "2104.03602", "self-distillation, corrupted pixels"),
    "mim_contrast": System("MIM + contrast", "MIMContrast", "2305.00729", "masked prediction, contrast"),
    "clip": System("CLIP", "CLIP", "2103.00020", "towers", "images and captions"),
    "flip": System("FLIP", "FLIP", "2212.00794", "towers, patches dropped", "images and captions"),
    "siglip": System("SigLIP", "SigLIP", "2303.15343", "towers", "images and captions"),
    "slip": System("SLIP", "SLIP", "2112.12750", "towers and siamese", "images and captions"),
    "cpc": System("CPC", "CPC", "1807.03748", "siamese, patches, contexts"),
    "cpc_v2": System("CPC v2", "CPCV2", "1905.09272", "siamese, patches, contexts"),
    "rotation": System("Image rotations", "Rotation", "1803.07728", "pretext"),
    "context_prediction": System("Context prediction", "ContextPrediction", "1505.05192", "pretext, tiles"),
    "jigsaw": System("Jigsaw puzzles", "Jigsaw", "1603.09246", "pretext, tiles"),
    "jigsaw_pp": System("Jigsaw++", "JigsawPP", "1805.00385", "pretext, tiles of two images"),
    "cluster_transfer": System(
        "Jigsaw++, transfer", "ClusterTransfer", "1805.00385", "distillation, clusters of a frozen teacher"
    ),
    "counting": System("Learning to count", "Counting", "1708.06734", "pretext, tiles"),
    "context_encoder": System(
        "Context encoders", "ContextEncoder", "1604.07379", "pretext, a hole filled, adversary"
    ),
    "autoencoder": System("Spot artifacts, auto-encoder", "Autoencoder", "1806.05024", "autoencoder"),
    "spot_artifacts": System(
        "Spot artifacts", "SpotArtifacts", "1806.05024", "pretext, adversary, frozen auto-encoder"
    ),
    "colorization": System("Colorization", "Colorization", "1603.08511", "pretext, colors of pixels"),
    "supcon": System("SupCon", "SupCon", "2004.11362", "siamese, labels", "labelled images"),
    "fine_tune": System(
        "Fine-tuning", "FineTune", "2111.06377", "supervised, from any weights", "labelled images"
    ),
}

DEMOS = {  # top-1 of each demo in percent, by kNN and by a linear probe: of its random network, and learned
    "simclr": ((9.4, 68.8), (9.9, 72.4)),
    "simclr_v2": ((36.5, 94.9), (35.1, 89.2)),
    "simclr_v2_fine_tune": ((73.6, 92.7), (86.4, 94.0)),
    "simclr_v2_distil": ((50.1, 96.9), (52.2, 96.6)),
    "dcl": ((45.7, 94.8), (51.5, 96.0)),
    "nnclr": ((36.5, 79.8), (35.0, 70.1)),
    "moco_v1": ((45.7, 87.4), (51.5, 91.7)),
    "npid": ((45.7, 80.6), (51.5, 74.5)),
    "invariant_spreading": ((45.7, 95.1), (51.5, 96.8)),
    "moco_v2": ((51.9, 81.9), (58.8, 73.9)),
    "moco_v3": ((83.4, 94.4), (73.9, 89.9)),
    "infomin": ((17.8, 22.6), (16.4, 18.6)),
    "ressl": ((45.7, 61.6), (51.5, 55.4)),
    "pcl": ((51.9, 80.4), (58.8, 72.0)),
    "byol": ((51.9, 69.4), (58.8, 70.5)),
    "simsiam": ((36.5, 52.6), (35.0, 54.2)),
    "barlow_twins": ((51.9, 82.3), (58.8, 77.6)),
    "vicreg": ((36.5, 81.1), (35.0, 67.5)),
    "swav": ((51.9, 78.9), (58.8, 76.6)),
    "deepcluster_v2": ((34.5, 40.1), (46.5, 47.2)),
    "obow": ((45.7, 87.3), (51.5, 85.7)),
    "smog": ((45.7, 67.2), (51.5, 66.0)),
    "dino": ((81.1, 90.3), (75.5, 85.0)),
    "esvit": ((53.8, 71.8), (44.5, 47.3)),
    "ibot": ((81.5, 87.6), (72.7, 80.7)),
    "msn": ((78.8, 88.9), (72.4, 88.3)),
    "attmask": ((79.2, 85.2), (81.1, 85.5)),
    "dinov2": ((80.0, 85.4), (80.0, 93.6)),
    "dinov2_distill": ((80.0, 85.5), (80.2, 92.9)),
    "dinov3": ((78.1, 78.2), (70.7, 85.5)),
    "mae": ((86.5, 66.7), (71.3, 82.6)),
    "simmim": ((45.1, 46.0), (43.6, 48.0)),
    "tokenizer": ((69.2, 82.4), (54.7, 75.5)),
    "beit": ((78.8, 81.3), (70.7, 86.1)),
    "cae": ((85.9, 51.0), (73.8, 50.3)),
    "maskfeat": ((79.2, 48.4), (72.0, 53.2)),
    "eva": ((58.1, 80.5), (51.2, 76.2)),
    "i_jepa": ((85.7, 83.9), (67.5, 73.2)),
    "data2vec": ((77.0, 88.0), (63.6, 76.9)),
    "sdae": ((85.3, 80.3), (71.8, 76.3)),
    "splitmask": ((85.3, 98.6), (71.8, 98.9)),
    "cmae": ((84.4, 89.2), (75.0, 91.0)),
    "sit": ((78.8, 93.3), (72.4, 96.5)),
    "mim_contrast": ((81.5, 97.6), (72.7, 98.1)),
    "clip": ((61.8, 98.6), (54.6, 98.4)),
    "flip": ((84.8, 99.5), (70.3, 99.3)),
    "siglip": ((51.3, 94.2), (40.7, 94.2)),
    "slip": ((73.1, 96.3), (66.9, 97.8)),
    "cpc": ((66.5, 69.8), (49.1, 64.3)),
    "cpc_v2": ((73.0, 75.3), (61.4, 68.8)),
    "rotation": ((12.6, 26.4), (12.5, 27.2)),
    "context_prediction": ((19.6, 27.3), (21.8, 33.2)),
    "jigsaw": ((19.6, 33.7), (21.8, 39.7)),
    "jigsaw_pp": ((19.6, 32.1), (21.8, 40.3)),
    "cluster_transfer": ((19.6, 27.1), (21.8, 20.9)),
    "counting": ((85.8, 93.0), (91.5, 94.1)),
    "context_encoder": ((19.7, 17.3), (19.1, 20.9)),
    "autoencoder": ((17.1, 18.6), (15.4, 18.4)),
    "spot_artifacts": ((17.2, 14.6), (18.2, 15.2)),
    "colorization": ((13.6, 18.0), (18.9, 24.4)),
    "supcon": ((45.7, 88.9), (51.5, 84.9)),
}

REGISTRY = {
    name: system._replace(knn=DEMOS[name][0], linear=DEMOS[name][1]) if name in DEMOS else system
    for name, system in SYSTEMS.items()
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
