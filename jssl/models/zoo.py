"""Encoders by their usual names: vit_s16, resnet50, resnet50x2, resnet18_cifar, swin_t ..."""

import difflib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn

from jssl.models.encoders.resnet import BasicBlock, Bottleneck, ResNet, cifar_stem
from jssl.models.encoders.swin import Swin
from jssl.models.encoders.vit import ViT
from jssl.models.layers.initializers import xavier
from jssl.models.layers.norms import layer_norm
from jssl.models.layers.transformer import SwiGlu
from jssl.models.masked.tokenizers import TokenEncoder

VITS: dict[str, dict[str, Any]] = {
    "n": dict(dim=96, depth=4, heads=3, kernel_init=xavier),
    "ti": dict(dim=192, depth=12, heads=3),
    "s": dict(dim=384, depth=12, heads=6),
    "b": dict(dim=768, depth=12, heads=12),
    "l": dict(dim=1024, depth=24, heads=16),
    "h": dict(dim=1280, depth=32, heads=16),
    "g": dict(dim=1536, depth=40, heads=24, mlp_ratio=8 / 3, mlp=SwiGlu),  # DINOv2's giant
    "giant": dict(dim=1408, depth=40, heads=16, mlp_ratio=48 / 11),  # EVA's, and that of scaling ViTs
    "7b": dict(  # DINOv3's teacher
        **dict(dim=4096, depth=40, heads=32, mlp_ratio=2, mlp=SwiGlu),
        **dict(qkv_bias=False, norm=partial(layer_norm, epsilon=1e-5)),
    ),
}

RESNETS: dict[str, Callable[..., ResNet]] = {
    "10": partial(ResNet, (1, 1, 1, 1), BasicBlock),
    "18": partial(ResNet, (2, 2, 2, 2), BasicBlock),
    "34": partial(ResNet, (3, 4, 6, 3), BasicBlock),
    "50": partial(ResNet, (3, 4, 6, 3), Bottleneck),
    "101": partial(ResNet, (3, 4, 23, 3), Bottleneck),
    "152": partial(ResNet, (3, 8, 36, 3), Bottleneck),
    "200": partial(ResNet, (3, 24, 36, 3), Bottleneck),
}

SWINS: dict[str, dict[str, Any]] = {
    # for 32 pixels
    "n": dict(patch=2, dim=32, depths=(2, 2, 2), heads=(2, 4, 8), window=4, kernel_init=xavier),
    "t": dict(dim=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24)),
    "s": dict(dim=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24)),
    "b": dict(dim=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
    "l": dict(dim=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48)),
}


def encoder(name: str, **overrides: Any) -> nn.Module:
    """Makes an encoder by its name.

    Args:
        name: vit_{n,ti,s,b,l,h,g,giant,7b}{patch}, such as vit_s16 or vit_n4; resnet{10,18,34,50,101,152,200}
            with an optional width multiplier and stem for small images, such as resnet50x2, resnet18_cifar or
            resnet18x0.25_cifar; swin_{n,t,s,b,l}; words{patch}, a tokenizer.
        overrides: fields of the module, such as depth=6 or drop_path=0.1.
    Returns:
        A Linen module, images [B, H, W, C] -> Features(cls [B, D], tokens [B, N, D]).
    Raises:
        ValueError: for an unknown name, with the closest known ones.
        TypeError: for an unknown field.
    Examples:
        >>> encoder("vit_s16").dim
        384
        >>> encoder("resnet18x0.25_cifar").widths
        (16, 32, 64, 128)
    """
    if match := re.fullmatch(rf"vit_({'|'.join(VITS)})([1-9]\d*)", name):
        size, patch = match.groups()
        return _build(name, partial(ViT, **{"patch": int(patch), **VITS[size], **overrides}))
    if match := re.fullmatch(rf"resnet({'|'.join(RESNETS)})(?:x(\d+(?:\.\d+)?))?(_cifar)?", name):
        depth, factor, cifar = match.groups()
        widths = tuple(max(1, round(float(factor or 1) * width)) for width in (64, 64, 128, 256, 512))
        sizes = dict(stem_width=widths[0], widths=widths[1:], **({"stem": cifar_stem} if cifar else {}))
        return _build(name, partial(RESNETS[depth], **{**sizes, **overrides}))
    if match := re.fullmatch(rf"swin_({'|'.join(SWINS)})", name):
        return _build(name, partial(Swin, **{**SWINS[match[1]], **overrides}))
    if match := re.fullmatch(r"words([1-9]\d*)", name):
        return _build(name, partial(TokenEncoder, **{"patch": int(match[1]), "words": 8192, **overrides}))
    close = difflib.get_close_matches(name, encoder_names(), n=5, cutoff=0.3)
    raise ValueError(f"unknown encoder {name!r}; did you mean {', '.join(close or encoder_names()[:5])}?")


def encoder_names() -> list[str]:
    """Lists common names that `encoder` knows; other patch sizes and width multipliers work as well."""
    vits = [f"vit_{size}{patch}" for size in VITS for patch in (4, 8, 14, 16)]
    resnets = [f"resnet{depth}{stem}" for depth in RESNETS for stem in ("", "x2", "_cifar", "x0.25_cifar")]
    return [*vits, *resnets, *(f"swin_{size}" for size in SWINS)]


def _build(name: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except TypeError as error:
        raise TypeError(f"encoder({name!r}): {error}") from None
