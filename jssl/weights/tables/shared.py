"""What the tables of several families share: names of blocks, and sizes from config and tensors."""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.encoders.vit import PatchEmbed, ViT
from jssl.models.layers.positions import LearnedPositions, bicubic
from jssl.models.layers.transformer import Mlp, SwiGlu, gelu, layer_norm, quick_gelu
from jssl.weights.engine import File, Net, Row, Table
from jssl.weights.layouts import fused, layer, lead, patches, plain, table, unbiased

ACTIVATIONS: Mapping[str, Callable] = {
    "gelu": gelu,
    "gelu_pytorch_tanh": partial(jax.nn.gelu, approximate=True),
    **dict.fromkeys(
        ("gelu_new", "gelu_fast", "gelu_accurate", "gelu_python_tanh", "gelu_tanh"),
        partial(jax.nn.gelu, approximate=True),
    ),
    "gelu_python": gelu,
    "quick_gelu": quick_gelu,
    "relu": nn.relu,
    "relu6": nn.relu6,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "selu": nn.selu,
    "mish": jax.nn.mish,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": nn.tanh,
    "sigmoid": nn.sigmoid,
}
HEADS = {1280: 16, 1408: 16, 1664: 16, 1152: 16, 4096: 32}  # by width; others have heads of 64 features


def block(ours: str, theirs: str, **names: str | tuple) -> Table:
    """The rows of a pre-norm block: timm's names, except those that are given."""
    known: dict[str, Any] = {
        "norm1": "norm1",
        "norm2": "norm2",
        "qkv": "attn.qkv",
        "proj": "attn.proj",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
        "w12": "mlp.w12",
        "w3": "mlp.w3",
        "scale1": "ls1.gamma",
        "scale2": "ls2.gamma",
        **names,
    }
    inner = {"qkv": "attn/", "proj": "attn/", "fc1": "mlp/", "fc2": "mlp/", "w12": "mlp/", "w3": "mlp/"}
    rows: dict[str, Row] = {}
    for name, published in known.items():
        if isinstance(published, tuple):
            row = (tuple(f"{theirs}.{part}" for part in published), fused)
        else:
            row = (f"{theirs}.{published}", plain if name.startswith("scale") else layer)
        rows[f"{ours}/{inner.get(name, '')}{name}"] = row
    return rows


TIMM: Table = {
    "stem/proj": ("patch_embed.proj", patches),
    "class_token": ("cls_token", lead(1)),
    "registers": ("register_tokens", lead(1)),
    "mask_token": ("mask_token", lead(1)),
    "positions": ("pos_embed", table(1)),
    "norm_input": ("norm_pre", layer),
    "norm": ("norm", layer),
    **block("blocks/block_{i}", "blocks.{i}"),
}
QKV = tuple(f"attention.attention.{name}" for name in ("query", "key", "value"))
HUB_BLOCK: dict[str, Any] = dict(
    norm1="layernorm_before",
    norm2="layernorm_after",
    qkv=QKV,
    proj="attention.output.dense",
    fc1="intermediate.dense",
    fc2="output.dense",
    scale1="lambda_1",
    scale2="lambda_2",
)
HUB: Table = {
    "stem/proj": ("embeddings.patch_embeddings.projection", patches),
    "class_token": ("embeddings.cls_token", lead(1)),
    "registers": ("embeddings.register_tokens", lead(1)),
    "mask_token": ("embeddings.mask_token", lead(2)),
    "positions": ("embeddings.position_embeddings", table(1)),
    "norm": ("layernorm", layer),
    **block("blocks/block_{i}", "encoder.layer.{i}", **HUB_BLOCK),
}


def number(file: File, *keys: str, default: Any = None) -> int:
    """Reads a size from the config; where it is not there, it is the default.

    Raises:
        ValueError: where it is no positive number below a million.
    """
    value = file.get(*keys, default=default)
    value = value[0] if isinstance(value, list | tuple) and value else value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1_000_000:
        raise ValueError(f"{keys[0]} must be a positive number, config and tensors say {str(value)[:80]}")
    return value


def only_usual(file: File, **usual: Any) -> None:
    """Checks options of the config that the tensors do not show and of which only one value is built.

    Args:
        file: Whose config it is.
        usual: The value that is built, by option.
    Raises:
        ValueError: for an option with another value.
    """
    for name, value in usual.items():
        if (stated := file.get(name, default=value)) != value:
            raise ValueError(f"{name} is {stated!r}, which is not built")


