"""MAE and I-JEPA: encoders with the decoders and predictors of their pre-training."""

from collections.abc import Mapping

import jax.numpy as jnp

from jssl.models.encoders.readouts import read_class, read_mean, read_normed_mean
from jssl.models.features import Features
from jssl.models.layers.positions import LearnedPositions, bicubic
from jssl.models.masked.decoders import MaskedDecoder
from jssl.models.masked.predictors import Predictor
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import layer, lead, table
from jssl.weights.preprocessing import Preprocess
from jssl.weights.tables.heads import linear
from jssl.weights.tables.shared import (
    HUB,
    HUB_BLOCK,
    QKV,
    TIMM,
    activation,
    biased,
    block,
    depth_of,
    epsilon_norm,
    grid_of,
    heads_of,
    mlp_of,
    number,
    only,
    vit,
)

MAE: Table = {
    "embed": ("decoder_embed", layer),
    "mask_token": ("mask_token", lead(2)),
    "positions": ("decoder_pos_embed", table(1)),
    "norm": ("decoder_norm", layer),
    "predict": ("decoder_pred", layer),
    **block("blocks/block_{i}", "decoder_blocks.{i}"),
}


def decoder(file: File, rows: Table, encoder: Net, keys: Mapping[str, str]) -> Net:
    """MAE's decoder beside an encoder, with the same norm."""
    dim, width = file.shape("decoder_embed.weight")
    out = file.shape("decoder_pred.weight")[0]
    depth = depth_of(file, rows, keys["depth"])
    sizes = mlp_of(file, rows, dim, activation(file))
    heads = number(file, keys["heads"], default=16)
    module = MaskedDecoder(
        out,
        dim,
        depth,
        heads,
        sizes["mlp_ratio"],
        LearnedPositions(bicubic),
        encoder.module.norm,
        bool(biased(file, rows)),
        mlp=sizes["mlp"],
    )
    grid = grid_of(file, encoder.module.patch, file.shape("decoder_pos_embed")[-2] - 1)

    def init(module, key):
        features = Features(jnp.zeros((1, width)), jnp.zeros((1, 1, width)))
        return module.init(key, features, jnp.zeros((1, 1), int), grid)

    return Net(module, rows, init, file.at)


def _mae(file: File) -> dict[str, Net]:
    encoder = vit(file, TIMM)
    keys = dict(depth="decoder_depth", heads="decoder_num_heads")
    if "decoder_embed.weight" not in file and not file.get(*keys.values()):
        return {"encoder": encoder}
    return {"encoder": encoder, "decoder": decoder(file, MAE, encoder, keys)}


def _mae_vit(file: File) -> dict[str, Net]:
    mean = file.get("global_pool", default="fc_norm.weight" in file)
    rows = TIMM | ({"norm": ("fc_norm", layer)} if mean else {})
    encoder = vit(file, rows, readout=read_normed_mean if mean else read_class)
    return only(encoder=encoder, logits=linear(file, "head"))


HUB_MAE = MAE | block("blocks/block_{i}", "decoder_layers.{i}", **HUB_BLOCK)


def _hub_mae(file: File) -> dict[str, Net]:
    encoder = vit(file, HUB, epsilon=1e-12)
    below = file.beside("vit.", "decoder.")
    if "decoder_embed.weight" not in below:
        return {"encoder": encoder}
    keys = dict(depth="decoder_num_hidden_layers", heads="decoder_num_attention_heads")
    return {"encoder": encoder, "decoder": decoder(below, HUB_MAE, encoder, keys)}


PREDICTOR: Table = {
    "embed": ("predictor_embed", layer),
    "mask_token": ("mask_token", lead(2)),
    "positions": ("predictor_pos_embed", table(1)),
    "norm": ("predictor_norm", layer),
    "predict": ("predictor_proj", layer),
    **block("blocks/block_{i}", "predictor_blocks.{i}"),
}


def _ijepa(file: File) -> dict[str, Net]:
    return {"encoder": vit(file, TIMM, classes=0, readout=read_mean)}


