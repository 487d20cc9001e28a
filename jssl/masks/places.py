"""Places: the indices of the patches that a mask shows or hides, in a static number."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


def visible_indices(mask: jax.Array, count: int) -> jax.Array:
    """Lists the first `count` visible patches of each mask, in order, for an encoder that drops hidden
    patches.

    If a mask has fewer visible patches, they are repeated in turn; a hidden patch is never listed.

    Args:
        mask: [B, N] bool, True = hidden, at least one visible.
        count: a static number.
    Returns:
        [B, count] int32. To read a target block instead, pass the complement of its mask:
        visible_indices(~target, n).
    Raises:
        ValueError: for another mask, or a count that is not between 1 and N.
    Examples:
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


def hidden_indices(mask: jax.Array, count: int) -> jax.Array:
    """Lists the hidden patches of each mask, in order, for heads that run on hidden patches alone.

    If a mask hides fewer, they are repeated in turn; if it hides none, an arbitrary patch is listed. The
    first mask.sum(-1) are real.

    Args:
        mask: [..., N] bool, True = hidden.
        count: the most patches that a mask hides, a static number.
    Returns:
        [..., count] int32.
    Examples:
        >>> hidden_indices(jnp.array([[True, False, False, True], [False, True, False, False]]), 2).tolist()
        [[0, 3], [1, 1]]
    """
    found = visible_indices(~mask.reshape(-1, mask.shape[-1]), count)
    return found.reshape(*mask.shape[:-1], count)


class Masking(NamedTuple):
    """A way to draw masks that also says how many patches it hides at most, so that heads can run on hidden
    patches alone.

    Args:
        draw: (keys [B], images [B, H, W, C], ...) -> mask [B, N].
        most: (N) -> how many of N patches are hidden at most, a static number of at least 1.
    """

    draw: Callable[..., jax.Array]
    most: Callable[[int], int]

    def __call__(self, *seen) -> jax.Array:
        """Draws the masks."""
        return self.draw(*seen)
