"""Positions inside of attention: BEiT's relative bias, and the angles of rotary embeddings."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.stacks import BY_BLOCK
from jssl.models.layers.initializers import truncated_normal
from jssl.models.layers.positions import Grid, bilinear


class RelativePositionBias(nn.Module):
    """Adds a learned number per head and offset between patches to the attention's logits.  arXiv:2106.08254

    The table has the size of the grid at initialisation; other grids are interpolated from it.

    Args:
        shared: whether all blocks have one `table`; False: each block has its own, in one array `tables`.
        interpolate: (table [rows, columns, D], grid) -> [*grid, D].
        table_init: of the table.
    """

    shared: bool = True
    interpolate: Callable[[jax.Array, Grid], jax.Array] = bilinear
    table_init: Callable = truncated_normal(0.02)

    @nn.compact
    def __call__(self, grid: Grid, heads: int, depth: int, *, prefix: int = 0) -> jax.Array:
        """Looks up the bias.

        Args:
            grid: (rows, columns) of patches.
            heads: of the attention.
            depth: the number of blocks.
            prefix: 1 if a class token comes first.
        Returns:
            [1, heads, N, N] or [depth, 1, heads, N, N] float32.
        Raises:
            ValueError: for a longer prefix.
        """
        if prefix > 1:
            raise ValueError(
                f"a relative position bias knows one class token, got {prefix} tokens before the patches"
            )
        init, channels = self.table_init, heads * (1 if self.shared else depth)
        size = (2 * grid[0] - 1, 2 * grid[1] - 1)
        name, of_class = ("table", "class") if self.shared else BY_BLOCK
        stored = self.get_variable("params", name)  # has the shape of the grid at initialisation
        table = self.param(name, init, (*size, channels)) if stored is None else stored
        table = table.astype(jnp.float32)
        table = (table if table.shape[:2] == size else self.interpolate(table, size)).reshape(-1, channels)
        if prefix:  # from class to patches, from patches to class, from class to class
            table = jnp.concatenate([table, self.param(of_class, init, (3, channels)).astype(jnp.float32)])
        index = np.pad(_offsets(grid), ((prefix, 0), (prefix, 0)))
        if prefix:
            first = size[0] * size[1]
            index[0, :], index[:, 0], index[0, 0] = first, first + 1, first + 2
        bias = jnp.moveaxis(table[index], -1, 0).reshape(-1, 1, heads, *index.shape)
        return bias[0] if self.shared else bias


def _offsets(grid: Grid) -> np.ndarray:
    """[N, N]: (row_i - row_j + rows - 1) * (2 columns - 1) + (column_i - column_j + columns - 1)."""
    rows, columns = grid
    row, column = (index.reshape(-1) for index in np.indices(grid))
    down, across = row[:, None] - row + rows - 1, column[:, None] - column + columns - 1
    return down * (2 * columns - 1) + across


def rotary_angles(
    grid: Grid,
    dim: int,
    *,
    theta: float = 100.0,
    periods: tuple[float, ...] | None = None,
    over: Callable[[Grid], int] | None = None,
    shift: jax.Array | None = None,
    factor: jax.Array | None = None,
) -> jax.Array:
    """Computes DINOv3's angles: 2 pi * coordinate * theta^(-4k / dim), coordinates of centres in [-1, 1].

    Args:
        grid: (rows, columns) of patches.
        dim: of a head.
        theta: the base of the frequencies.
        periods: the period of each k, in place of theta^(4k / dim).
        over: grid -> the count by which the coordinates of both axes are divided, such as `max`; None: each
            axis by its own.
        shift: [2], added to the rows' and to the columns' coordinates.
        factor: [2], by which they are multiplied after the shift.
    Returns:
        [N, dim], the rows' angles, then the columns', twice.
    References:
        arXiv:2508.10104
    """
    centres = [(np.arange(side) + 0.5) / (over(grid) if over else side) * 2 - 1 for side in grid]
    frequency = theta ** (-np.arange(dim // 4) * 4 / dim) if periods is None else 1 / np.array(periods)
    coordinates: Sequence = np.meshgrid(*centres, indexing="ij")
    if shift is not None:
        coordinates = [x + by for x, by in zip(coordinates, shift, strict=True)]
    if factor is not None:
        coordinates = [x * by for x, by in zip(coordinates, factor, strict=True)]
    return _twice(coordinates, 2 * np.pi * frequency)


class MovingRotary(nn.Module):
    """Computes rotary angles from coordinates that are changed at random in training, as in DINOv3: shifted,
    then stretched and scaled.

    It draws once per call if an rng "dropout" is given; otherwise it equals `rotary`.

    Args:
        rotary: (grid, dim, shift=, factor=) -> angles [N, dim], such as `rotary_angles`.
        shift: the largest number added to the coordinates of an axis, which lie in [-1, 1]; 0 adds nothing.
        jitter: the largest factor of an axis; the smallest is its inverse. 1 changes nothing.
        rescale: the largest factor of both axes together; the smallest is its inverse. 1 changes nothing.
    References:
        arXiv:2508.10104
    """

    rotary: Callable = rotary_angles
    shift: float = 0.0
    jitter: float = 1.0
    rescale: float = 1.0

    @nn.compact
    def __call__(self, grid: Grid, dim: int) -> jax.Array:
        """Computes the angles.

        Args:
            grid: (rows, columns) of patches.
            dim: of a head.
        Returns:
            [N, dim]
        """
        if not self.has_rng("dropout"):
            return self.rotary(grid, dim)
        keys = jax.random.split(self.make_rng("dropout"), 3)

        def drawn(key, shape, most):
            return jax.random.uniform(key, shape, minval=-most, maxval=most)

        shift = drawn(keys[0], (2,), self.shift)
        factor = drawn(keys[1], (2,), math.log(self.jitter)) + drawn(keys[2], (), math.log(self.rescale))
        return self.rotary(grid, dim, shift=shift, factor=jnp.exp(factor))


def rotary_angles_by_index(
    grid: Grid, dim: int, *, native: Grid | None = None, theta: float = 10000.0
) -> jax.Array:
    """Computes EVA-02's angles: place * theta^(-4k / dim), with places scaled to the native grid.

    Args:
        grid: (rows, columns) of patches.
        dim: of a head.
        native: the grid to which places are scaled; None: the current grid.
        theta: the base of the frequencies.
    Returns:
        [N, dim], the rows' angles, then the columns', twice. (Published files that rotate neighbouring
        features pair them differently.)
    References:
        arXiv:2303.11331
    """
    places = [np.arange(side) * given / side for side, given in zip(grid, native or grid, strict=True)]
    return _twice(np.meshgrid(*places, indexing="ij"), theta ** (-np.arange(dim // 4) * 4 / dim))


def _twice(coordinates: Sequence, frequency: np.ndarray) -> jax.Array:
    angles = [coordinate.reshape(-1, 1) * frequency for coordinate in coordinates]
    xp = np if all(isinstance(x, np.ndarray) for x in coordinates) else jnp
    return jnp.asarray(xp.concatenate(2 * angles, axis=1), jnp.float32)
