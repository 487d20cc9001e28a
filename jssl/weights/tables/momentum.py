"""MoCo v3's and MSN's ViTs: student and teacher, with their heads and prototypes."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp

from jssl.models.encoders.vit import ConvStem
from jssl.models.heads import Prototypes
from jssl.models.layers.transformer import gelu
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import layer, transposed
from jssl.weights.preprocessing import Preprocess
from jssl.weights.tables.heads import sequence, stack
from jssl.weights.tables.shared import TIMM, only, vit

HEADS = {384: 12}  # the ViT-S has 12 heads


def _moco_v3(file: File) -> dict[str, Net]:
    return _headed(file, TIMM)


def _headed(file: File, rows: Table, **fields: Any) -> dict[str, Net]:
    width = file.shape("norm.weight")[0]
    if width in HEADS and not file.get("num_heads"):
        fields["heads"] = HEADS[width]
    return only(encoder=vit(file, rows, **fields), projection=sequence(file.below("head.")))


def _moco_v3_conv(file: File) -> dict[str, Net]:
    count = sum(f"patch_embed.proj.{3 * i + 1}.running_mean" in file for i in range(8))
    rows = TIMM | {
        "stem/conv{n}": (lambda n: f"patch_embed.proj.{3 * n}", layer),
        "stem/bn{n}": (lambda n: f"patch_embed.proj.{3 * n + 1}", layer),
        "stem/proj": (f"patch_embed.proj.{3 * count}", layer),
    }
    return _headed(file, rows, stem=ConvStem, patch=2**count, dim=file.shape("norm.weight")[0])


def _predictor(file: File) -> dict[str, Net]:
    at = next((name for name in file.tensors if name.endswith("predictor.0.weight")), None)
    below = None if at is None else sequence(File(file.config, file.tensors, at.removesuffix("0.weight")))
    return only(predictor=below)


def _msn(file: File) -> dict[str, Net]:
    head = file.below("fc.")
    hidden = [[name for name in (f"fc{i}", f"bn{i}") if _has(head, name)] + [gelu] for i in (1, 2)]
    made = stack(head, *hidden[0], *hidden[1], "fc3") if _has(head, "fc3") else None
    return only(encoder=vit(file, TIMM), projection=made)


def _has(file: File, name: str) -> bool:
    return f"{name}.weight" in file


def _prototypes(file: File) -> dict[str, Net]:
    if "prototypes" not in file.tensors:
        return {}
    count, width = file.tensors["prototypes"].shape
    rows = {"kernel": ("prototypes", transposed)}
    return {"prototypes": Net(Prototypes(count), rows, lambda m, key: m.init(key, jnp.zeros((1, width))))}


def _pixels(file: File) -> Preprocess:
    return Preprocess.of(file, interpolation="bilinear")


_MOCO = Family(
    "moco_v3_vit",
    _moco_v3,
    r"patch_embed\.proj\.weight",
    kinds=("moco_v3_vit",),
    signs=(r"pos_embed$", r"norm\.weight$", r"blocks\.0\.attn\.qkv\.weight$", r"head\.7\.running_mean$"),
    foreign=(r"decoder", r"ls1\."),
    parts={
        "base": r"(?:base_encoder\.)?",
        "momentum": r"momentum_encoder\.",
    },
    shared=_predictor,
    preprocess=_pixels,
    label="moco",
    publisher="facebookresearch/moco-v3",
    architectures="ViT-S/16, B/16",
    licence="CC-BY-NC-4.0",
    citation="arXiv:2104.02057",
)
FAMILIES = [
    _MOCO,
    replace(
        _MOCO,
        name="moco_v3_vit_conv",
        build=_moco_v3_conv,
        anchor=r"patch_embed\.proj\.0\.weight",
        kinds=("moco_v3_vit_conv", "moco_v3_vit"),
        architectures="ViT-S/16, B/16 with a convolutional stem",
    ),
    replace(
        _MOCO,
        name="msn",
        build=_msn,
        kinds=("msn",),
        signs=(*_MOCO.signs[:3], r"fc\.fc1\.weight$"),
        parts={
            "target_encoder": r"(?:target_encoder\.)?(?:module\.)?",
            "encoder": r"encoder\.(?:module\.)?",
        },
        shared=_prototypes,
        label="msn",
        publisher="facebookresearch/msn",
        architectures="ViT-S/16, B/16, B/8, B/4, L/16, L/7",
        citation="arXiv:2204.07141",
    ),
]
