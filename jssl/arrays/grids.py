"""Cells of a grid of pixels or patches: those inside rectangles, and those at given places."""

import math

import jax
import jax.numpy as jnp


def drawn_rectangles(
    grid: tuple[int, int], numbers: jax.Array, *, area: tuple, aspect: tuple[float, float]
) -> tuple[jax.Array, ...]:
    """Turns random numbers in [0, 1) into rectangles of uniform area and log-uniform aspect, anywhere in the
    grid.

    Args:
        grid: (rows, columns).
        numbers: [..., 4] for area, aspect, top and left.
        area: (least, most) cells, numbers or arrays [...].
        aspect: (least, most) height / width.
    Returns:
        (top, left, height, width), [...] each, whole numbers as floats; some are larger than the grid.
    Examples:
        >>> numbers = jnp.array([0, 0.5, 0.9, 0])
        >>> [side.tolist() for side in drawn_rectangles((4, 4), numbers, area=(4, 9), aspect=(0.5, 2))]
        [2.0, 0.0, 2.0, 2.0]
    """
    rows, columns = grid
    (least, most), (low, high) = area, map(math.log, aspect)
    size, shape, y, x = jnp.moveaxis(numbers, -1, 0)
    size, shape = least + size * (most - least), jnp.exp(low + shape * (high - low))
    height, width = jnp.round(jnp.sqrt(size * shape)), jnp.round(jnp.sqrt(size / shape))
    return jnp.floor(y * (rows - height + 1)), jnp.floor(x * (columns - width + 1)), height, width


def rectangles(grid: tuple[int, int], top, left, height, width) -> jax.Array:
    """Marks the cells that lie inside rectangles.

    Args:
        grid: (rows, columns).
        top, left: [...], the first row and column of each rectangle.
        height, width: [...] or one number for all.
    Returns:
        [..., rows, columns] bool; parts of a rectangle outside the grid are cut off.
    Examples:
        >>> rectangles((2, 3), jnp.array([0]), jnp.array([1]), 1, 2)[0].astype(int).tolist()
        [[0, 1, 1], [0, 0, 0]]
    """
    rows, columns = (jnp.arange(side) for side in grid)
    vertical = (rows >= top[..., None]) & (rows < (top + height)[..., None])
    horizontal = (columns >= left[..., None]) & (columns < (left + width)[..., None])
    return vertical[..., :, None] & horizontal[..., None, :]


def at_places(tokens: jax.Array, places: jax.Array) -> jax.Array:
    """Takes the tokens at the places.

    Args:
        tokens: [..., N, D].
        places: [..., n] int.
    Returns:
        [..., n, D].
    Examples:
        >>> at_places(jnp.arange(8.0).reshape(1, 4, 2), jnp.array([[3, 0]])).tolist()
        [[[6.0, 7.0], [0.0, 1.0]]]
    """
    return jnp.take_along_axis(tokens, places[..., None], axis=-2)
