"""Masks as places: the indices of visible or hidden patches, in a static number."""

import jax
import jax.numpy as jnp


def visible_indices(mask: jax.Array, count: int) -> jax.Array:
    """Lists the first `count` visible patches of each mask, in order: what an encoder that drops tokens is given.

    A mask with fewer visible patches has them repeated in turn: a hidden patch is never handed out.

    Args:
        mask: [B, N] bool, True = hidden, at least one visible.
        count: a static number.
    Returns:
        [B, count] int32. To read a target block instead, hand in its complement: visible_indices(~target, n).
    Raises:
        ValueError: for another mask, or a count that is not between 1 and N.

    >>> visible_indices(jnp.array([[True, False, False, True], [False, True, True, True]]), 2).tolist()
    [[1, 2], [0, 0]]
    """
    if mask.dtype != jnp.bool_ or mask.ndim != 2:
        raise ValueError(f"mask must be bool [B, N], True = hidden, got {mask.dtype} {mask.shape}")
    if not 1 <= count <= mask.shape[-1]:
        raise ValueError(f"count must lie between 1 and the {mask.shape[-1]} patches, got {count}")
    order = jnp.argsort(mask, axis=-1, stable=True)
    turn = jnp.arange(count) % jnp.maximum((~mask).sum(-1, keepdims=True), 1)
    return jnp.take_along_axis(order, turn, -1).astype(jnp.int32)


def at_places(tokens: jax.Array, places: jax.Array) -> jax.Array:
    """Takes the tokens at the places.

    Args:
        tokens: [..., N, D].
        places: [..., n] int.
    Returns:
        [..., n, D].

    >>> at_places(jnp.arange(8.0).reshape(1, 4, 2), jnp.array([[3, 0]])).tolist()
    [[[6.0, 7.0], [0.0, 1.0]]]
    """
    return jnp.take_along_axis(tokens, places[..., None], axis=-2)
