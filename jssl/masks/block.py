"""Masks that hide rectangles until enough patches are hidden."""

from numbers import Integral

import jax
import jax.numpy as jnp

from jssl.arrays.grids import drawn_rectangles, rectangles
from jssl.arrays.keys import check_keys, fold_keys, uniform
from jssl.masks.random import check_grid, ranks


def block_mask(
    keys: jax.Array,
    grid: tuple[int, int],
    *,
    count: int | jax.Array,
    min_block: int = 16,
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    tries: int = 10,
    blocks: int = 12,
) -> jax.Array:
    """Hides rectangles until `count` patches are hidden: algorithm 1 of BEiT.

    The area of a rectangle is uniform between min_block and the number of patches still to hide; its aspect
    is log-uniform. Of `tries` rectangles, the first is taken that hides at least one more patch and not too
    many; if none does, the search ends. So the number of hidden patches is usually a little below count.

    Args:
        keys: [B], one for each sample.
        grid: (rows, columns).
        count: the most patches to hide, one number or [B], traced or not (iBOT draws one for each image); 0
            hides none.
        min_block: the least area of a rectangle.
        aspect: the least and the greatest height / width.
        tries: rectangles drawn for each one that is taken.
        blocks: the most rectangles taken, a static number; twice as many where more than half of the grid is
            to be hidden. One mask in a hundred reaches this limit, and hides one or two patches less.
    Returns:
        [B, N] bool.
    Raises:
        ValueError: for a grid of less than two rows or columns, in which nothing would be hidden.
    References:
        BEiT, arXiv:2106.08254
    """
    check_keys(keys)
    check_grid(grid)
    rows, columns = grid
    if isinstance(count, Integral) and 2 * count > rows * columns:  # the last rectangles are small
        blocks *= 2
    counts = jnp.broadcast_to(jnp.asarray(count, jnp.int32), keys.shape)

    def hide(carry, numbers):
        # All tries at once: a turn takes an accelerator a few small kernels, whatever the number of tries.
        mask, left = carry
        sides = drawn_rectangles(grid, numbers, area=(min_block, left[:, None]), aspect=aspect)
        _, _, height, width = sides
        new = (rectangles(grid, *sides) & ~mask[:, None]).sum((2, 3), dtype=jnp.int32)
        fits = (height < rows) & (width < columns) & (new > 0) & (new <= left[:, None])

        # The first that fits, by selections, which saves a reduction; nothing where none fits.
        offers = jnp.stack([*sides, new], axis=-1)
        taken = jnp.zeros_like(offers[:, 0])
        for number in reversed(range(tries)):
            taken = jnp.where(fits[:, number, None], offers[:, number], taken)
        *sides, new = jnp.moveaxis(taken, -1, 0)
        # Where none fits, nothing is left to hide. Finished samples still draw, without effect: a loop that
        # waits for the slowest sample would need communication between devices at every turn.
        left = jnp.where(new > 0, left - new.astype(left.dtype), 0)
        return (mask | rectangles(grid, *sides), left), None

    numbers = uniform(keys, shape=(blocks, tries, 4)).swapaxes(0, 1)
    start = jnp.zeros((len(keys), rows, columns), bool), counts
    (mask, _), _ = jax.lax.scan(hide, start, numbers, unroll=min(blocks, 12))
    return mask.reshape(len(keys), rows * columns)


def exact_block_mask(
    keys: jax.Array,
    grid: tuple[int, int],
    *,
    count: int,
    min_block: int = 16,
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
) -> jax.Array:
    """Hides rectangles until exactly `count` patches are hidden, for CAE, whose encoder needs a fixed number.

    The authors draw rectangles until the number is met. Here a bounded number of them is drawn; if some
    patches are still missing then, those with the most hidden neighbours are hidden too.

    Args:
        keys, grid, min_block, aspect: as for `block_mask`.
        count: patches to hide, a static number.
    Returns:
        [B, N] bool.
    References:
        CAE, arXiv:2202.03026
    Examples:
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> exact_block_mask(keys, (4, 4), count=7, min_block=2).sum(-1).tolist()
        [7, 7, 7]
    """
    blocks = fold_keys(keys, 0)
    mask = block_mask(blocks, grid, count=count, min_block=min_block, aspect=aspect, tries=16)
    square = jnp.pad(mask.reshape(-1, *grid), ((0, 0), (1, 1), (1, 1))).astype(jnp.float32)
    beside = square[:, :-2, 1:-1] + square[:, 2:, 1:-1] + square[:, 1:-1, :-2] + square[:, 1:-1, 2:]
    nearest = beside.reshape(mask.shape) + uniform(fold_keys(keys, 1), shape=mask.shape[1:])
    order = ranks(jnp.where(mask, jnp.inf, -nearest))
    return mask | (order < count - jnp.sum(mask, axis=-1, keepdims=True))
