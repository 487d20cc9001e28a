"""timm's names: its ViT with every way of pooling, and EVA-02."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from jssl.data.augment.base import CLIP
from jssl.models.encoders.readouts import read_class, read_mean, read_normed_class, read_normed_mean, read_raw
from jssl.models.encoders.vit import PatchEmbed
from jssl.models.layers.positions import antialiased_bicubic
from jssl.models.layers.relative import rotary_angles_by_index
from jssl.models.layers.transformer import SwiGlu, layer_norm
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import (
    fused,
    fused_neighbours,
    layer,
    lead,
    neighbours,
    token_pair,
)
from jssl.weights.preprocessing import Preprocess
from jssl.weights.tables.heads import linear
from jssl.weights.tables.shared import TIMM, only, scaled, vit

ROWS: Table = TIMM | {"registers": ("reg_token", lead(1))}


def _pooling(file: File) -> tuple[Callable, Table]:
    """How tokens become a vector, and what the norm is called."""
    fc = "fc_norm.weight" in file and "norm.weight" not in file
    held = "token" if "cls_token" in file and not fc else "avg"
    pool = file.get("global_pool", default=held) or "token"
    rows = {"norm": ("fc_norm" if fc else "norm", layer)}
    normed = fc or "norm.weight" in file
    if pool == "token":
        return (read_normed_class if fc else read_class) if normed else read_raw, rows
    if pool != "avg":
        raise ValueError(f"global_pool is {pool!r}, known are 'token' and 'avg'")
    return (read_normed_mean if fc else read_mean), rows


def _gated(file: File, fields: dict[str, Any], rows: Table, norm: Callable | None) -> None:
    """Gate and value in one matrix or in two, told by the tensors."""
    out = file.shape("blocks.0.mlp.fc2.weight")
    if "blocks.0.mlp.fc1_g.weight" in file:
        rows["blocks/block_{i}/mlp/w12"] = (("blocks.{i}.mlp.fc1_g", "blocks.{i}.mlp.fc1_x"), fused)
    elif file.shape("blocks.0.mlp.fc1.weight")[0] == 2 * out[1]:
        rows["blocks/block_{i}/mlp/w12"] = ("blocks.{i}.mlp.fc1", layer)
    else:
        return
    rows["blocks/block_{i}/mlp/w3"] = ("blocks.{i}.mlp.fc2", layer)
    rows["blocks/block_{i}/mlp/norm"] = ("blocks.{i}.mlp.norm", layer)
    normed = "blocks.0.mlp.norm.weight" in file
    fields |= dict(mlp=partial(SwiGlu, norm=norm) if normed else SwiGlu, mlp_ratio=out[1] / out[0])


def _timm(file: File) -> dict[str, Net]:
    readout, pooled = _pooling(file)
    rows: Table = ROWS | pooled
    fields: dict[str, Any] = dict(readout=readout, layer_scale=scaled(file, TIMM, "init_values"))
    classes = _prefix(file, rows, fields)
    early = "norm_pre.weight" in file
    if early:
        fields["norm_input"] = True
    if "patch_embed.proj.bias" not in file:
        fields["stem"] = partial(PatchEmbed, use_bias=False)
    _gated(file, fields, rows, layer_norm)
    encoder = vit(
        file,
        rows,
        interpolate=antialiased_bicubic,
        epsilon=1e-5 if early else 1e-6,
        act="quick_gelu" if "quickgelu" in str(file.get("architecture", default="")) else "gelu",
        classes=classes,
        of_prefix=not _patches_alone(file),
        **fields,
    )
    return only(encoder=encoder, logits=linear(file, "head"))


def _patches_alone(file: File) -> bool:
    """Whether the positions have no entry for the class token."""
    if "cls_token" not in file or "pos_embed" not in file:
        return False
    stated, held = file.get("no_embed_class"), file.shape("pos_embed")[1]
    return stated if isinstance(stated, bool) else math.isqrt(held) ** 2 == held


def _prefix(file: File, rows: Table, fields: dict[str, Any]) -> int:
    """How many tokens with positions come first; registers are among them unless patches alone have some."""
    classes, registers = int("cls_token" in file), file.shape("reg_token")[1] if "reg_token" in file else 0
    if registers and classes and not _patches_alone(file) and "pos_embed" in file:
        rows["class_token"] = (("cls_token", "reg_token"), token_pair)
        return classes + registers
    if registers:
        fields["registers"] = registers
    return classes


def _eva02(file: File) -> dict[str, Net]:
    readout, pooled = _pooling(file)
    rows: Table = ROWS | pooled
    fields: dict[str, Any] = dict(readout=readout, layer_scale=scaled(file, EVA, "init_values"))
    rows |= {name: row for name, row in EVA.items() if "scale" in name}
    turned = file.get("use_rot_pos_emb", default="model_args" not in file.config)
    native = file.get("ref_feat_shape", default=None if "model_args" in file.config else (16, 16))
    native = tuple(native) if isinstance(native, list | tuple) else native and (native, native)
    if turned:
        fields["rotary"] = partial(rotary_angles_by_index, native=native)
    if "blocks.0.attn.q_proj.weight" in file:
        names = tuple(f"blocks.{{i}}.attn.{name}_proj" for name in "qkv")
        fields["qkv_bias"] = tuple(f"{name.format(i=0)}.bias" in file for name in names)
        rows["blocks/block_{i}/attn/qkv"] = (names, fused_neighbours if turned else fused)
    else:
        fields["qkv_bias"] = "blocks.0.attn.q_bias" in file and (True, False, True)
        rows["blocks/block_{i}/attn/qkv"] = ("blocks.{i}.attn", neighbours)
    if "pos_embed" not in file:
        fields["positions"] = None
    _gated(file, fields, rows, layer_norm)
    classes = _prefix(file, rows, fields)
    alone = _patches_alone(file)
    encoder = vit(file, rows, interpolate=antialiased_bicubic, classes=classes, of_prefix=not alone, **fields)
    return only(encoder=encoder, logits=linear(file, "head"))


EVA = TIMM | {
    f"blocks/block_{{i}}/scale{n}": (f"blocks.{{i}}.gamma_{n}", TIMM["blocks/block_{i}/scale1"][1])
    for n in (1, 2)
}


def _clip_pixels(file: File) -> Preprocess:
    return Preprocess.of(file, CLIP, share=1.0)


_TIMM = Family(
    "timm_vit",
    _timm,
    r"patch_embed\.proj\.weight",
    kinds=("timm", "vit"),
    signs=(r"pos_embed$", r"cls_token$", r"norm\.weight$", r"blocks\.0\.attn\.qkv\.weight$"),
    foreign=(
        r"decoder",
        r"mask_token",
        r"rel_pos_bias",
        r"head\.\d",
        r"fc\.",
        r"reg_token",
        r"fc_norm\.",
        r"layers\.",
    ),
    label="timm",
    publisher="timm on the hub",
    architectures="every plain ViT",
    needs="config.json for another number of heads",
    licence="Apache-2.0",
    citation="arXiv:2010.11929",
)
FAMILIES = [
    _TIMM,
    replace(
        _TIMM,
        name="timm_vit_avg",
        signs=(_TIMM.signs[0], *_TIMM.signs[3:]),
        foreign=(*_TIMM.foreign[:-3], r"layers\."),
    ),
    replace(
        _TIMM,
        name="timm_vit_registers",
        signs=(*_TIMM.signs, r"reg_token$"),
        foreign=tuple(sign for sign in _TIMM.foreign if "reg" not in sign),
    ),
    replace(
        _TIMM,
        name="timm_eva02",
        build=_eva02,
        signs=(
            r"cls_token$",
            r"blocks\.0\.mlp\.(?:fc1_g|fc1)\.weight$",
            r"blocks\.0\.attn\.(?:q_proj\.weight|q_bias)$",
        ),
        foreign=(r"rel_pos_bias", r"decoder", r"lm_head", r".*relative_position_bias_table"),
        kept=("*rope.*",),
        label="eva",
        preprocess=_clip_pixels,
        architectures="EVA-02 Ti/14, S/14, B/14, L/14",
        licence="MIT",
        citation="arXiv:2303.11331",
    ),
]
