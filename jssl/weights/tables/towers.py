"""CLIP, OpenCLIP and SigLIP: an encoder of images and one of texts in the same space."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp

from jssl.data.augment.base import CLIP, SIGNED
from jssl.models.encoders.readouts import read_mean, read_normed_class, read_normed_mean, read_pooled
from jssl.models.encoders.text import LogitScale, TextTransformer, first_place, largest_id, last_place
from jssl.models.encoders.vit import PatchEmbed
from jssl.models.heads import Head, dense
from jssl.models.layers.pooling import AttentionPool
from jssl.models.layers.positions import antialiased_bicubic
from jssl.models.layers.transformer import Mlp
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import (
    Layout,
    attention_in,
    first_axis,
    layer,
    lead,
    patches,
    plain,
    table,
)
from jssl.weights.preprocessing import Preprocess
from jssl.weights.tables.heads import linear
from jssl.weights.tables.shared import (
    activation,
    block,
    depth_of,
    epsilon_norm,
    heads_of,
    mlp_of,
    number,
    only,
    scaled,
    vit,
)

UNBIASED = partial(PatchEmbed, use_bias=False)
BLOCK: dict[str, Any] = dict(
    norm1="layer_norm1",
    norm2="layer_norm2",
    qkv=tuple(f"self_attn.{name}_proj" for name in "qkv"),
    proj="self_attn.out_proj",
)
VISION: Table = {
    "stem/proj": ("embeddings.patch_embedding", patches),
    "class_token": ("embeddings.class_embedding", first_axis),
    "positions": ("embeddings.position_embedding.weight", table(0)),
    "norm_input": ("pre_layrnorm", layer),
    "norm": ("post_layernorm", layer),
    **block("blocks/block_{i}", "encoder.layers.{i}", **BLOCK),
}
TEXT: Table = {
    "embed": ("embeddings.token_embedding", layer),
    "positions": ("embeddings.position_embedding.weight", plain),
    "norm": ("final_layer_norm", layer),
    **block("blocks/block_{i}", "encoder.layers.{i}", **BLOCK),
}


def sub(file: File, key: str, at: str) -> File:
    """One tower of a file: its own config, its own prefix."""
    config = file.get(key, default=file.config)
    if not isinstance(config, Mapping):
        raise ValueError(f"{key} must be a table, the config says {config!r}")
    return replace(file, config=dict(config), at=at)


def text_tower(file: File, rows: Table, *, end: Any, causal: bool, epsilon: float, act: str) -> Net:
    """A text transformer with sizes from config and tensors."""
    vocabulary, dim = file.shape(rows["embed"][0] + ".weight")
    length = file.shape(rows["positions"][0])[0]
    depth = depth_of(file, rows, "num_hidden_layers", "layers")
    module = TextTransformer(
        number(file, "vocab_size", default=vocabulary),
        number(file, "max_position_embeddings", "context_length", default=length),
        number(file, "hidden_size", "width", default=dim),
        depth,
        heads_of(file, dim, "num_attention_heads", "heads"),
        end=end,
        causal=causal,
        norm=epsilon_norm(file, epsilon),
        layer_scale=scaled(file, rows, "ls_init_value"),
        **mlp_of(file, rows, dim, activation(file, default=act)),
    )
    return Net(module, rows, lambda module, key: module.init(key, jnp.zeros((1, length), int)), file.at)


def scale(at: str, layout: Layout = plain) -> Net:
    """The learned factor on cosines."""
    return Net(LogitScale(), {"log_scale": ("logit_scale", layout)}, lambda module, key: module.init(key), at)


def matrix(file: File, name: str) -> Net | None:
    """A projection stored as [D, E], used as x @ projection."""
    if name not in file:
        return None
    width, out = file.shape(name)
    rows = {"layers_0/kernel": (name, plain)}
    init = lambda module, key: module.init(key, jnp.zeros((1, width)))  # noqa: E731
    return Net(Head((dense(out, use_bias=False),)), rows, init, file.at)


def _clip(file: File) -> dict[str, Net]:
    vision = sub(file, "vision_config", file.at)
    encoder = vit(
        vision,
        VISION,
        epsilon=1e-5,
        act="quick_gelu",
        norm_input=True,
        stem=UNBIASED,
        readout=read_normed_class,
    )
    root = file.beside("vision_model.", "")
    text = sub(root, "text_config", root.at + "text_model.")
    heads: dict[str, Net | None] = {"image_projection": linear(root, "visual_projection")}
    if "embeddings.token_embedding.weight" in text:
        eos = number(text, "eos_token_id", default=49407)  # transformers' default
        stands_in = eos == 2 and not str(root.get("model_type", default="")).startswith("metaclip_2")
        end = largest_id if stands_in else partial(first_place, of=eos)
        heads["text"] = text_tower(text, TEXT, end=end, causal=True, epsilon=1e-5, act="quick_gelu")
        heads["text_projection"] = linear(root, "text_projection")
        heads["logit_scale"] = scale(root.at)
    return only(encoder=encoder, **heads)


SIGLIP: Table = VISION | {
    "pool/probe": ("head.probe", lead(1)),
    "pool/attn": ("head.attention", attention_in),
    "pool/proj": ("head.attention.out_proj", layer),
    "pool/norm": ("head.layernorm", layer),
    "pool/mlp/fc1": ("head.mlp.fc1", layer),
    "pool/mlp/fc2": ("head.mlp.fc2", layer),
}


def _siglip(file: File) -> dict[str, Net]:
    vision = sub(file, "vision_config", file.at)
    fields: dict[str, Any] = {"readout": read_mean}
    if "head.probe" in vision:
        hidden, dim = vision.shape("head.mlp.fc1.weight")
        act = activation(vision, default="gelu_pytorch_tanh")
        pool = partial(
            AttentionPool,
            heads_of(vision, dim),
            hidden,
            partial(Mlp, activation=act),
            epsilon_norm(vision),
        )
        fields["readout"] = partial(read_pooled, pool=pool)
    encoder = vit(vision, SIGLIP, act="gelu_pytorch_tanh", classes=0, **fields)
    root = file.beside("vision_model.", "")
    text = sub(root, "text_config", root.at + "text_model.")
    heads: dict[str, Net | None] = {}
    if "embeddings.token_embedding.weight" in text:
        heads["text"] = text_tower(
            text, TEXT, end=last_place, causal=False, epsilon=1e-6, act="gelu_pytorch_tanh"
        )
        heads["text_projection"] = linear(text, "head")
        heads["logit_scale"] = scale(root.at, lead(1))
    return only(encoder=encoder, **heads)


OPEN_ROWS: Table = {
    **block(
        "blocks/block_{i}",
        "transformer.resblocks.{i}",
        norm1="ln_1",
        norm2="ln_2",
        proj="attn.out_proj",
        fc1="mlp.c_fc",
        fc2="mlp.c_proj",
        scale1="ls_1.gamma",
        scale2="ls_2.gamma",
    ),
    "blocks/block_{i}/attn/qkv": ("transformer.resblocks.{i}.attn", attention_in),
}
OPEN_VISION: Table = {
    "stem/proj": ("conv1", patches),
    "class_token": ("class_embedding", first_axis),
    "positions": ("positional_embedding", table(0)),
    "norm_input": ("ln_pre", layer),
    "norm": ("ln_post", layer),
    **OPEN_ROWS,
}
OPEN_TEXT: Table = {
    "embed": ("token_embedding", layer),
    "positions": ("positional_embedding", plain),
    "norm": ("ln_final", layer),
    **OPEN_ROWS,
}


def _open_clip(file: File) -> dict[str, Net]:
    root = file.beside("visual.", "")
    model = sub(file, "model_cfg", file.at)
    quick = bool(model.get("quick_gelu", default="input_resolution" in root))
    vision = sub(model, "vision_cfg", file.at)
    dim = vision.shape("conv1.weight")[0]
    early, pool = "ln_pre.weight" in vision, vision.get("pool_type", default="tok")
    if pool not in ("tok", "avg"):
        raise ValueError(f"pool_type is {pool!r}, known are 'tok' and 'avg'")
    after = vision.get("final_ln_after_pool", default=False)
    readouts = {"tok": read_normed_class, "avg": read_normed_mean if after else read_mean}
    encoder = vit(
        replace(
            vision, config={"patch_size": vision.get("patch_size"), "image_size": vision.get("image_size")}
        ),
        OPEN_VISION,
        interpolate=antialiased_bicubic,
        epsilon=_epsilon(vision, file),
        act=_act(vision, quick),
        depth=depth_of(vision, OPEN_VISION, "layers"),
        heads=dim // number(vision, "head_width", default=64),
        norm_input=early,
        stem=UNBIASED,
        readout=readouts[pool],
        qkv_bias=True,
        layer_scale=vision.get("ls_init_value"),
    )
    text = sub(model, "text_cfg", root.at + ("text." if "text.token_embedding.weight" in root else ""))
    heads: dict[str, Net | None] = {"image_projection": matrix(vision, "proj")}
    if "token_embedding.weight" in text:
        ends = {"argmax": largest_id, "last": last_place, "first": partial(first_place, of=-1)}
        ends["eos"] = partial(first_place, of=text.get("eos_id", default=2))
        end, causal = text.get("pool_type", default="argmax"), not text.get("no_causal_mask", default=False)
        if end not in ends:
            raise ValueError(f"pool_type is {end!r}, known are {', '.join(ends)}")
        made = text_tower(
            text, OPEN_TEXT, end=ends[end], causal=causal, epsilon=_epsilon(text, file), act=_act(text, quick)
        )
        heads["text"] = made
        heads["text_projection"] = matrix(text, "text_projection") or linear(text, "text_projection")
        heads["logit_scale"] = scale(root.at, lead(len(root.shape("logit_scale"))))
    return only(encoder=encoder, **heads)


def _act(tower: File, quick: bool) -> str:
    """The activation of a tower."""
    stated = tower.get("act_kwargs", default={})
    if set(stated) - {"approximate"} or (stated and quick):
        raise ValueError(f"act_kwargs is {stated!r}, known is approximate, of the plain GELU")
    return "quick_gelu" if quick else "gelu_tanh" if stated.get("approximate") == "tanh" else "gelu"


def _epsilon(tower: File, file: File) -> float:
    """The epsilon of a tower's norms."""
    stated = tower.get("norm_kwargs", default={})
    if set(stated) - {"eps"}:
        raise ValueError(f"norm_kwargs is {stated!r}, known is eps")
    return stated.get("eps", file.get("layer_norm_eps", default=1e-5))


