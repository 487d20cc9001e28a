"""BEiT and similar networks: relative positions in the attention, no bias on keys, layer scale."""

import math
from dataclasses import replace

import jax.numpy as jnp

from jssl.data.augment.base import SIGNED
from jssl.models.encoders.readouts import read_class, read_normed_mean, read_raw
from jssl.models.heads import Head, dense
from jssl.models.layers.relative import RelativePositionBias
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import layer, lead, relative, separate_biases, shuffled
from jssl.weights.preprocessing import Preprocess
from jssl.weights.tables.heads import linear, stack
from jssl.weights.tables.shared import HUB, QKV, TIMM, epsilon_norm, number, only, scaled, vit

BEIT: Table = TIMM | {
    "mask_token": ("mask_token", lead(2)),
    "blocks/block_{i}/attn/qkv": ("blocks.{i}.attn", separate_biases),
    "blocks/block_{i}/scale1": ("blocks.{i}.gamma_1", TIMM["blocks/block_{i}/scale1"][1]),
    "blocks/block_{i}/scale2": ("blocks.{i}.gamma_2", TIMM["blocks/block_{i}/scale2"][1]),
}
TABLES = ("rel_pos_bias.relative_position_bias_table", "blocks.{i}.attn.relative_position_bias_table")
HUB_TABLES = (
    "encoder.relative_position_bias.relative_position_bias_table",
    "encoder.layer.{i}.attention.attention.relative_position_bias.relative_position_bias_table",
)


def beit(
    file: File, rows: Table, tables: tuple[str, str], *scale: str, turned: bool = False, **fields
) -> Net:
    """A ViT with relative positions, one table for all blocks or one each, and absolute ones where given.

    Args:
        file, rows: As `vit`.
        tables: The names of a shared table and of a block's own.
        scale: The config's names of the first value of layer scale.
        turned: Whether a table of h x w patches is read as one of w x h, then resized, as transformers does.
        fields: As `vit`.
    """
    shared = file.get(
        "use_shared_rel_pos_bias", "use_shared_relative_position_bias", default=tables[0] in file
    )
    each = file.get("use_rel_pos_bias", "use_relative_position_bias", default=tables[1].format(i=0) in file)
    if shared or each:
        name = tables[0] if shared else tables[1]
        height, width = _window(file, rows["stem/proj"][0], file.shape(name.format(i=0))[0] - 3)
        fields |= dict(attention_bias=RelativePositionBias(bool(shared)), held=height * width)
        if turned and height != width:
            side = file.shape(rows["stem/proj"][0] + ".weight")[-1]
            file = replace(file, config={**file.config, "image_size": [width * side, height * side]})
        rows = {**rows, "attention_bias": (name, relative)}
    held = rows["positions"][0] in file
    if not file.get("use_abs_pos_emb", "use_absolute_position_embeddings", default=held):
        fields["positions"] = None
    return vit(file, rows, layer_scale=scaled(file, rows, *scale), **fields)


def _window(file: File, stem: str, held: int) -> tuple[int, int]:
    """The native grid: the config's, where the table is as large, else a square."""
    image, side = file.get("img_size", "image_size"), file.shape(f"{stem}.weight")[-1]
    if isinstance(image, list | tuple) and len(image) == 2 and all(type(n) is int for n in image):
        grid = image[0] // side, image[1] // side
        if (2 * grid[0] - 1) * (2 * grid[1] - 1) == held:
            return grid
    square = (math.isqrt(max(held, 1)) + 1) // 2
    return square, square


def _own(file: File, **fields) -> Net:
    stated = file.get("qkv_bias", default=file.any(r"blocks\.\d+\.attn\.q_bias$"))
    biased = bool(stated) and (True, False, True)
    return beit(file, BEIT, TABLES, "init_values", qkv_bias=biased, **fields)


def _beit(file: File) -> dict[str, Net]:
    return only(encoder=_own(file, masked=True), tokens=linear(file, "lm_head"))


def _pooled(file: File, **fields) -> Net:
    mean = file.get("use_mean_pooling", default="fc_norm.weight" in file)
    encoder = _own(file, readout=read_normed_mean if mean else read_class, **fields)
    return encoder._replace(table=encoder.table | ({"norm": ("fc_norm", layer)} if mean else {}))


def _beit_finetuned(file: File) -> dict[str, Net]:
    return only(encoder=_pooled(file), logits=linear(file, "head"))


def _simmim_vit(file: File) -> dict[str, Net]:
    return only(encoder=_pooled(file, masked=True), pixels=pixels(file.beside("encoder.", "decoder.")))


