"""VideoMAE under transformers' names."""

from functools import partial

import jax.numpy as jnp

from jssl.models.encoders.readouts import read_mean, read_normed_mean, read_raw
from jssl.models.encoders.video import TubeletDecoder, TubeletEmbed, sinusoid_positions
from jssl.models.layers.transformer import layer_norm
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import layer, lead, separate_qkv, tubelets
from jssl.weights.tables.heads import linear
from jssl.weights.tables.shared import (
    HUB,
    HUB_BLOCK,
    activation,
    block,
    depth_of,
    epsilon_norm,
    mlp_of,
    number,
    only,
    vit,
)

ROWS: Table = HUB | {
    "stem/proj": ("embeddings.patch_embeddings.projection", tubelets),
    "blocks/block_{i}/attn/qkv": ("encoder.layer.{i}.attention.attention", separate_qkv),
}
DECODER: Table = {
    "embed": ("encoder_to_decoder", layer),
    "mask_token": ("mask_token", lead(2)),
    "norm": ("decoder.norm", layer),
    "predict": ("decoder.head", layer),
    **block("blocks/block_{i}", "decoder.decoder_layers.{i}", **HUB_BLOCK),
    "blocks/block_{i}/attn/qkv": ("decoder.decoder_layers.{i}.attention.attention", separate_qkv),
}


def _videomae(file: File) -> dict[str, Net]:
    above = file.beside("videomae.", "")
    dim, channels, frames, side = file.shape(ROWS["stem/proj"][0] + ".weight")[:4]
    time = number(file, "num_frames", default=16)
    fc = "fc_norm.weight" in above
    readout = read_mean if "layernorm.weight" in file else read_raw
    rows = ROWS
    if fc:  # fine-tuned: the norm comes after the mean, and its name beside the encoder's
        readout, rows = read_normed_mean, ROWS | {"norm": (f"/{above.at}fc_norm", layer)}
    encoder = vit(
        file,
        rows,
        epsilon=1e-12,
        classes=0,
        readout=readout,
        stem=partial(TubeletEmbed, tubelet=frames),
        dim=dim,
        patch=side,
        positions=sinusoid_positions,
        qkv_bias="encoder.layer.0.attention.attention.q_bias" in file and (True, False, True),
        image=lambda grid, patch: (min(time, frames), patch, patch, channels),
    )
    encoder = encoder._replace(native=number(file, "image_size", default=224))
    return only(encoder=encoder, decoder=_decoder(above), logits=linear(above, "classifier"))


def _decoder(file: File) -> Net | None:
    if "encoder_to_decoder.weight" not in file:
        return None
    dim, width = file.shape("encoder_to_decoder.weight")
    sizes = mlp_of(file, DECODER, dim, activation(file))
    module = TubeletDecoder(
        file.shape("decoder.head.weight")[0],
        dim,
        depth_of(file, DECODER, "decoder_num_hidden_layers"),
        number(file, "decoder_num_attention_heads", default=6),
        sizes["mlp_ratio"],
        sizes["mlp"],
        epsilon_norm(file, 1e-12),
        partial(layer_norm, epsilon=1e-5),
        "decoder.decoder_layers.0.attention.attention.q_bias" in file and (True, False, True),
    )

    def init(module, key):
        place = jnp.zeros((1, 1), int)
        return module.init(key, jnp.zeros((1, 1, width)), place, place, (1, 1, 1))

    return Net(module, DECODER, init, file.at)


FAMILIES = [
    Family(
        "hf_videomae",
        _videomae,
        r"embeddings\.patch_embeddings\.projection\.weight",
        kinds=("videomae",),
        signs=(
            r"encoder\.layer\.0\.attention\.attention\.q_bias$",
            r"encoder\.layer\.0\.layernorm_before\.weight$",
        ),
        label="videomae",
        publisher="MCG-NJU on the hub",
        architectures="ViT-S/16, B/16, L/16, H/16 of films",
        needs="config.json",
        licence="CC-BY-NC-4.0",
        citation="arXiv:2203.12602",
    ),
]
