"""Masks that hide patches at random, one by one or in square units."""

import math

import jax
import jax.numpy as jnp

from jssl.arrays.keys import check_keys, uniform


def random_mask(keys: jax.Array, grid: tuple[int, int], *, ratio: float) -> jax.Array:
    """Hides N - int(N * (1 - ratio)) patches of each sample, independently of each other.

    Args:
        keys: [B], one for each sample.
        grid: (rows, columns).
        ratio: share of the patches to hide.
    Returns:
        [B, N] bool.
    Raises:
        ValueError: for a ratio outside of [0, 1], or keys that are not [B].
    References:
        MAE, arXiv:2111.06377
    Examples:
        >>> random_mask(jax.random.split(jax.random.key(0), 2), (4, 4), ratio=0.75).sum(-1).tolist()
        [12, 12]
    """
    check_keys(keys)
    check_ratio(ratio)
    patches = math.prod(grid)
    return ranks(uniform(keys, shape=(patches,))) >= int(patches * (1 - ratio))


def unit_mask(keys: jax.Array, grid: tuple[int, int], *, ratio: float, unit: int) -> jax.Array:
    """Hides square units of unit x unit patches: units - int(units * (1 - ratio)) of them.

    Args:
        keys: [B], one for each sample.
        grid: (rows, columns), multiples of `unit`.
        ratio: share of the units to hide.
        unit: the side of a unit, in patches.
    Returns:
        [B, N] bool.
    Raises:
        ValueError: where `unit` does not divide the grid.
    References:
        SimMIM, arXiv:2111.09886
    """
    rows, columns = grid
    if rows % unit or columns % unit:
        raise ValueError(f"unit must divide the grid {grid}, got {unit}")
    coarse = (rows // unit, columns // unit)
    mask = random_mask(keys, coarse, ratio=ratio).reshape(-1, *coarse)
    return mask.repeat(unit, 1).repeat(unit, 2).reshape(-1, rows * columns)


def check_ratio(ratio) -> None:
    """Raises a ValueError for a share outside of [0, 1]."""
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio must lie in [0, 1], got {ratio}")


def check_grid(grid: tuple[int, int]) -> None:
    """Raises a ValueError for a grid in which no block is smaller than the grid."""
    if min(grid) < 2:
        raise ValueError(f"grid must have at least two rows and columns, got {grid}")


def ranks(values: jax.Array) -> jax.Array:
    """Numbers each row's values [B, N] by their place in ascending order."""
    return jnp.argsort(jnp.argsort(values, -1), -1)
