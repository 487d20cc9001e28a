"""Divides rows into interleaved blocks, so that every block of a sharded batch has rows on all devices."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check_positive


def dealt(x: jax.Array, parts: int, *, axis: int = 0) -> jax.Array:
    """Divides rows into interleaved parts: row b goes to part b mod P, so that each part of a sharded batch
    has rows on all devices.

    Args:
        x: [..., B, ...].
        parts: the number P of parts, which divides B.
        axis: the axis of the batch.
    Returns:
        [P, ..., B / P, ...].
    Examples:
        >>> dealt(jnp.arange(6), 2).tolist()
        [[0, 2, 4], [1, 3, 5]]
    """
    shape = x.shape[:axis] + (x.shape[axis] // parts, parts) + x.shape[axis + 1 :]
    return jnp.moveaxis(x.reshape(shape), axis + 1, 0)


def in_blocks(x: jax.Array, block_size: int) -> jax.Array:
    """Divides rows into interleaved blocks of equal size, padded at the end with rows of zeros.

    Args:
        x: [N, ...]; random keys only where no padding is needed.
        block_size: the most rows of a block; it need not divide N.
    Returns:
        [M, S, ...], M blocks of S <= block_size rows: row s of block m is x[s * M + m].
    Raises:
        ValueError: for a block size below 1.
    Examples:
        >>> in_blocks(jnp.arange(1, 6), 2).tolist()
        [[1, 4], [2, 5], [3, 0]]
    """
    check_positive(block_size=block_size)
    blocks = -(-len(x) // block_size)
    rows = -(-len(x) // blocks)
    if short := rows * blocks - len(x):
        x = jnp.pad(x, [(0, short)] + [(0, 0)] * (x.ndim - 1))
    return dealt(x, blocks)


def from_blocks(blocks: jax.Array, size: int) -> jax.Array:
    """Puts the rows of `in_blocks` back into their order and drops the padding.

    Args:
        blocks: [M, S, ...].
        size: N, the number of rows before padding.
    Returns:
        [N, ...].
    Examples:
        >>> from_blocks(in_blocks(jnp.arange(1, 6), 2), 5).tolist()
        [1, 2, 3, 4, 5]
    """
    rows = jnp.moveaxis(blocks, 0, 1)
    return rows.reshape(-1, *rows.shape[2:])[:size]