def _clip_pixels(file: File) -> Preprocess:
    return Preprocess.of(file.tower("vision_config", "vision_cfg"), CLIP, share=1.0)


def _siglip_pixels(file: File) -> Preprocess:
    return Preprocess.of(file.tower("vision_config"), SIGNED, share=1.0, squash=True)


_CLIP = Family(
    "hf_clip",
    _clip,
    r"embeddings\.patch_embedding\.weight",
    kinds=("clip", "clip_vision_model", "metaclip_2", "metaclip_2_vision_model"),
    signs=(
        r"vision_model\.pre_layrnorm\.weight$",
        r"vision_model\.encoder\.layers\.0\.self_attn\.q_proj\.weight$",
        r"visual_projection\.weight$",
    ),
    kept=("*position_ids",),
    label="clip",
    preprocess=_clip_pixels,
    publisher="openai and laion on the hub",
    architectures="ViT-B/32, B/16, L/14, H/14, g/14 with a text transformer",
    needs="config.json",
    licence="MIT",
    citation="arXiv:2103.00020",
)
FAMILIES = [
    _CLIP,
    replace(
        _CLIP,
        name="open_clip",
        build=_open_clip,
        anchor=r"(?<=visual\.)conv1\.weight",
        kinds=("open_clip",),
        signs=(r"visual\.class_embedding$", r"visual\.transformer\.resblocks\.0\.attn\.in_proj_weight$"),
        kept=("*input_resolution", "*context_length", "*vocab_size", "*logit_bias", "*attn_mask"),
        publisher="openai/CLIP, mlfoundations/open_clip",
        needs="config.json, but for OpenAI's own",
        citation="arXiv:2212.07143",
    ),
    replace(
        _CLIP,
        name="hf_siglip",
        build=_siglip,
        kinds=("siglip", "siglip_vision_model"),
        signs=(
            r"vision_model\.post_layernorm\.weight$",
            r"vision_model\.embeddings\.patch_embedding\.bias$",
            r"vision_model\.encoder\.layers\.0\.self_attn\.q_proj\.weight$",
        ),
        kept=("*position_ids", "*logit_bias"),
        label="siglip",
        preprocess=_siglip_pixels,
        publisher="google on the hub",
        architectures="ViT-B/16, L/16, So400m/14 with a text transformer",
        licence="Apache-2.0",
        citation="arXiv:2303.15343",
    ),
]
