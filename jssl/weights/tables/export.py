"""Networks of the library under published names: timm's, Meta's, the hub's and torchvision's."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jssl.models.encoders.readouts import (
    read_class,
    read_mean,
    read_mean_of_all,
    read_normed_class,
    read_normed_mean,
)
from jssl.models.encoders.resnet import ResNet, torch_padding
from jssl.models.encoders.vit import PatchEmbed, ViT
from jssl.models.layers.positions import LearnedPositions, antialiased_bicubic
from jssl.models.layers.transformer import Mlp, SwiGlu
from jssl.weights.engine import Net, Table
from jssl.weights.layouts import layer, lead
from jssl.weights.tables.hub import DINOV2
from jssl.weights.tables.resnet import ROWS as RESNET
from jssl.weights.tables.shared import HUB, TIMM

Variables = Mapping[str, Any]
Described = tuple[Net, Variables, dict[str, Any]]
POOLED: dict[Any, dict[str, Any]] = {  # readout -> timm's arguments
    read_class: {"global_pool": "token"},
    read_normed_class: {"global_pool": "token", "fc_norm": True},
    read_mean: {"global_pool": "avg", "fc_norm": False},
    read_normed_mean: {"global_pool": "avg", "fc_norm": True},
    read_mean_of_all: {"global_pool": "avg", "fc_norm": False, "pool_include_prefix": True},
}


def timm(encoder: nn.Module, variables: Variables, side: int) -> Described:
    """As timm's VisionTransformer; the mask token has no place there and is left out."""
    module, params, sizes = _plain(encoder, variables, side)
    params.pop("mask_token", None)
    rows: dict[str, Any] = {**TIMM, "registers": ("reg_token", lead(1))}
    args = sizes | {"num_classes": 0, "class_token": bool(module.class_token), "pre_norm": module.norm_input}
    if (readout := _readout(module)) not in POOLED:
        raise ValueError(f"timm has no way of reading features as {_name(readout)} does")
    args |= POOLED[readout]
    if args.get("fc_norm"):
        rows["norm"] = ("fc_norm", layer)
    if module.registers:  # timm gives registers positions unless the class token has none either
        if module.class_token:
            params["class_token"] = params["class_token"] + params["positions"]["prefix"]
        params["positions"] = {"table": params["positions"]["table"]}
        module = module.copy(positions=LearnedPositions(antialiased_bicubic, of_prefix=False))
        args |= {"reg_tokens": module.registers, "no_embed_class": True}
    if _gated(module):
        rows |= {"blocks/block_{i}/mlp/w12": ("blocks.{i}.mlp.fc1", layer)}
        rows |= {"blocks/block_{i}/mlp/w3": ("blocks.{i}.mlp.fc2", layer)}
        args["mlp_layer"] = "swiglu_packed"
    config = {"architecture": f"vit_patch{module.patch}", "model_args": args, "num_classes": 0}
    return _net(module, rows), {"params": params}, config | {"layer_norm_eps": _epsilon(module)}


def dino(encoder: nn.Module, variables: Variables, side: int) -> Described:
    """As DINO's VisionTransformer, which has no mask token."""
    module, params, sizes = _read_by_class(encoder, variables, side)
    params.pop("mask_token", None)
    return (
        _net(module, _without(TIMM, "scale", "registers", "norm_input", "w12", "w3")),
        {"params": params},
        {"model_type": "dino_vit", **sizes, "layer_norm_eps": _epsilon(module)},
    )


def dinov2(encoder: nn.Module, variables: Variables, side: int) -> Described:
    """As DINOv2's DinoVisionTransformer; a network without a mask token gets zeros."""
    module, params, sizes = _read_by_class(encoder, variables, side)
    params.setdefault("mask_token", np.zeros(module.dim, np.float32))
    kind = module.positions.interpolate
    config = sizes | {
        "model_type": "dinov2",
        "ffn_layer": "swiglufused" if _gated(module) else "mlp",
        "num_register_tokens": module.registers,
        "interpolate_antialias": getattr(kind, "func", kind) is antialiased_bicubic,
        "interpolate_offset": getattr(kind, "keywords", {}).get("offset", 0.0),
        "block_chunks": 0,
        "layer_norm_eps": _epsilon(module),
    }
    return _net(module, _without(TIMM, "norm_input")), {"params": params}, config


def hub(encoder: nn.Module, variables: Variables, side: int) -> Described:
    """As transformers' ViTModel; the mask token is left out, layer scale and registers have no place."""
    module, params, _ = _read_by_class(encoder, variables, side)
    params.pop("mask_token", None)
    rows = _without(HUB, "scale", "registers")
    config = _hub_config(module, params) | {"model_type": "vit", "architectures": ["ViTModel"]}
    return _net(module, rows), {"params": params}, config


def hub_dinov2(encoder: nn.Module, variables: Variables, side: int) -> Described:
    """As transformers' Dinov2Model, with registers or not; layer scale that it lacks is 1, a mask token 0."""
    module, params, _ = _read_by_class(encoder, variables, side)
    params.setdefault("mask_token", np.zeros(module.dim, np.float32))
    ones = {f"scale{i}": np.ones(module.dim, np.float32) for i in (1, 2)}
    params["blocks"] = {name: {**ones, **block} for name, block in params["blocks"].items()}
    with_registers = {"model_type": "dinov2_with_registers", "num_register_tokens": module.registers}
    config = _hub_config(module, params) | (with_registers if module.registers else {"model_type": "dinov2"})
    config |= {"layerscale_value": module.layer_scale or 1.0, "use_swiglu_ffn": _gated(module)}
    config |= {"mlp_ratio": 4 if _gated(module) else round(module.mlp_ratio), "use_mask_token": True}
    return _net(module, DINOV2), {"params": params}, config


