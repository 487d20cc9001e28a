"""The audio spectrogram transformer under transformers' names."""

from functools import partial

from jssl.models.encoders.audio import SpectrogramEmbed
from jssl.models.layers.positions import LearnedPositions
from jssl.weights.engine import Family, File, Net, Table
from jssl.weights.layouts import layer, token_pair
from jssl.weights.preprocessing import Spectrograms
from jssl.weights.tables.heads import linear, stack
from jssl.weights.tables.shared import HUB, epsilon_norm, number, only, vit

ROWS: Table = HUB | {
    "stem/proj": ("embeddings.patch_embeddings.projection", layer),
    "class_token": (("embeddings.cls_token", "embeddings.distillation_token"), token_pair),
}


def _ast(file: File) -> dict[str, Net]:
    dim, _, side, _ = file.shape("embeddings.patch_embeddings.projection.weight")
    stride = number(file, "frequency_stride", default=10), number(file, "time_stride", default=10)
    frames, bins = number(file, "max_length", default=1024), number(file, "num_mel_bins", default=128)
    stem = partial(SpectrogramEmbed, stride=stride)
    grid = stem(patch=side, dim=dim, parent=None).grid((frames, bins))
    held = file.shape("embeddings.position_embeddings")[1] - 2
    if grid[0] * grid[1] != held:
        raise ValueError(
            f"{frames} frames and {bins} bins make {grid[0]} x {grid[1]} tokens, the file holds {held}"
        )
    encoder = vit(
        file,
        ROWS,
        epsilon=1e-12,
        classes=2,
        stem=stem,
        dim=dim,
        patch=side,
        positions=LearnedPositions(),
        image=lambda grid, patch: (frames, bins),
    )
    return only(encoder=encoder, **_logits(file.beside("audio_spectrogram_transformer.", "")))


def _logits(file: File) -> dict[str, Net | None]:
    if "classifier.layernorm.weight" not in file:
        return {"logits": linear(file, "classifier")}
    norm = epsilon_norm(file, 1e-12)
    return {"logits": stack(file, "classifier.layernorm", "classifier.dense", norm=norm)}


FAMILIES = [
    Family(
        "hf_ast",
        _ast,
        r"embeddings\.patch_embeddings\.projection\.weight",
        kinds=("audio-spectrogram-transformer",),
        signs=(r"embeddings\.distillation_token$", r"encoder\.layer\.0\.layernorm_before\.weight$"),
        label="ast",
        preprocess=Spectrograms.of,
        publisher="MIT on the hub",
        architectures="ViT-B/16 of log-mel spectrograms",
        needs="config.json",
        licence="BSD-3-Clause",
        citation="arXiv:2104.01778",
    ),
]
