"""DINO, iBOT, DINOv2 and DINOv3 as their authors publish them."""

import re
from dataclasses import replace
from functools import partial
from typing import Any

from jssl.models.encoders.readouts import read_apart
from jssl.models.layers.positions import antialiased_bicubic, bicubic, dino_bicubic
from jssl.models.layers.relative import rotary_angles
from jssl.weights.engine import Family, File, Net
from jssl.weights.layouts import layer, lead
from jssl.weights.preprocessing import SATELLITE, Preprocess
from jssl.weights.tables.heads import dino_head
from jssl.weights.tables.shared import TIMM, block, only, only_usual, scaled, vit

PARTS = {
    "teacher": r"(?:teacher\.)?(?:module\.)?(?:backbone\.)?",
    "student": r"student\.(?:module\.)?(?:backbone\.)?",
}
ANCHOR = r"patch_embed\.proj\.weight"


def _dino(file: File) -> dict[str, Net]:
    head = dino_head(file.beside("backbone.", "head."))
    return only(encoder=vit(file, TIMM, interpolate=dino_bicubic), dino=head)


IBOT = TIMM | {"mask_token": ("masked_embed", lead(1))}


def _ibot(file: File) -> dict[str, Net]:
    encoder = vit(file, IBOT, interpolate=dino_bicubic, masked="masked_embed" in file)
    heads = file.beside("backbone.", "head.")
    return only(encoder=encoder, dino=dino_head(heads), ibot=dino_head(heads, "last_layer2"))


def _dinov2(file: File) -> dict[str, Net]:
    registers = "register_tokens" in file
    offset = file.get("interpolate_offset", default=0.0 if registers else 0.1)
    antialias = file.get("interpolate_antialias", default=registers)
    kind = antialiased_bicubic if antialias else bicubic
    fields: dict[str, Any] = dict(layer_scale=scaled(file, TIMM, "init_values"))
    if registers or file.get("num_register_tokens"):
        fields["registers"] = file.shape("register_tokens")[1]
    rows, rename = _chunks(file)
    if rows is not TIMM:
        fields["depth"] = 1 + max(int(m[1]) for m in _numbers(file))
        fields["layer_scale"] = scaled(file, rows, "init_values")
    interpolate = partial(kind, offset=offset) if offset else kind
    encoder = vit(file, rows, interpolate=interpolate, masked=True, rename=rename, **fields)
    heads = {name: dino_head(file.beside("backbone.", f"{name}_head.")) for name in ("dino", "ibot")}
    return only(encoder=encoder, **heads)


def _numbers(file: File) -> list[re.Match]:
    found = re.compile(re.escape(file.at) + r"blocks\.\d+\.(\d{1,4})\.")
    return [match for name in file.tensors if (match := found.match(name))]


def _chunks(file: File):
    """Blocks in chunks: `blocks.<chunk>.<block>`, blocks counted from the first chunk on."""
    if not _numbers(file):
        return TIMM, str
    each = file.count("blocks.0.")  # the last chunk may have fewer

    def rename(name):
        return re.sub(r"^blocks\.(\d+)\.", lambda match: f"blocks.{int(match[1]) // each}.{match[1]}.", name)

    first = TIMM | block("blocks/block_{i}", "blocks.0.{i}")  # the sizes are read from these
    return first, lambda name: rename(re.sub(r"^blocks\.0\.", "blocks.", name))


DINOV3 = TIMM | {
    "registers": ("storage_tokens", lead(1)),
    "norm_class": ("cls_norm", layer),
    **block("blocks/block_{i}", "blocks.{i}", w12=("mlp.w1", "mlp.w2")),
}


def _dinov3(file: File) -> dict[str, Net]:
    only_usual(file, pos_embed_rope_dtype="fp32")  # half precision would give other angles
    over = {"max": max, "min": min}.get(file.get("pos_embed_rope_normalize_coords", default="separate"))
    periods = tuple(float(period) for period in file.value("rope_embed.periods"))
    heads = file.shape("cls_token")[-1] // (4 * len(periods))  # a period for four features
    file = replace(file, config={"num_heads": heads, **file.config})
    fields: dict[str, Any] = dict(positions=None, rotary=partial(rotary_angles, periods=periods, over=over))
    fields["layer_scale"] = scaled(file, DINOV3, "layerscale_init")
    if "blocks.0.attn.qkv.bias_mask" in file:
        fields["qkv_bias"] = (True, False, True)
    if "storage_tokens" in file or file.get("n_storage_tokens"):
        fields["registers"] = file.shape("storage_tokens")[1]
    if "cls_norm.weight" in file:
        fields["readout"] = read_apart
    epsilon = 1e-6 if file.get("norm_layer") == "layernorm" else 1e-5
    return {"encoder": vit(file, DINOV3, epsilon=epsilon, masked=True, **fields)}