def _predictor(file: File) -> dict[str, Net]:
    at = next((name for name in file.tensors if name.endswith("predictor_embed.weight")), None)
    if at is None:
        return {}
    below = File(
        {**file.config, **file.get("predictor", default={})},
        file.tensors,
        at.removesuffix("predictor_embed.weight"),
    )
    dim, width = below.shape("predictor_embed.weight")
    depth = depth_of(below, PREDICTOR, "depth")
    heads = number(below, "num_heads", default=heads_of(file, width))
    ratio = mlp_of(below, PREDICTOR, dim, activation(below))["mlp_ratio"]
    module = Predictor(
        dim, depth, heads, ratio, LearnedPositions(), epsilon_norm(below), bool(biased(below, PREDICTOR))
    )
    grid = grid_of(below, number(file, "patch_size", default=16), below.shape("predictor_pos_embed")[-2])

    def init(module, key):
        places = jnp.zeros((1, 1), int)
        return module.init(key, jnp.zeros((1, 1, width)), places, places[None], grid)

    return {"predictor": Net(module, PREDICTOR, init, below.at)}


def _hub_ijepa(file: File) -> dict[str, Net]:
    masked = "embeddings.mask_token" in file
    encoder = vit(file, HUB, epsilon=1e-12, classes=0, readout=read_mean, masked=masked)
    return only(encoder=encoder, logits=linear(file.beside("ijepa.", ""), "classifier"))


def _mae_vit_pixels(file: File) -> Preprocess:
    """As evaluated: seven eighths of the short side are seen up to 224 pixels, beyond them all of it."""
    whole = Preprocess.of(file, share=1.0)
    return whole if whole.crop > 224 else Preprocess.of(file)


FAMILIES = [
    Family(
        "mae",
        _mae,
        r"patch_embed\.proj\.weight",
        kinds=("mae",),
        signs=(r"pos_embed$", r"norm\.weight$", r"blocks\.0\.attn\.qkv\.weight$", r"cls_token$"),
        foreign=(r"head\.", r"ls1\.", r"fc\.", r"fc_norm", r"rel_pos_bias", r"masked_embed", r"reg"),
        label="mae",
        publisher="facebookresearch/mae",
        architectures="ViT-B/16, L/16, H/14",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2111.06377",
    ),
    Family(
        "mae_vit",
        _mae_vit,
        r"patch_embed\.proj\.weight",
        kinds=("mae_vit",),
        signs=(r"pos_embed$", r"blocks\.0\.attn\.qkv\.weight$", r"head\.weight$", r"(?:fc_)?norm\.weight$"),
        foreign=(r"decoder", r"ls1\.", r"rel_pos", r"reg_token", r"head\.0\."),
        preprocess=_mae_vit_pixels,
        label="mae",
        publisher="facebookresearch/mae",
        architectures="ViT-B/16, L/16, H/14, fine-tuned",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2111.06377",
    ),
    Family(
        "hf_vit_mae",
        _hub_mae,
        r"embeddings\.patch_embeddings\.projection\.weight",
        kinds=("vit_mae",),
        signs=(
            r"embeddings\.position_embeddings$",
            rf"encoder\.layer\.0\.{QKV[0]}\.weight$",
            r"decoder_pred\.",
        ),
        label="mae",
        publisher="facebook on the hub",
        architectures="ViT-B/16, L/16, H/14",
        needs="config.json",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2111.06377",
    ),
    Family(
        "ijepa",
        _ijepa,
        r"patch_embed\.proj\.weight",
        kinds=("ijepa",),
        signs=(r"pos_embed$", r"norm\.weight$", r"(?:target_encoder|predictor)\."),
        foreign=(r"cls_token", r"decoder", r"layers\."),
        parts={
            "target_encoder": r"(?:target_encoder\.)?(?:module\.)?",
            "encoder": r"encoder\.(?:module\.)?",
        },
        shared=_predictor,
        label="ijepa",
        publisher="facebookresearch/ijepa",
        architectures="ViT-H/14, H/16, g/16",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2301.08243",
    ),
    Family(
        "hf_ijepa",
        _hub_ijepa,
        r"embeddings\.patch_embeddings\.projection\.weight",
        kinds=("ijepa",),
        signs=(
            r"embeddings\.position_embeddings$",
            rf"encoder\.layer\.0\.{QKV[0]}\.weight$",
            r"layernorm\.weight$",
        ),
        foreign=(r"embeddings\.cls_token", r"decoder"),
        label="ijepa",
        publisher="facebook on the hub",
        architectures="ViT-H/14, H/16, g/16",
        needs="config.json",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2301.08243",
    ),
]
