"""Heads of published files; their layers are found from the tensors."""

import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jssl.models.heads import Head, WeightNormDense, batch_norm, dense, l2_normalize
from jssl.models.layers.transformer import gelu, layer_norm
from jssl.weights.engine import File, Net
from jssl.weights.layouts import layer, weight_norm


def stack(file: File, *layers: Any, norm: Callable[..., nn.Module] = layer_norm) -> Net:
    """Makes a head whose layers' sizes are read from the tensors.

    Args:
        file: At the head's prefix.
        layers: A published layer's name; "name:weight_norm" of a weight-normed one; or a function.
        norm: Its layer norms, with the family's epsilon.
    """
    built, rows, width = [], {}, None
    for i, given in enumerate(layers):
        if not isinstance(given, str):
            built.append(given)
            continue
        name, _, kind = given.partition(":")
        made = (
            WeightNormDense(file.shape(f"{name}.weight_v")[0], nn.initializers.ones)
            if kind
            else _layer(file, name, norm)
        )
        width = width or file.shape(f"{name}.{_first(file, name)}")[-1]
        built.append(made)
        rows[f"layers_{i}"] = (name, weight_norm if kind else layer)
    return Net(Head(tuple(built)), rows, lambda module, key: module.init(key, jnp.zeros((1, width))), file.at)


def _first(file: File, name: str) -> str:
    return next(
        (leaf for leaf in ("weight", "weight_v", "running_mean") if f"{name}.{leaf}" in file), "weight"
    )


def _layer(file: File, name: str, norm: Callable[..., nn.Module]) -> nn.Module:
    bias, weight = f"{name}.bias" in file, f"{name}.weight" in file
    if f"{name}.running_mean" in file:
        return batch_norm(use_bias=bias, use_scale=weight)
    shape = file.shape(f"{name}.weight")
    return dense(shape[0], use_bias=bias) if len(shape) == 2 else norm()


def sequence(file: File) -> Net | None:
    """A torch Sequential of linear layers and norms, ReLUs where numbers are missing; None if empty."""
    numbers = _numbers(file, "")
    if not numbers or max(numbers) > 100:
        return None
    return stack(file, *(str(i) if i in numbers else nn.relu for i in range(max(numbers) + 1)))


def _numbers(file: File, stem: str) -> set[int]:
    """The numbers that follow `stem` in the names."""
    found = re.compile(re.escape(file.at + stem) + r"(\d+)\.")
    return {int(match[1]) for name in file.tensors if (match := found.match(name))}


def dino_head(file: File, last: str = "last_layer") -> Net | None:
    """DINO's head: `mlp`, unit length, a weight-normed last layer."""
    if f"{last}.weight_v" not in file:
        return None
    numbers = _numbers(file, "mlp.")
    trunk = [f"mlp.{i}" if i in numbers else gelu for i in range(min(max(numbers, default=-1), 100) + 1)]
    return stack(file, *(trunk or ["mlp"]), l2_normalize, f"{last}:weight_norm")


def linear(file: File, name: str) -> Net | None:
    """A linear layer, where the file has it."""
    return stack(file, name) if f"{name}.weight" in file else None