def dinov3_pixels(file: File) -> Preprocess:
    """ImageNet's constants, or the satellites' where the file's name says so."""
    satellite = "sat493m" in file.label
    return Preprocess.of(file, SATELLITE) if satellite else Preprocess.of(file)


def dinov2_pixels(file: File) -> Preprocess:
    """Trained at 518, evaluated at 224."""
    pixels = Preprocess.of(file)
    return pixels if pixels.crop != 518 else replace(pixels, size=256, crop=224)


_DINO = Family(
    "dino_vit",
    _dino,
    ANCHOR,
    kinds=("dino_vit", "dino"),
    signs=(r"pos_embed$", r"cls_token$", r"norm\.weight$", r"blocks\.0\.attn\.qkv\.weight$"),
    foreign=(
        r"blocks\.\d+\.ls1\.",
        r"head\.(weight|bias)$",
        r"fc_norm\.",
        r"mask",
        r"decoder",
        r"rel_pos_bias",
        r"fc\.",
    ),
    parts={"teacher": PARTS["teacher"]},
    label="dino(?!v)",
    publisher="facebookresearch/dino",
    architectures="ViT-S/16, S/8, B/16, B/8",
    licence="Apache-2.0",
    citation="arXiv:2104.14294",
)
_HEADED = replace(_DINO, foreign=tuple(sign for sign in _DINO.foreign if "head" not in sign), parts=PARTS)
_V2 = replace(
    _DINO,
    build=_dinov2,
    kinds=("dinov2", "dinov2_registers", "dinov2_swiglu"),
    foreign=(
        r"head\.",
        r"dino_head",
        r"register_tokens$",
        r"mlp\.w12\.",
        r"storage_tokens",
        r"decoder",
        r"rel_pos_bias",
    ),
    parts=PARTS,
    preprocess=dinov2_pixels,
    publisher="facebookresearch/dinov2",
    citation="arXiv:2304.07193",
    label="dinov2",
)
_SIGNS = (*_DINO.signs, r"mask_token$", r"blocks\.(?:\d+\.)?0\.ls1\.gamma$")


def _v2(name: str, signs: tuple[str, ...], architectures: str, *allowed: str) -> Family:
    foreign = tuple(sign for sign in _V2.foreign if not any(word in sign for word in allowed))
    return replace(_V2, name=name, signs=signs, foreign=foreign, architectures=architectures)


_V3 = replace(
    _DINO,
    name="dinov3",
    build=_dinov3,
    kinds=("dinov3",),
    signs=(r"rope_embed\.periods$", r"storage_tokens$", r"blocks\.0\.ls1\.gamma$", r"mlp\.fc1\.weight$"),
    foreign=(),
    parts=PARTS,
    kept=("*bias_mask", "*rope_embed.periods", "*local_cls_norm.*"),
    label="dinov3",
    preprocess=dinov3_pixels,
    publisher="facebookresearch/dinov3",
    architectures="ViT-S/16, S+/16, B/16, L/16, H+/16, 7B/16",
    licence="DINOv3 licence",
    citation="arXiv:2508.10104",
)

FAMILIES = [
    _DINO,
    replace(
        _HEADED,
        name="dino_checkpoint",
        kinds=("dino_vit", "dino"),
        signs=(*_DINO.signs, r"head\.last_layer\.weight_v$"),
        foreign=(*_HEADED.foreign, r"head\.last_layer2"),
    ),
    replace(
        _HEADED,
        name="ibot",
        build=_ibot,
        kinds=("ibot",),
        signs=(*_DINO.signs, r"masked_embed$|head\.last_layer2"),
        foreign=(),
        label="ibot",
        publisher="bytedance/ibot",
        architectures="ViT-S/16, B/16, L/16",
        citation="arXiv:2111.07832",
    ),
    _v2("dinov2", _SIGNS, "ViT-S/14, B/14, L/14"),
    _v2("dinov2_registers", (*_SIGNS, r"register_tokens$"), "ViT-S/14, B/14, L/14, g/14", "register", "w12"),
    _v2("dinov2_swiglu", (*_SIGNS[:3], *_SIGNS[4:], r"blocks\.0\.mlp\.w12\.weight$"), "ViT-g/14", "w12"),
    _v2(
        "dinov2_checkpoint",
        (r"cls_token$", r"mask_token$", r"(?:dino|ibot)_head\."),
        "any",
        "head",
        "reg",
        "w12",
    ),
    _V3,
    replace(_V3, name="dinov3_swiglu", signs=(*_V3.signs[:-1], r"blocks\.0\.mlp\.w1\.weight$")),
]
