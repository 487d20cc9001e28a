"""timm's names: its ViT with every way of pooling, and EVA-02."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jssl.data.augment.base import CLIP
from jssl.models.encoders.readouts import (
    read_class,
    read_mean,
    read_normed_class,
    read_normed_mean,
    read_pooled,
    read_raw,
)
from jssl.models.encoders.vit import PatchEmbed
from jssl.models.features import Features
from jssl.models.layers.attention import attend
from jssl.models.layers.pooling import AttentionPool
from jssl.models.layers.positions import antialiased_bicubic
from jssl.models.layers.relative import rotary_angles_by_index
from jssl.models.layers.transformer import Mlp, SwiGlu
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import (
    fused,
    fused_neighbours,
    layer,
    lead,
    neighbours,
    query_apart,
    separate_biases,
    token_pair,
)
from jssl.weights.preprocessing import Preprocess
from jssl.weights.tables.heads import linear
from jssl.weights.tables.shared import (
    ACTIVATIONS,
    TIMM,
    activation,
    epsilon_norm,
    heads_of,
    only,
    only_usual,
    scaled,
    vit,
)

SIXTEEN = re.compile("vit_giantopt_|vit_base_patch16_gap_")  # architectures whose heads are not 64 wide
TANH = re.compile(  # SigLIP 2's sizes
    r"vit_(?:base_patch32|so400m_patch16|giantopt_patch16)_siglip|vit_large_patch16_siglip_(?:gap_)?512"
)
TURNED = re.compile(r"eva_|eva02_|vit_\w+_rope_reg\d_")  # their rotary embedding is built, or they have none
TURNING = re.compile("_rope_|_pe_|_dinov3")  # have one, though their tensors may be named as a plain ViT's
REDUCED: dict[str, Callable] = {
    "avg": lambda x: x.mean(axis=1),
    "max": lambda x: x.max(axis=1),
    "avgmax": lambda x: (x.max(axis=1) + x.mean(axis=1)) / 2,
}
ROWS: Table = TIMM | {"registers": ("reg_token", lead(1))}


def _pooling(file: File, *, attended: bool = False) -> tuple[Callable, Table]:
    """The pooling of tokens and the norm's row; `attended`: attention pooling reads prefix tokens too."""
    fc = "fc_norm.weight" in file and "norm.weight" not in file
    held = "token" if "cls_token" in file and not fc else "avg"
    pool = file.get("global_pool", default=held) or "token"
    rows: Table = {"norm": ("fc_norm" if fc else "norm", layer)}
    normed = fc or "norm.weight" in file
    whole = bool(file.get("pool_include_prefix", default=False))
    if pool == "map" and normed:
        read = _read_pooled_whole if whole or attended else read_pooled
        return partial(read, pool=_pool(file, rows)), rows
    if pool in REDUCED and (pool != "avg" or whole or not normed):
        when = "after" if fc else "before" if normed else None
        return partial(_read_reduced, reduce=REDUCED[pool], when=when, whole=whole), rows
    if pool == "token":
        return (read_normed_class if fc else read_class) if normed else read_raw, rows
    if pool != "avg":
        raise ValueError(f"global_pool is {pool!r}, known are 'token', 'map', {', '.join(REDUCED)}")
    return (read_normed_mean if fc else read_mean), rows


def _read_reduced(
    prefix: jax.Array, patches: jax.Array, norm: Callable, *, reduce: Callable, when: str | None, whole: bool
) -> Features:
    """Reads patch tokens and their reduction; `whole`: class token and registers are reduced with them."""
    tokens = jnp.concatenate([prefix, patches], axis=1)
    tokens = norm(name="norm")(tokens) if when == "before" else tokens
    pooled = reduce(tokens if whole else tokens[:, prefix.shape[1] :])
    return Features(norm(name="norm")(pooled) if when == "after" else pooled, tokens[:, prefix.shape[1] :])


def _read_pooled_whole(prefix: jax.Array, patches: jax.Array, norm: Callable, *, pool: Callable) -> Features:
    """As `read_pooled`, over class token and registers too."""
    tokens = norm(name="norm")(jnp.concatenate([prefix, patches], axis=1))
    return Features(pool(name="pool")(tokens), tokens[:, prefix.shape[1] :])


