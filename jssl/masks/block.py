"""Rectangles hidden until enough patches are."""

import math

import jax
import jax.numpy as jnp

from jssl.arrays.grids import rectangles
from jssl.arrays.keys import check_keys, fold_keys, uniform
from jssl.masks.random import ranks


def block_mask(
    keys: jax.Array,
    grid: tuple[int, int],
    *,
    count: int | jax.Array,
    min_block: int = 16,
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    tries: int = 10,
    draws: int = 64,
) -> jax.Array:
    """Hides rectangles until `count` patches are hidden: algorithm 1 of BEiT.

    A rectangle has an area uniform in [min_block, what is left of count] and a log-uniform aspect; it is
    taken if its new patches fit what is left. `tries` refusals in a row end it, so the number hidden is
    usually a little below.

    Args:
        keys: [B], one for each sample.
        grid: (rows, columns).
        count: patches to hide at most, one number or [B], may be traced (iBOT draws one for each image; 0:
            none).
        min_block: the least area of a rectangle.
        aspect: the least and the greatest height / width.
        tries: refusals in a row that end the search.
        draws: rectangles drawn at most, a static bound that is practically never reached.
    Returns:
        [B, N] bool.
    References:
        BEiT, arXiv:2106.08254
    """
    check_keys(keys)
    rows, columns = grid
    counts = jnp.broadcast_to(jnp.asarray(count, jnp.int32), keys.shape)
    low, high = math.log(aspect[0]), math.log(aspect[1])

    def draw(carry, numbers, count):
        mask, fails = carry
        left_over = count - mask.sum()
        area, shape, y, x = numbers
        area, shape = min_block + area * (left_over - min_block), jnp.exp(low + shape * (high - low))
        height, width = jnp.round(jnp.sqrt(area * shape)), jnp.round(jnp.sqrt(area / shape))
        top, left = jnp.floor(y * (rows - height + 1)), jnp.floor(x * (columns - width + 1))
        block = rectangles(grid, top, left, height, width)
        new = (block & ~mask).sum()
        open_ = (fails < tries) & (left_over > 0)
        taken = open_ & (height < rows) & (width < columns) & (new > 0) & (new <= left_over)
        return jnp.where(taken, mask | block, mask), jnp.where(taken, 0, fails + 1)

    def one(numbers, count):
        # A fixed number of draws, finished samples drawing in vain: a loop that waits for the slowest sample
        # would need a message between devices at every turn.
        start = (jnp.zeros(grid, bool), jnp.int32(0))
        return jax.lax.fori_loop(0, draws, lambda i, carry: draw(carry, numbers[i], count), start)[0]

    numbers = uniform(keys, shape=(draws, 4))
    return jax.vmap(one)(numbers, counts).reshape(len(keys), rows * columns)


def exact_block_mask(
    keys: jax.Array,
    grid: tuple[int, int],
    *,
    count: int,
    min_block: int = 16,
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
) -> jax.Array:
    """Hides rectangles until exactly `count` patches are hidden, as CAE, whose encoder needs a fixed number.

    The authors draw rectangles until the number is met. Here a bounded number of them is drawn, and where
    some patches are missing then, those beside the most hidden ones are hidden too.

    Args:
        keys, grid, min_block, aspect: as for `block_mask`.
        count: patches to hide, a static number.
    Returns:
        [B, N] bool.
    References:
        CAE, arXiv:2202.03026

    >>> keys = jax.random.split(jax.random.key(0), 3)
    >>> exact_block_mask(keys, (4, 4), count=7, min_block=2).sum(-1).tolist()
    [7, 7, 7]
    """
    blocks = fold_keys(keys, 0)
    mask = block_mask(blocks, grid, count=count, min_block=min_block, aspect=aspect, tries=64, draws=64)
    square = jnp.pad(mask.reshape(-1, *grid), ((0, 0), (1, 1), (1, 1))).astype(jnp.float32)
    beside = square[:, :-2, 1:-1] + square[:, 2:, 1:-1] + square[:, 1:-1, :-2] + square[:, 1:-1, 2:]
    nearest = beside.reshape(mask.shape) + uniform(fold_keys(keys, 1), shape=mask.shape[1:])
    order = ranks(jnp.where(mask, jnp.inf, -nearest))
    return mask | (order < count - jnp.sum(mask, axis=-1, keepdims=True))
