"""Every system, entered once: the name of its file, its class and what `jssl list` and the README say of it.

    from jssl.experiments import Dino
    jssl.run(Dino(data="folder:/images"))

A class is imported when it is asked for.
"""

import importlib

from jssl.run.systems import System

REGISTRY = {
    "simclr": System("SimCLR", "SimCLR", "2002.05709", "siamese", knn=(12.6, 69.8), linear=(11.5, 77.8)),
    "moco_v2": System(
        "MoCo v2", "MoCoV2", "2003.04297", "self-distillation, queue", knn=(51.9, 81.9), linear=(58.8, 73.9)
    ),
    "pcl": System(
        "PCL", "PCL", "2005.04966", "self-distillation, queue, k-means", knn=(51.9, 80.4), linear=(58.8, 72.0)
    ),
    "byol": System(
        "BYOL", "BYOL", "2006.07733", "self-distillation, predictor", knn=(51.9, 69.4), linear=(58.8, 70.5)
    ),
    "simsiam": System("SimSiam", "SimSiam", "2011.10566", "siamese, predictor"),
    "barlow_twins": System(
        "Barlow Twins", "BarlowTwins", "2103.03230", "siamese", knn=(51.9, 82.3), linear=(58.8, 77.6)
    ),
    "vicreg": System("VICReg", "VICReg", "2105.04906", "siamese"),
    "swav": System(
        "SwAV", "SwAV", "2006.09882", "siamese, prototypes, multi-crop", knn=(51.9, 78.9), linear=(58.8, 76.6)
    ),
    "dino": System(
        "DINO", "Dino", "2104.14294", "self-distillation, multi-crop", knn=(81.1, 90.3), linear=(75.5, 85.0)
    ),
    "ibot": System(
        "iBOT", "IBOT", "2111.07832", "self-distillation, masks", knn=(81.5, 87.6), linear=(72.7, 80.7)
    ),
    "dinov2": System(
        "DINOv2",
        "DINOv2",
        "2304.07193",
        "self-distillation, masks, balanced",
        knn=(81.0, 83.6),
        linear=(79.7, 92.7),
    ),
    "dinov2_distill": System(
        "DINOv2, distilled", "DINOv2Distill", "2304.07193", "distillation of a frozen teacher"
    ),
    "dinov3": System("DINOv3", "DINOv3", "2508.10104", "self-distillation, masks, Gram anchoring"),
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
    "i_jepa": System(
        "I-JEPA", "IJEPA", "2301.08243", "joint-predictive", knn=(85.7, 83.9), linear=(67.5, 73.2)
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
        "CLIP", "CLIP", "2103.00020", "towers", "images and captions", knn=(56.8, 96.9), linear=(51.1, 97.9)
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
    "rotation": System(
        "Image rotations", "Rotation", "1803.07728", "pretext", knn=(12.6, 26.4), linear=(12.5, 27.2)
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