def _hub_config(module: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    rows, columns = params["positions"]["table"].shape[:2]
    return {
        "hidden_size": module.dim,
        "num_hidden_layers": module.depth,
        "num_attention_heads": module.heads,
        "intermediate_size": round(module.dim * module.mlp_ratio),
        "patch_size": module.patch,
        "image_size": rows * module.patch
        if rows == columns
        else [rows * module.patch, columns * module.patch],
        "hidden_act": "gelu",
        "layer_norm_eps": _epsilon(module),
        "qkv_bias": bool(module.qkv_bias),
    }


def torchvision(encoder: nn.Module, variables: Variables, side: int) -> Described:
    """As torchvision's ResNet."""
    if not isinstance(encoder, ResNet):
        raise ValueError(f"torchvision's names are of residual networks, this is a {type(encoder).__name__}")
    if encoder.padding is not torch_padding:
        raise ValueError(
            f"torchvision pads on both sides, this network by {_name(encoder.padding)}; save it as jssl"
        )
    told = {"layers": list(encoder.depths), "batch_norm_eps": _epsilon(encoder)}
    return _net(encoder, RESNET), variables, {"model_type": "resnet", **told}


def _net(module: nn.Module, rows: Table) -> Net:
    return Net(module, rows, lambda module, key: {})


def _without(rows: Table, *words: str) -> Table:
    return {path: row for path, row in rows.items() if not any(word in path for word in words)}


def _readout(module: Any) -> Any:
    return module.readout or (read_class if module.class_token else read_mean)


def _name(readout: Any) -> str:
    return getattr(readout, "__name__", type(readout).__name__)


def _read_by_class(
    encoder: nn.Module, variables: Variables, side: int
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """As `_plain`, for names of networks whose features are the class token after the norm."""
    module, params, sizes = _plain(encoder, variables, side)
    if not module.class_token or (readout := _readout(module)) is not read_class:
        told = f"by {_name(readout)}" if module.class_token else "without a class token"
        raise ValueError(
            f"these names are of ViTs that are read by their class token, this one is read {told}; "
            "timm_vit has names for it"
        )
    return module, params, sizes


def _plain(encoder: nn.Module, variables: Variables, side: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A plain ViT with stored positions, its parameters, and the constructor's arguments."""
    if not isinstance(encoder, ViT):
        raise ValueError(f"these names are of plain ViTs, this is a {type(encoder).__name__}")
    params = dict(variables["params"])
    stem, told = encoder.stem, getattr(encoder.stem, "keywords", {})
    patches = getattr(stem, "func", stem) is PatchEmbed and told.get("use_bias", True)
    if not (patches and encoder.rotary is None and encoder.attention_bias is None):
        raise ValueError(
            "these names are of plain ViTs: patches, absolute positions, no bias in the attention"
        )
    if not _gated(encoder) and encoder.mlp is not Mlp:
        raise ValueError("these names are of ViTs with a GELU mlp or a gated one")
    if int(encoder.class_token) > 1:
        raise ValueError(
            f"these names are of ViTs with one class token, this one has {encoder.class_token} with positions"
        )
    if encoder.positions is None:
        raise ValueError("these names are of ViTs with absolute positions, this one has none")
    if not isinstance(encoder.positions, LearnedPositions):
        classes, grid = int(encoder.class_token), (side // encoder.patch,) * 2
        whole = encoder.positions(grid, encoder.dim, prefix=classes)
        params["positions"] = {"table": whole[classes:].reshape(*grid, encoder.dim)}
        params["positions"] |= {"prefix": whole[:classes]} if classes else {}
        encoder = encoder.copy(positions=LearnedPositions())
    elif "prefix" not in params["positions"] and encoder.class_token:
        params["positions"] = {
            **params["positions"],
            "prefix": jnp.zeros((int(encoder.class_token), encoder.dim)),
        }
    rows, columns = params["positions"]["table"].shape[:2]
    sizes = {
        "img_size": [rows * encoder.patch, columns * encoder.patch],
        "patch_size": encoder.patch,
        "embed_dim": encoder.dim,
        "depth": encoder.depth,
        "num_heads": encoder.heads,
        "mlp_ratio": encoder.mlp_ratio,
        "qkv_bias": bool(encoder.qkv_bias),
        "init_values": encoder.layer_scale,
    }
    return encoder, jax.device_get(params), sizes


def _gated(module: Any) -> bool:
    return module.mlp is SwiGlu


def _epsilon(module: Any) -> float:
    return getattr(module.norm(name=None), "epsilon", 1e-6)


DESCRIBED = {
    "timm_vit": timm,
    "dino_vit": dino,
    "dinov2": dinov2,
    "hf_vit": hub,
    "hf_dinov2": hub_dinov2,
    "hf_dinov2_registers": hub_dinov2,
    "resnet_torchvision": torchvision,
}