def epsilon_norm(file: File, default: float = 1e-6) -> Callable[..., nn.Module]:
    """The layer norm with the config's epsilon."""
    epsilon = file.get("layer_norm_eps", default=default)
    if not isinstance(epsilon, float | int) or not 0 < epsilon < 1:
        raise ValueError(f"layer_norm_eps must lie between 0 and 1, the config says {epsilon!r}")
    return layer_norm if epsilon == 1e-6 else partial(layer_norm, epsilon=float(epsilon))


def activation(file: File, key: str = "hidden_act", default: str = "gelu") -> Callable:
    """The activation that the config names."""
    name = file.get(key, default=default)
    if name not in ACTIVATIONS:
        raise ValueError(f"{key} is {name!r}, known are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def depth_of(file: File, rows: Table, *keys: str) -> int:
    """The number of blocks: from the config, else counted in the file."""
    held = file.count(rows["blocks/block_{i}/norm1"][0].split("{i}")[0])
    depth = number(file, *(keys or ("depth", "num_hidden_layers")), default=held or None)
    if depth > 4 * held + 4:
        raise ValueError(f"the config speaks of {depth} blocks, the file holds {held}")
    return depth


def mlp_of(file: File, rows: Table, dim: int, act: Callable) -> dict[str, Any]:
    """Fields mlp and mlp_ratio of a ViT, from the tensors of the first block."""

    def width(name):
        theirs = rows[f"blocks/block_{{i}}/mlp/{name}"][0]
        first = theirs[0] if isinstance(theirs, tuple) else theirs
        first = first.replace("{i}", "0") + ".weight"
        return file.shape(first)[0] // (1 if isinstance(theirs, tuple) else 2) if first in file else None

    gated = width("w12")
    if gated is not None and width("fc1") is None:
        return dict(mlp=SwiGlu, mlp_ratio=gated / dim)
    theirs = rows["blocks/block_{i}/mlp/fc1"][0].replace("{i}", "0") + ".weight"
    return dict(
        mlp=Mlp if act is gelu else partial(Mlp, activation=act), mlp_ratio=file.shape(theirs)[0] / dim
    )


def grid_of(file: File, patch: int, held: int | None) -> tuple[int, int]:
    """The native grid: the config's image size, else a square of the positions that the file holds."""
    image = file.get("img_size", "image_size")
    sides = list(image) if isinstance(image, list | tuple) else [image, image]
    if all(type(side) is int and side > 0 for side in sides) and len(sides) == 2:
        grid = sides[0] // patch, sides[1] // patch
        if held is None:
            return min(grid[0], 64) or 1, min(grid[1], 64) or 1
        if grid[0] * grid[1] == held:
            return grid
        if math.isqrt(held) ** 2 != held:
            raise ValueError(f"the config speaks of {grid[0]} x {grid[1]} positions, the file holds {held}")
    side = 2 if held is None else math.isqrt(held)
    if held is not None and side * side != held:
        raise ValueError(
            f"the file holds {held} positions, which is no square; config.json must say the image size"
        )
    return side, side


def heads_of(file: File, dim: int, *keys: str, usual: int | None = None) -> int:
    """The number of heads: from the config, else `usual`, else that of published models of this width."""
    keys = keys or ("num_heads", "num_attention_heads")
    known = HEADS.get(dim, dim // 64 if dim % 64 == 0 else None)
    heads = number(file, *keys, default=usual or known)
    if dim % heads:
        raise ValueError(f"{heads} heads do not divide the width {dim}")
    return heads


def scaled(file: File, rows: Table, *keys: str) -> float | None:
    """The first value of layer scale: from the config, else 1e-5 if the file has factors."""
    stated = file.get(*keys) if keys else None
    if isinstance(stated, int | float) and not isinstance(stated, bool):
        return float(stated) or None
    theirs = rows["blocks/block_{i}/scale1"][0].replace("{i}", "0")
    return 1e-5 if theirs in file else None


def biased(file: File, rows: Table) -> bool | tuple[bool, ...]:
    """Which of queries, keys and values have a bias: from the config, else if some block has one."""
    stated = file.get("qkv_bias")
    if isinstance(stated, bool):
        return stated
    theirs = rows["blocks/block_{i}/attn/qkv"][0]
    names = theirs if isinstance(theirs, tuple) else (theirs,)
    has = tuple(file.any(re.escape(name).replace(r"\{i\}", r"\d+") + r"\.bias$") for name in names)
    return has[0] if len(set(has)) == 1 else has


def without_biases(file: File, rows: Table) -> Table:
    """The rows, without the biases that the config denies and the file lacks."""
    layers = {"attn/proj": ("proj_bias",)} | dict.fromkeys(
        ("mlp/fc1", "mlp/fc2", "mlp/w12", "mlp/w3"), ("ffn_bias", "mlp_bias", "proj_bias")
    )

    def lacks(path):
        theirs, name = rows[path][0], path.removeprefix("blocks/block_{i}/")
        stem = re.escape(theirs[0] if isinstance(theirs, tuple) else theirs).replace(r"\{i\}", r"\d+")
        stated = file.get(*layers[name], default=True) is False
        return stated and not file.any(stem + r"\.bias$")

    paths = {path for name in layers if (path := f"blocks/block_{{i}}/{name}") in rows and lacks(path)}
    return {path: (row[0], unbiased) if path in paths else row for path, row in rows.items()}


def vit(
    file: File,
    rows: Table,
    *,
    interpolate: Callable = bicubic,
    epsilon: float = 1e-6,
    act: str = "gelu",
    masked: bool = False,
    of_prefix: bool = True,
    classes: int = 1,
    image: Callable[[tuple[int, int], int], tuple[int, ...]] | None = None,
    held: int | None = None,
    rename: Callable[[str], str] = str,
    **fields: Any,
) -> Net:
    """Makes a ViT whose sizes are read from config and tensors.

    Args:
        file: At the network's prefix.
        rows: Its table.
        interpolate, epsilon, act: The family's, for what the config does not say.
        masked: Whether it has a mask token.
        of_prefix: Whether the class token has a position.
        classes: How many class tokens it has.
        image: (grid, patch) -> the shape of an input; None: an image of as many channels as the stem takes.
        held: How many positions the file holds, where they are not absolute ones.
        rename: As `Net`.
        fields: Of `ViT`, in place of what is found.
    """
    only_usual(file, qk_scale=None)
    stem = rows["stem/proj"][0]
    weight = file.shape(f"{stem}.weight") if f"{stem}.weight" in file or "dim" not in fields else None
    dim = fields.get("dim") or number(file, "embed_dim", "hidden_size", default=weight[0] if weight else None)
    patch = fields.get("patch") or number(file, "patch_size", default=weight[-1] if weight else None)
    channels = weight[1] if weight and weight[-1] == patch else 3
    if "positions" not in fields:
        name = rows["positions"][0]
        held = file.shape(name)[-2] - (classes if of_prefix else 0)
        fields["positions"] = LearnedPositions(interpolate, of_prefix)
    grid = grid_of(file, patch, held)
    found = dict(
        patch=patch,
        dim=dim,
        heads=fields.get("heads") or heads_of(file, dim),
        class_token=True if classes == 1 else classes,
        norm=epsilon_norm(file, epsilon),
    )
    if "depth" not in fields:
        found["depth"] = depth_of(file, rows)
    stem = fields.get("stem", PatchEmbed)
    if getattr(stem, "func", stem) is PatchEmbed and _leaves_pixels(file, patch):
        fields["stem"] = partial(stem, cut=True)
    if "mlp" not in fields:
        found |= mlp_of(file, rows, dim, activation(file, default=act))
    if "qkv_bias" not in fields:
        found["qkv_bias"] = biased(file, rows)
    module, rows = ViT(**{**found, **fields}), without_biases(file, rows)
    shape = image(grid, patch) if image else (grid[0] * patch, grid[1] * patch, channels)

    def init(module, key):
        mask = jnp.zeros((1, math.prod(module.grid((1, *shape)))), bool) if masked else None
        return module.init(key, jnp.zeros((1, *shape)), mask=mask)

    return Net(module, rows, init, file.at, rename, grid[0] * patch)


def _leaves_pixels(file: File, patch: int) -> bool:
    """Whether the published image size is no multiple of the patch's side, as 384 is none of 14."""
    published = file.get("pretrained_cfg", default={}).get("input_size") or ()
    image = file.get("img_size", "image_size")
    sides = [*published[1:], *(image if isinstance(image, list | tuple) else [image])]
    return any(type(side) is int and side % patch for side in sides)


def only(**nets: Net | None) -> dict[str, Net]:
    """The networks that the file has."""
    return {name: net for name, net in nets.items() if net is not None}


__all__ = [
    "ACTIVATIONS",
    "HUB",
    "HUB_BLOCK",
    "QKV",
    "TIMM",
    "activation",
    "biased",
    "block",
    "depth_of",
    "epsilon_norm",
    "grid_of",
    "heads_of",
    "mlp_of",
    "number",
    "only",
    "only_usual",
    "scaled",
    "vit",
]