def pixels(file: File) -> Net | None:
    """SimMIM's decoder: a 1x1 convolution before PixelShuffle."""
    if "0.weight" not in file:
        return None
    out, width = file.shape("0.weight")[:2]
    side = math.isqrt(out // 3)
    if number(file, "encoder_stride", default=side) != side or 3 * side * side != out:
        raise ValueError(
            f"a decoder of {out} numbers makes no squares of three channels, as encoder_stride says them"
        )
    rows = {"layers_0": ("0", shuffled)}
    init = lambda module, key: module.init(key, jnp.zeros((1, width)))  # noqa: E731
    return Net(Head((dense(3 * side * side),)), rows, init, file.at)


def _hub(file: File, top: str) -> dict[str, Net]:
    mean = file.get("use_mean_pooling", default="layernorm.weight" not in file)
    masked = "embeddings.mask_token" in file or bool(file.get("use_mask_token"))
    encoder = beit(
        file,
        HUB,
        HUB_TABLES,
        "layer_scale_init_value",
        turned=True,
        epsilon=1e-12,
        masked=masked,
        readout=read_raw if mean else read_class,
    )
    above = file.beside(top, "")
    norm, heads = epsilon_norm(file, 1e-12), {"logits": linear(above, "classifier")}
    if "pooler.layernorm.weight" in file:
        heads["pooled"] = stack(file, "pooler.layernorm", norm=norm)
    if "lm_head.weight" in above:
        heads["tokens"] = stack(above, "layernorm", "lm_head", norm=norm)
    return only(encoder=encoder, **heads)


def _hub_beit(file: File) -> dict[str, Net]:
    return _hub(file, "beit.")


def _hub_data2vec(file: File) -> dict[str, Net]:
    return _hub(file, "data2vec_vision.")


def _image(file: File) -> Preprocess:
    """As evaluated: seven eighths of the short side are seen below 384 pixels, from there on all of it."""
    whole = _hub_image(file)
    return whole if whole.crop >= 384 else Preprocess.of(file, SIGNED)


def _hub_image(file: File) -> Preprocess:
    return Preprocess.of(file, SIGNED, share=1.0)


_BEIT = Family(
    "beit",
    _beit,
    r"patch_embed\.proj\.weight",
    kinds=("beit",),
    signs=(
        r"cls_token$",
        r"blocks\.0\.attn\.qkv\.weight$",
        r"relative_position_bias_table$",
        r"lm_head\.weight$",
    ),
    foreign=(r"head\.", r"fc_norm\.", r"decoder"),
    kept=("*relative_position_index",),
    label="beit",
    preprocess=_image,
    publisher="microsoft/unilm",
    architectures="ViT-B/16, L/16",
    licence="MIT",
    citation="arXiv:2106.08254",
)
_HUB = replace(
    _BEIT,
    name="hf_beit",
    build=_hub_beit,
    anchor=r"embeddings\.patch_embeddings\.projection\.weight",
    signs=(
        r"embeddings\.cls_token$",
        rf"encoder\.layer\.0\.{QKV[0]}\.weight$",
        r"encoder\.(?:.*\.)?relative_position_bias\.relative_position_bias_table$",
    ),
    foreign=(r"lm_head\.",),
    preprocess=_hub_image,
    publisher="microsoft on the hub",
    needs="config.json",
)
FAMILIES = [
    _BEIT,
    replace(
        _BEIT,
        name="beit_finetuned",
        build=_beit_finetuned,
        signs=(*_BEIT.signs[:-1], r"head\.weight$"),
        foreign=(r"lm_head\.", r"decoder"),
    ),
    replace(
        _BEIT,
        name="simmim_vit",
        build=_simmim_vit,
        kinds=("simmim_vit",),
        signs=(*_BEIT.signs[:-1], r"decoder\.0\.weight$"),
        foreign=(r"lm_head\.", r"head\."),
        label="simmim",
        preprocess=Preprocess.of,
        publisher="microsoft/SimMIM",
        architectures="ViT-B/16",
        citation="arXiv:2111.09886",
    ),
    _HUB,
    replace(_HUB, name="hf_beit_mim", signs=(*_HUB.signs, r"lm_head\.weight$"), foreign=()),
    replace(
        _HUB,
        name="hf_data2vec_vision",
        build=_hub_data2vec,
        kinds=("data2vec-vision",),
        label="data2vec",
        publisher="facebook on the hub",
        licence="Apache-2.0",
        citation="arXiv:2202.03555",
    ),
]
