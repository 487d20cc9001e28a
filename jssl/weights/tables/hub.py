"""ViTs of the hub under transformers' names: ViT, MSN, DINOv2, DINOv3."""

from dataclasses import replace
from functools import partial
from typing import Any

from jssl.models.layers.positions import antialiased_bicubic, bicubic
from jssl.models.layers.relative import rotary_angles
from jssl.models.layers.transformer import SwiGlu
from jssl.weights.engine import Family, File, Net
from jssl.weights.layouts import lead, patches
from jssl.weights.tables.dino import dinov2_pixels, dinov3_pixels
from jssl.weights.tables.heads import linear, stack
from jssl.weights.tables.shared import HUB, HUB_BLOCK, QKV, TIMM, activation, block, only, scaled, vit


def _vit(file: File) -> dict[str, Net]:
    masked = "embeddings.mask_token" in file
    act = activation(file, "pooler_act", "tanh")
    pooled = stack(file, "pooler.dense", act) if "pooler.dense.weight" in file else None
    logits = linear(file.beside("vit.", ""), "classifier")
    epsilon = 1e-6 if file.get("model_type") == "vit_msn" else 1e-12  # the classes' defaults
    return only(encoder=vit(file, HUB, epsilon=epsilon, masked=masked), pooled=pooled, logits=logits)


DINOV2_BLOCK: dict[str, Any] = HUB_BLOCK | dict(
    norm1="norm1",
    norm2="norm2",
    fc1="mlp.fc1",
    fc2="mlp.fc2",
    w12="mlp.weights_in",
    w3="mlp.weights_out",
    scale1="layer_scale1.lambda1",
    scale2="layer_scale2.lambda1",
)
DINOV2 = HUB | {
    "mask_token": ("embeddings.mask_token", lead(1)),
    **block("blocks/block_{i}", "encoder.layer.{i}", **DINOV2_BLOCK),
}


def _dinov2(file: File) -> dict[str, Net]:
    fields: dict[str, Any] = dict(layer_scale=scaled(file, DINOV2, "layerscale_value"))
    registers = "embeddings.register_tokens" in file or bool(file.get("num_register_tokens"))
    if registers and (count := file.shape("embeddings.register_tokens")[1]):
        fields["registers"] = count
    masked = file.get("use_mask_token", default=True)
    kind = antialiased_bicubic if registers else bicubic
    encoder = vit(file, DINOV2, interpolate=kind, masked=bool(masked), **fields)
    top = "dinov2_with_registers." if registers else "dinov2."
    return only(encoder=encoder, logits=linear(file.beside(top, ""), "classifier"))


DINOV3_BLOCK: dict[str, Any] = dict(
    qkv=tuple(f"attention.{name}_proj" for name in "qkv"),
    proj="attention.o_proj",
    fc1="mlp.up_proj",
    fc2="mlp.down_proj",
    w3="mlp.down_proj",
    scale1="layer_scale1.lambda1",
    scale2="layer_scale2.lambda1",
)


def _dinov3(file: File) -> dict[str, Net]:
    gated: dict[str, Any] = (
        {"w12": ("mlp.gate_proj", "mlp.up_proj")} if "layer.0.mlp.gate_proj.weight" in file else {}
    )
    if gated:
        gated["fc1"] = "no such layer"
    blocks = block("blocks/block_{i}", "layer.{i}", **{**DINOV3_BLOCK, **gated})
    rows = TIMM | {
        "stem/proj": ("embeddings.patch_embeddings", patches),
        "class_token": ("embeddings.cls_token", lead(1)),
        "registers": ("embeddings.register_tokens", lead(1)),
        "mask_token": ("embeddings.mask_token", lead(2)),
        **blocks,
    }
    theta = file.get("rope_theta", default=100.0)
    fields: dict[str, Any] = dict(positions=None, rotary=partial(rotary_angles, theta=theta))
    if file.get("num_register_tokens", default=4):
        fields["registers"] = file.shape("embeddings.register_tokens")[1]
    fields["layer_scale"] = scaled(file, rows, "layerscale_value")
    names = [f"{name}_bias" for name in ("query", "key", "value")]
    if all(isinstance(file.get(name), bool) for name in names):
        has = tuple(file.get(name) for name in names)
        fields["qkv_bias"] = has[0] if len(set(has)) == 1 else has
    if gated and file.get("hidden_act", default="silu") != "silu":
        hidden, dim = file.shape("layer.0.mlp.gate_proj.weight")
        fields |= dict(mlp=partial(SwiGlu, activation=activation(file)), mlp_ratio=hidden / dim)
    return {"encoder": vit(file, rows, epsilon=1e-5, masked=True, **fields)}


_VIT = Family(
    "hf_vit",
    _vit,
    r"embeddings\.patch_embeddings\.projection\.weight",
    kinds=("vit",),
    signs=(
        r"embeddings\.cls_token$",
        r"embeddings\.position_embeddings$",
        rf"encoder\.layer\.0\.{QKV[0]}\.weight$",
        r"layernorm\.weight$",
        r"encoder\.layer\.0\.layernorm_before\.weight$",
    ),
    foreign=(r"decoder", r".*relative_position", r"embeddings\.distillation_token"),
    label="vit",
    publisher="many on the hub",
    architectures="ViT, and conversions of DINO and MoCo v3",
    needs="config.json",
    licence="Apache-2.0",
    citation="arXiv:2010.11929",
)
_V2 = replace(
    _VIT,
    name="hf_dinov2",
    build=_dinov2,
    kinds=("dinov2",),
    signs=(
        *_VIT.signs[:4],
        r"encoder\.layer\.0\.norm1\.weight$",
        r"encoder\.layer\.0\.layer_scale1\.lambda1$",
    ),
    foreign=(r"embeddings\.register_tokens",),
    label="dinov2",
    preprocess=dinov2_pixels,
    publisher="facebook on the hub",
    architectures="ViT-S/14, B/14, L/14, g/14",
    citation="arXiv:2304.07193",
)
_V3 = replace(
    _V2,
    name="hf_dinov3_vit",
    build=_dinov3,
    anchor=r"embeddings\.patch_embeddings\.weight",
    kinds=("dinov3_vit",),
    signs=(
        r"embeddings\.cls_token$",
        r"layer\.0\.attention\.q_proj\.weight$",
        r"layer\.0\.mlp\.up_proj\.weight$",
    ),
    foreign=(r".*mlp\.gate_proj",),
    label="dinov3",
    preprocess=dinov3_pixels,
    architectures="ViT-S/16, B/16, L/16",
    licence="DINOv3 licence",
    citation="arXiv:2508.10104",
)
FAMILIES = [
    _VIT,
    replace(
        _VIT,
        name="hf_vit_msn",
        kinds=("vit_msn",),
        label="msn",
        publisher="facebook on the hub",
        architectures="ViT-S/16, B/16, B/4, L/16, L/7",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2204.07141",
    ),
    _V2,
    replace(
        _V2,
        name="hf_dinov2_registers",
        kinds=("dinov2_with_registers",),
        signs=(*_V2.signs, r"embeddings\.register_tokens$"),
        foreign=(),
    ),
    _V3,
    replace(
        _V3,
        name="hf_dinov3_vit_gated",
        signs=(*_V3.signs, r"layer\.0\.mlp\.gate_proj\.weight$"),
        foreign=(),
        architectures="ViT-S+/16, H+/16, 7B/16",
    ),
]
