"""Computes what dense, film and search protocols need from images, their fields and a network."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jssl.evaluate.extract import extract_features
from jssl.models.encoders.vit import ViT, attended_patches
from jssl.models.network import network, of_variables


def look(module: nn.Module, variables: Mapping[str, Any]) -> jax.tree_util.Partial:
    """Makes the function that computes everything that protocols need from an encoder.

    Args:
        module: A Linen encoder that returns `Features`.
        variables: {"params": ..., and "batch_stats" where it has them}.
    Returns:
        images float [B, H, W, C] -> {"features" [B, D], "tokens" [B, N, D], and for a ViT with a class token
        "attention" [B, heads, N], the class token's in the last block}.
    """
    attends = isinstance(module, ViT) and module.class_token

    def seen(variables, images):
        collect = ("attention",) if attends else ()
        found, _ = network(module).apply(*of_variables(variables), images, collect=collect)
        more = {"attention": attended_patches(module, found.inner["attention"])} if attends else {}
        return {"features": found.cls, "tokens": found.tokens, **more}

    return jax.tree_util.Partial(seen, variables)


def given(
    part: str,
    looks: Callable[[jax.Array], Mapping[str, jax.Array]],
    images: np.ndarray,
    fields: Mapping[str, np.ndarray] | None = None,
    **extraction,
) -> dict[str, Any]:
    """Computes what protocols need from one part of the data, under the names that `score` takes.

    The view has to resize whole images without cropping them, since dense labels are those of whole images.

    Args:
        part: "train", "test", "film", "query", "gallery", "copy", "original" or "whitening".
        looks: As `look` makes it.
        images: [..., H, W, C]; of films [F, T, H, W, C].
        fields: Dense labels and others by name, such as a source's extras.
        **extraction: batch and view of `extract_features`.
    Returns:
        {"part_name": array}, for what `looks` returns and for the fields.
    Examples:
        >>> films = np.zeros((2, 3, 4, 4, 1), np.uint8)
        >>> looks = lambda x: {"tokens": x.reshape(len(x), 4, 4)}
        >>> found = given("film", looks, films, {"objects": films[..., 0]})
        >>> {name: values.shape for name, values in found.items()}
        {'film_tokens': (2, 3, 4, 4), 'film_objects': (2, 3, 4, 4)}
    """
    leading = images.shape[:-3]
    found = extract_features(looks, images.reshape(-1, *images.shape[-3:]), **extraction)
    seen = {f"{part}_{name}": values.reshape(*leading, *values.shape[1:]) for name, values in found.items()}
    return seen | {f"{part}_{name}": values for name, values in (fields or {}).items()}