def _pool(file: File, rows: Table) -> Callable:
    """Makes the attention pooling, `attn_pool`, and adds its rows."""
    names = {"norm": "norm", "proj": "proj", "mlp/fc1": "mlp.fc1", "mlp/fc2": "mlp.fc2"}
    rows |= {f"pool/{ours}": (f"attn_pool.{theirs}", layer) for ours, theirs in names.items()}
    rows["pool/probe"] = ("attn_pool.latent", lead(1))
    rows["pool/attn"] = (("attn_pool.q", "attn_pool.kv"), query_apart)
    hidden, dim = file.shape("attn_pool.mlp.fc1.weight")
    act = ACTIVATIONS[_activation(file)]
    heads = file.get("attn_pool_num_heads", default=_heads(file, dim))
    return partial(AttentionPool, heads, hidden, partial(Mlp, activation=act), epsilon_norm(file))


def _gated(file: File, fields: dict[str, Any], rows: Table, norm: Callable | None) -> None:
    """Adds the rows and fields of gated layers, whose gate and value are one matrix or two."""
    out = file.shape("blocks.0.mlp.fc2.weight")
    if "blocks.0.mlp.fc1_g.weight" in file:
        rows["blocks/block_{i}/mlp/w12"] = (("blocks.{i}.mlp.fc1_g", "blocks.{i}.mlp.fc1_x"), fused)
    elif file.shape("blocks.0.mlp.fc1.weight")[0] == 2 * out[1]:
        rows["blocks/block_{i}/mlp/w12"] = ("blocks.{i}.mlp.fc1", layer)
    else:
        return
    rows["blocks/block_{i}/mlp/w3"] = ("blocks.{i}.mlp.fc2", layer)
    rows["blocks/block_{i}/mlp/norm"] = ("blocks.{i}.mlp.norm", layer)
    told: dict[str, Any] = {"norm": norm} if "blocks.0.mlp.norm.weight" in file else {}
    if file.get("act_layer", default="silu") not in ("silu", "swish"):
        told["activation"] = activation(file, "act_layer")
    fields |= dict(mlp=partial(SwiGlu, **told) if told else SwiGlu, mlp_ratio=out[1] / out[0])


def _timm(file: File) -> dict[str, Net]:
    if "_rpn_" in (name := str(file.get("architecture", default=""))):
        raise ValueError(f"{name} has its norms after their branches, which is not built")
    if file.get("use_rot_pos_emb", default=bool(TURNING.search(name))):
        return _eva02(file)
    readout, pooled = _pooling(file)
    rows: Table = ROWS | pooled
    fields: dict[str, Any] = dict(readout=readout, layer_scale=scaled(file, TIMM, "init_values"))
    classes = _prefix(file, rows, fields)
    early = "norm_pre.weight" in file
    if early:
        fields["norm_input"] = True
    fields["heads"] = _heads(file, file.shape("patch_embed.proj.weight")[0])
    if "patch_embed.proj.bias" not in file:
        fields["stem"] = partial(PatchEmbed, use_bias=False)
    if "pos_embed" not in file:
        fields["positions"] = None
    _gated(file, fields, rows, epsilon_norm(file, 1e-5 if early else 1e-6))
    encoder = vit(
        file,
        rows,
        interpolate=antialiased_bicubic,
        epsilon=1e-5 if early else 1e-6,
        act=_activation(file),
        classes=classes,
        of_prefix=not _patches_alone(file),
        **fields,
    )
    return only(encoder=encoder, logits=linear(file, "head"))


def _heads(file: File, dim: int) -> int:
    """The number of heads: from the arguments, else as timm builds the architecture."""
    name = str(file.get("architecture", default=""))
    usual = 16 if SIXTEEN.match(name) else dim // 32 if name.startswith("test_vit") else None
    return heads_of(file, dim, usual=usual)


def _activation(file: File) -> str:
    """The activation of the blocks: from the arguments, else as timm builds the architecture."""
    name = str(file.get("architecture", default=""))
    of_name = "quick_gelu" if "quickgelu" in name else "gelu_tanh" if TANH.match(name) else "gelu"
    return file.get("act_layer", default=of_name)


