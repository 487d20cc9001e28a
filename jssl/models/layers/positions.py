"""Absolute positions of patch tokens, and the ways in which published models resize them to another
resolution.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.patches import sincos_position_embedding
from jssl.models.layers.initializers import truncated_normal

Grid = tuple[int, int]  # rows, columns


def bicubic(table: jax.Array, grid: Grid, *, offset: float = 0.0) -> jax.Array:
    """Interpolates cubically without antialiasing: a = -0.75, half-pixel centres, indices clamped at the
    border.

    Args:
        table: [rows, columns, D].
        grid: the wanted (rows, columns).
        offset: with 0.1, samples are n / (size + 0.1) apart, as in DINO, iBOT and DINOv2 (without registers).
    Returns:
        [*grid, D], as torch's `interpolate(size, mode="bicubic")`.
    """
    rows, columns = (_cubic_matrix(n, size, offset) for n, size in zip(table.shape[:2], grid, strict=True))
    exact = jax.lax.Precision.HIGHEST
    resized = jnp.einsum("rh,hwd,cw->rcd", rows, table.astype(jnp.float32), columns, precision=exact)
    return resized.astype(table.dtype)


dino_bicubic = partial(bicubic, offset=0.1)


def antialiased_bicubic(table: jax.Array, grid: Grid, *, offset: float = 0.0) -> jax.Array:
    """Interpolates cubically with antialiasing, as timm and DINOv2 with registers.

    Args:
        table: [rows, columns, D].
        grid: (rows, columns) of the result.
        offset: as in `bicubic`.
    Returns:
        [*grid, D]
    """
    if not offset:
        return _resize(table, grid, "cubic", antialias=True)
    scale = jnp.array([(size + offset) / n for n, size in zip(table.shape[:2], grid, strict=True)])
    exact = jax.lax.Precision.HIGHEST
    resized = jax.image.scale_and_translate(
        table.astype(jnp.float32),
        (*grid, table.shape[-1]),
        (0, 1),
        scale,
        jnp.zeros(2),
        "cubic",
        precision=exact,
    )
    return resized.astype(table.dtype)


def bilinear(table: jax.Array, grid: Grid) -> jax.Array:
    """Interpolates linearly without antialiasing, half-pixel centres: [rows, columns, D] -> [*grid, D]."""
    return _resize(table, grid, "linear", antialias=False)


def _resize(table: jax.Array, grid: Grid, method: str, *, antialias: bool) -> jax.Array:
    shape, exact = (*grid, table.shape[-1]), jax.lax.Precision.HIGHEST
    resized = jax.image.resize(table.astype(jnp.float32), shape, method, antialias=antialias, precision=exact)
    return resized.astype(table.dtype)


def _cubic_matrix(n: int, size: int, offset: float) -> np.ndarray:
    """[size, n]: the weights of the n given samples in each new sample."""
    a = -0.75
    centre = (np.arange(size) + 0.5) * n / (size + offset) - 0.5
    taps = np.floor(centre)[:, None] + np.arange(-1, 3)
    x = np.abs(centre[:, None] - taps)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    matrix = np.zeros((size, n))
    index = np.clip(taps, 0, n - 1).astype(int)
    np.add.at(matrix, (np.arange(size)[:, None], index), np.where(x <= 1, near, far))
    return matrix.astype(np.float32)


class LearnedPositions(nn.Module):
    """Learns a table of positions for the grid of the images at initialisation, and interpolates it to other
    grids.

    Args:
        interpolate: (table [rows, columns, D], grid) -> [*grid, D].
        of_prefix: whether the class token has a position of its own; otherwise it gets zeros.
        table_init: initial values of the table and of the prefix's positions.
    """

    interpolate: Callable[[jax.Array, Grid], jax.Array] = bicubic
    of_prefix: bool = True
    table_init: Callable = truncated_normal(0.02)

    @nn.compact
    def __call__(self, grid: Grid, dim: int, *, prefix: int = 0) -> jax.Array:
        """Makes the positions of a grid.

        Args:
            grid: (rows, columns) of patches.
            dim: width of a token.
            prefix: tokens before the patches; their positions are learned separately and never interpolated.
        Returns:
            [prefix + N, dim].
        """
        init = self.table_init
        # has the shape of the grid at initialisation, not of this one
        stored = self.get_variable("params", "table")
        table = self.param("table", init, (*grid, dim)) if stored is None else stored
        table = table if table.shape[:2] == tuple(grid) else self.interpolate(table, grid)
        table = table.reshape(-1, dim)
        if not self.of_prefix:
            return jnp.pad(table, ((prefix, 0), (0, 0)))
        return jnp.concatenate([self.param("prefix", init, (prefix, dim)), table]) if prefix else table


def sincos_positions(
    grid: Grid, dim: int, *, prefix: int = 0, native: Grid | None = None, interpolate=bicubic
) -> jax.Array:
    """Computes the fixed table of MAE and I-JEPA, [sin(column), cos(column), sin(row), cos(row)].

    Args:
        grid: (rows, columns) of tokens.
        dim: width of a token.
        prefix: tokens before the patches, which get zeros.
        native: the grid for which positions are computed; those of other grids are interpolated from it.
            None: the current grid.
        interpolate: (table [rows, columns, dim], grid) -> [*grid, dim].
    Returns:
        [prefix + N, dim]
    References:
        arXiv:2111.06377
    """
    table = sincos_position_embedding(dim, native or grid)
    if native is not None and tuple(native) != tuple(grid):
        table = interpolate(table.reshape(*native, dim), grid).reshape(-1, dim)
    return jnp.pad(table, ((prefix, 0), (0, 0)))


def sincos_positions_rows_first(grid: Grid, dim: int, *, prefix: int = 0) -> jax.Array:
    """Computes the fixed table of MoCo v3, [sin(row), cos(row), sin(column), cos(column)].

    Args:
        grid, dim, prefix: as `sincos_positions`.
    Returns:
        [prefix + N, dim]
    References:
        arXiv:2104.02057
    """
    return jnp.roll(sincos_positions(grid, dim, prefix=prefix), dim // 2, axis=-1)
