"""Rectangles on a grid of pixels or patches."""

import jax
import jax.numpy as jnp


def rectangles(grid: tuple[int, int], top, left, height, width) -> jax.Array:
    """Marks the cells that lie inside rectangles.

    Args:
        grid: (rows, columns).
        top, left: [...], the first row and column of each rectangle.
        height, width: [...] or one number for all.
    Returns:
        [..., rows, columns] bool; what reaches over the border is cut off.

    >>> rectangles((2, 3), jnp.array([0]), jnp.array([1]), 1, 2)[0].astype(int).tolist()
    [[0, 1, 1], [0, 0, 0]]
    """
    rows, columns = (jnp.arange(side) for side in grid)
    vertical = (rows >= top[..., None]) & (rows < (top + height)[..., None])
    horizontal = (columns >= left[..., None]) & (columns < (left + width)[..., None])
    return vertical[..., :, None] & horizontal[..., None, :]