def _patches_alone(file: File) -> bool:
    """Whether the positions have no entries for class token and registers."""
    first = sum(file.shape(name)[1] for name in ("cls_token", "reg_token") if name in file)
    if not first or "pos_embed" not in file:
        return False
    stated, held = file.get("no_embed_class"), file.shape("pos_embed")[1]
    if isinstance(stated, bool):
        return stated
    side = file.shape("patch_embed.proj.weight")[-1]
    image = file.get("img_size")
    rows, columns = image if isinstance(image, list) and len(image) == 2 else (image, image)
    if type(rows) is int and type(columns) is int:  # a square number may count the class token too
        patches = (rows // side) * (columns // side)
        if held in (patches, patches + first):
            return held == patches
    return math.isqrt(held) ** 2 == held


def _prefix(file: File, rows: Table, fields: dict[str, Any]) -> int:
    """The number of first tokens with positions; registers count unless only patches have positions."""
    classes, registers = int("cls_token" in file), file.shape("reg_token")[1] if "reg_token" in file else 0
    if registers and not _patches_alone(file) and "pos_embed" in file:
        rows["class_token"] = (("cls_token", "reg_token"), token_pair) if classes else ("reg_token", lead(1))
        return classes + registers
    if registers:
        fields["registers"] = registers
    return classes


def _eva02(file: File) -> dict[str, Net]:
    readout, pooled = _pooling(file, attended=True)
    rows: Table = ROWS | pooled
    fields: dict[str, Any] = dict(readout=readout, layer_scale=scaled(file, EVA, "init_values"))
    rows |= {name: row for name, row in EVA.items() if "scale" in name}
    _gated(file, fields, rows, epsilon_norm(file))
    named = "embed_dim" not in dict(file.config.get("model_args") or {})  # with sizes they are complete
    turned = file.get("use_rot_pos_emb")
    turned = (named and _turns(file, "mlp" in fields)) if turned is None else turned
    native = file.get("ref_feat_shape", default=(16, 16) if named else None)
    native = tuple(native) if isinstance(native, list | tuple) else native and (native, native)
    only_usual(file, rope_type="cat", rope_grid_offset=0, rope_grid_indexing="ij")
    post = "enormous" in str(file.get("architecture", default=""))
    if file.get("use_post_norm", default=post):
        raise ValueError("use_post_norm puts the norms after their branches, which is not built")
    if turned:
        theta = float(file.get("rope_temperature", default=10000.0))
        fields["rotary"] = partial(rotary_angles_by_index, native=native, theta=theta)
    halves = not turned or file.get("rope_rotate_half", default=False)
    if "blocks.0.attn.norm.weight" in file:
        norm = epsilon_norm(file)
        fields["attend"] = partial(_attend_normed, norm=norm)
        rows["blocks/block_{i}/attn/norm"] = ("blocks.{i}.attn.norm", layer)
    if "blocks.0.attn.q_proj.weight" in file:
        names = tuple(f"blocks.{{i}}.attn.{name}_proj" for name in "qkv")
        fields["qkv_bias"] = tuple(f"{name.format(i=0)}.bias" in file for name in names)
        rows["blocks/block_{i}/attn/qkv"] = (names, fused if halves else fused_neighbours)
    else:
        fields["qkv_bias"] = "blocks.0.attn.q_bias" in file and (True, False, True)
        rows["blocks/block_{i}/attn/qkv"] = ("blocks.{i}.attn", separate_biases if halves else neighbours)
    if "pos_embed" not in file:
        fields["positions"] = None
    classes = _prefix(file, rows, fields)
    alone = _patches_alone(file)
    encoder = vit(file, rows, interpolate=antialiased_bicubic, classes=classes, of_prefix=not alone, **fields)
    return only(encoder=encoder, logits=linear(file, "head"))


def _turns(file: File, gated: bool) -> bool:
    """Whether timm has rotary embedding in this architecture: EVA-02 is gated and rotary, EVA-01 neither."""
    name = str(file.get("architecture", default=""))
    if not TURNED.match(name) and (name or "pos_embed" not in file):
        told = name or "a network without positions"
        raise ValueError(f"{told} may turn its tokens in a way that is not built; use_rot_pos_emb can say it")
    return gated or "_rope_" in name


def _attend_normed(query, key, value, *, bias=None, norm: Callable) -> jax.Array:
    """Attention, and a norm over all heads' features before the projection."""
    x = attend(query, key, value, bias=bias)
    return norm(name="norm")(x.reshape(*x.shape[:2], -1)).reshape(x.shape)


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
        r"blocks\.0\.attn\.q_bias$",
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
        foreign=tuple(sign for sign in _TIMM.foreign if "reg" not in sign and "norm" not in sign),
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
        architectures="EVA-02 Ti/14, S/14, B/14, L/14, EVA g/14, L/14",
        licence="MIT",
        citation="arXiv:2303.11331",
    ),
]
