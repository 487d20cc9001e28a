"""Measures of attention: the patches that hold most of it, its distance, and how it depends on the query."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.stacks import unstack_blocks
from jssl.models.layers.transformer import attention_weights


def most_attended(attention, *, share: float = 0.6) -> np.ndarray:
    """Finds the smallest set of patches that holds a share of the attention.

    Args:
        attention: [..., N] weights on the patches, not negative.
        share: Of each row's sum, in (0, 1].
    Returns:
        [..., N] bool; of equal weights the first patch is chosen first.
    Raises:
        ValueError: for a share that is not in (0, 1].
    References:
        DINO's segmentation figure, arXiv:2104.14294
    Examples:
        >>> most_attended(np.array([0.1, 0.6, 0.3])).tolist()
        [False, True, False]
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected a number above 0, at most 1")
    attention = np.asarray(attention, np.float64)
    order = np.argsort(-attention, axis=-1, kind="stable")
    sorted_weights = np.take_along_axis(attention, order, axis=-1)
    before = np.cumsum(sorted_weights, axis=-1) - sorted_weights
    wanted = share * attention.sum(-1, keepdims=True)
    chosen = np.zeros(attention.shape, bool)
    np.put_along_axis(chosen, order, before < wanted - 1e-9 * np.abs(wanted), axis=-1)
    return chosen


def attention_rows(module: nn.Module, variables: Mapping[str, Any], images: jax.Array) -> list[jax.Array]:
    """Computes the attention weights of every token in every block.

    Args:
        module: An encoder whose blocks attend by its field `attend`, such as a `ViT`.
        variables: {"params": ...}.
        images: [B, H, W, C] floats; few, since memory is depth * B * heads * M * M.
    Returns:
        For each block [B, heads, M, M], rows of the softmax; the class token and registers come first.
    Raises:
        ValueError: for an encoder without such a field.
    """
    if not hasattr(module, "attend"):
        raise ValueError(
            f"attention_rows needs a transformer with the field attend, got {type(module).__name__}"
        )
    rows: list[jax.Array] = []

    def attend(query, key, value, bias=None):
        rows.append(attention_weights(query, key, bias))
        return jnp.einsum("bhmn,bnhd->bmhd", rows[-1].astype(value.dtype), value)

    module.clone(attend=attend, scan=False, remat=None).apply(unstack_blocks(variables), images)
    return rows


def among_patches(rows: jax.Array, count: int) -> jax.Array:
    """Keeps the attention of patches to patches, each row normalised again.

    Args:
        rows: [B, heads, M, M], as `attention_rows`.
        count: Patches N, the last of the M tokens.
    Returns:
        [B, heads, N, N].
    """
    kept = rows[..., -count:, -count:] + 1e-8
    return kept / kept.sum(-1, keepdims=True)


def attention_distance(attention: jax.Array, grid: tuple[int, int], *, patch: float = 1.0) -> jax.Array:
    """Measures the mean distance of patches to those that they attend to.

    Args:
        attention: [..., N, N] weights, a row for each patch, of sum 1.
        grid: (rows, columns) of patches, row-major.
        patch: The side of a patch, in the unit of the result, such as pixels.
    Returns:
        [...].
    Raises:
        ValueError: for a grid that does not fit.
    References:
        arXiv:2010.11929, figure 7; arXiv:2305.00729; naver-ai/cl-vs-mim
    Examples:
        >>> float(attention_distance(jnp.full((2, 2), 0.5), (1, 2), patch=16))
        8.0
    """
    _check_square(attention, grid)
    places = np.indices(grid).reshape(2, -1).T
    apart = jnp.linalg.norm((places[:, None] - places).astype(np.float32), axis=-1)
    return patch * jnp.mean(jnp.sum(attention * apart, -1), -1)


def attention_information(attention: jax.Array) -> jax.Array:
    """Measures how much attention depends on the query: normalised mutual information of query and key.

    I(q, k) / sqrt(H(q) H(k)),  p(q, k) = attention[q, k] / N

    Args:
        attention: [..., N, N] weights, a row for each patch, of sum 1.
    Returns:
        [...] in [0, 1]; 0 where all queries attend alike, 1 where each attends to one key of its own.
    References:
        arXiv:2305.00729; naver-ai/cl-vs-mim
    Examples:
        >>> own, alike = jnp.eye(4), jnp.full((4, 4), 0.25)
        >>> round(float(attention_information(own)), 4), float(attention_information(alike))
        (1.0, 0.0)
    """
    _check_square(attention, None)
    count = attention.shape[-1]
    joint, key = attention / count, attention.mean(-2)
    information = jnp.sum(
        jax.scipy.special.xlogy(joint, attention / jnp.maximum(key, 1e-30)[..., None, :]), (-2, -1)
    )
    key_entropy = -jnp.sum(jax.scipy.special.xlogy(key, key), -1)
    return information / jnp.sqrt(jnp.maximum(key_entropy, 1e-12) * jnp.log(count))


def _check_square(attention, grid):
    count = attention.shape[-1] if grid is None else grid[0] * grid[1]
    if attention.shape[-2:] != (count, count):
        expected = "[..., N, N]" + ("" if grid is None else f", N = {grid[0]} * {grid[1]}")
        raise ValueError(f"attention has shape {attention.shape}, expected {expected}")
