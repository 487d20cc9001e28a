"""Swin Transformers, pre-trained by SimMIM: Microsoft's names and the hub's."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp

from jssl.models.encoders.swin import Swin
from jssl.models.layers.positions import LearnedPositions
from jssl.models.layers.transformer import Mlp, gelu
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import layer, lead, patches, plain, table
from jssl.weights.tables.beit import pixels
from jssl.weights.tables.heads import linear
from jssl.weights.tables.shared import activation, block, epsilon_norm, grid_of, number, only, only_usual


def rows_of(stem: str, stage: str, bias: str, **names: Any) -> Table:
    """The rows of a Swin: the names before its stages, of a stage, of a relative bias, of a block."""
    return {
        "stem/proj": (stem, patches),
        "merge{s}/norm": (lambda s: stage.format(s=s - 1) + ".downsample.norm", layer),
        "merge{s}/reduction": (lambda s: stage.format(s=s - 1) + ".downsample.reduction", layer),
        "stage{s}_{i}/relative_bias": (f"{stage}.blocks.{{i}}.{bias}", plain),
        **block("stage{s}_{i}", stage + ".blocks.{i}", **names),
    }


MICROSOFT: Table = {
    **rows_of("patch_embed.proj", "layers.{s}", "attn.relative_position_bias_table"),
    "norm_stem": ("patch_embed.norm", layer),
    "mask_token": ("mask_token", lead(2)),
    "positions": ("absolute_pos_embed", table(1)),
    "norm": ("norm", layer),
}
HUB: Table = {
    **rows_of(
        "embeddings.patch_embeddings.projection",
        "encoder.layers.{s}",
        "attention.self.relative_position_bias_table",
        norm1="layernorm_before",
        norm2="layernorm_after",
        qkv=tuple(f"attention.self.{name}" for name in ("query", "key", "value")),
        proj="attention.output.dense",
        fc1="intermediate.dense",
        fc2="output.dense",
    ),
    "norm_stem": ("embeddings.norm", layer),
    "mask_token": ("embeddings.mask_token", lead(2)),
    "positions": ("embeddings.position_embeddings", table(1)),
    "norm": ("layernorm", layer),
}


def swin(file: File, rows: Table, masked: bool) -> Net:
    """A Swin with sizes from the tensors, and its window from the tables of relative positions."""
    only_usual(file, qk_scale=None)
    dim, channels, *_, side = file.shape(rows["stem/proj"][0] + ".weight")
    stages = rows["stage{s}_{i}/norm1"][0]
    count = file.count(stages.split("{s}")[0])
    held = tuple(file.count(stages.split("{i}")[0].format(s=s)) for s in range(count))
    depths = tuple(file.get("depths", default=held))
    if len(depths) != count or any(type(n) is not int or not 0 < n <= 4 * max(held) for n in depths):
        raise ValueError(f"the config speaks of depths {depths}, the file holds {held}")
    biases = [file.shape(rows["stage{s}_{i}/relative_bias"][0].format(s=s, i=0)) for s in range(count)]
    windows = tuple((round(bias[0] ** 0.5) + 1) // 2 for bias in biases)
    hidden = file.shape(rows["stage{s}_{i}/mlp/fc1"][0].format(s=0, i=0) + ".weight")[0]
    qkv = rows["stage{s}_{i}/attn/qkv"][0]
    first = (qkv[0] if isinstance(qkv, tuple) else qkv).format(s=0, i=0)
    patch = number(file, "patch_size", default=side)
    positions = rows["positions"][0] in file
    grid = grid_of(file, patch, file.shape(rows["positions"][0])[1] if positions else None)
    act = activation(file)
    module = Swin(
        patch,
        dim,
        depths,
        tuple(bias[-1] for bias in biases),
        windows[0] if len(set(windows)) == 1 else windows,
        hidden / dim,
        LearnedPositions() if positions else None,
        epsilon_norm(file, 1e-5),
        bool(file.get("qkv_bias", default=f"{first}.bias" in file)),
        mlp=Mlp if act is gelu else partial(Mlp, activation=act),
    )
    shape = (1, grid[0] * patch, grid[1] * patch, channels)

    def init(module, key):
        mask = jnp.zeros((1, grid[0] * grid[1]), bool) if masked else None
        return module.init(key, jnp.zeros(shape), mask=mask)

    return Net(module, rows, init, file.at, native=number(file, "img_size", "image_size", default=shape[1]))


def _hub(file: File) -> dict[str, Net]:
    above = file.beside("swin.", "")
    decoder = pixels(above.below("decoder."))
    encoder = swin(file, HUB, decoder is not None or "embeddings.mask_token" in file)
    return only(encoder=encoder, pixels=decoder, logits=linear(above, "classifier"))


def _microsoft(file: File) -> dict[str, Net]:
    decoder = pixels(file.beside("encoder.", "decoder."))
    encoder = swin(file, MICROSOFT, decoder is not None or "mask_token" in file)
    return only(encoder=encoder, pixels=decoder, logits=linear(file, "head"))


_SWIN = Family(
    "simmim_swin",
    _microsoft,
    r"patch_embed\.proj\.weight",
    kinds=("simmim_swin", "swin"),
    signs=(
        r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table$",
        r"layers\.0\.downsample\.reduction\.weight$",
        r"patch_embed\.norm\.weight$",
    ),
    kept=("*relative_position_index", "*attn_mask"),
    label="simmim|swin",
    publisher="microsoft/SimMIM",
    architectures="Swin-B, Swin-L",
    licence="MIT",
    citation="arXiv:2111.09886",
)
FAMILIES = [
    _SWIN,
    replace(
        _SWIN,
        name="hf_swin_simmim",
        build=_hub,
        anchor=r"embeddings\.patch_embeddings\.projection\.weight",
        kinds=("swin",),
        signs=(
            r"encoder\.layers\.0\.blocks\.0\.attention\.self\.relative_position_bias_table$",
            r"encoder\.layers\.0\.downsample\.reduction\.weight$",
        ),
        publisher="microsoft on the hub",
        needs="config.json",
    ),
]
