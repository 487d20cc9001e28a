"""Heads of published files, their layers told from the tensors."""

import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jssl.models.heads import Head, WeightNormDense, batch_norm, dense, l2_normalize
from jssl.models.layers.transformer import gelu, layer_norm
from jssl.weights.engine import File, Net
from jssl.weights.layouts import layer, weight_norm


def stack(file: File, *layers: Any) -> Net:
    """A head, its layers from the tensors.

    Args:
        file: At the head's prefix.
        layers: A published layer's name; "name:weight_norm" of a weight-normed one; or a function.
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
            else _layer(file, name)
        )
        width = width or file.shape(f"{name}.{_first(file, name)}")[-1]
        built.append(made)
        rows[f"layers_{i}"] = (name, weight_norm if kind else layer)
    return Net(Head(tuple(built)), rows, lambda module, key: module.init(key, jnp.zeros((1, width))), file.at)


def _first(file: File, name: str) -> str:
    return next(
        (leaf for leaf in ("weight", "weight_v", "running_mean") if f"{name}.{leaf}" in file), "weight"
    )


def _layer(file: File, name: str) -> nn.Module:
    bias, weight = f"{name}.bias" in file, f"{name}.weight" in file
    if f"{name}.running_mean" in file:
        return batch_norm(use_bias=bias, use_scale=weight)
    shape = file.shape(f"{name}.weight")
    return dense(shape[0], use_bias=bias) if len(shape) == 2 else layer_norm()


def sequence(file: File, act: Callable = nn.relu, then: tuple = ()) -> Net | None:
    """A torch Sequential of linear layers and norms, activations where numbers are missing; None if empty."""
    found = re.compile(re.escape(file.at) + r"(\d+)\.")
    numbers = {int(match[1]) for name in file.tensors if (match := found.match(name))}
    if not numbers or max(numbers) > 100:
        return None
    return stack(file, *(str(i) if i in numbers else act for i in range(max(numbers) + 1)), *then)


def dino_head(file: File, last: str = "last_layer") -> Net | None:
    """DINO's head: `mlp`, unit length, a weight-normed last layer."""
    if f"{last}.weight_v" not in file:
        return None
    found = re.compile(re.escape(file.at) + r"mlp\.(\d+)\.")
    numbers = {int(match[1]) for name in file.tensors if (match := found.match(name))}
    trunk = [f"mlp.{i}" if i in numbers else gelu for i in range(min(max(numbers, default=-1), 100) + 1)]
    return stack(file, *(trunk or ["mlp"]), l2_normalize, f"{last}:weight_norm")


def linear(file: File, name: str) -> Net | None:
    """A linear layer, where the file has it."""
    return stack(file, name) if f"{name}.weight" in file else None
