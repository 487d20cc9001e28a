"""Masks that hide patches by how much the class token attends to them."""

from numbers import Real

import jax
import jax.numpy as jnp

from jssl.arrays.keys import check_keys, uniform
from jssl.masks.random import check_ratio, ranks


def attention_mask(attention: jax.Array, *, ratio: float | jax.Array) -> jax.Array:
    """Hides the int(N * ratio) most attended patches.

    Args:
        attention: [B, N], the class token's attention to each patch, the mean over heads.
        ratio: share of the patches to hide; it may be traced, such as one drawn for a batch.
    Returns:
        [B, N] bool.
    Raises:
        ValueError: for a ratio outside of [0, 1] or another shape.
    References:
        AttMask, arXiv:2203.12719
    Examples:
        >>> attention_mask(jnp.array([[0.1, 0.6, 0.2, 0.1]]), ratio=0.5).tolist()
        [[False, True, True, False]]
    """
    if attention.ndim != 2:
        raise ValueError(f"attention must be [B, N], the mean over heads, got shape {attention.shape}")
    return ranks(-attention) < _count(attention.shape[-1], ratio)


def low_attention_mask(attention: jax.Array, *, ratio: float | jax.Array) -> jax.Array:
    """Hides the int(N * ratio) least attended patches.

    Args:
        attention: [B, N].
        ratio: share of the patches to hide, traced or not.
    Returns:
        [B, N] bool.
    References:
        AttMask-Low, arXiv:2203.12719
    """
    return attention_mask(-attention, ratio=ratio)


def hint_attention_mask(
    keys: jax.Array, attention: jax.Array, *, ratio: float | jax.Array, show: float = 0.1
) -> jax.Array:
    """Hides the most attended patches, except for a few of the very top, which are shown as hints.

    Args:
        keys: [B], one for each sample.
        attention: [B, N].
        ratio: share of the patches to hide, traced or not.
        show: int(show * ratio * N) of the int(show * N) most attended patches are revealed, drawn at random.
    Returns:
        [B, N] bool.
    References:
        AttMask-Hint, arXiv:2203.12719
    """
    check_keys(keys)
    check_ratio(show)
    hidden = attention_mask(attention, ratio=ratio)
    patches = attention.shape[-1]
    top = attention_mask(attention, ratio=show)
    noise = uniform(keys, shape=(patches,))
    revealed = ranks(jnp.where(top, noise, 2)) < _count(patches, show * ratio)
    return hidden & ~revealed


def _count(patches: int, ratio: float | jax.Array) -> int | jax.Array:
    """Computes int(patches * ratio), of a checked number or of a traced one."""
    if isinstance(ratio, Real):
        check_ratio(ratio)
        return int(patches * ratio)
    return jnp.floor(patches * ratio).astype(jnp.int32)
