"""Rows dealt to blocks like cards, so that a batch sharded over devices spreads every block over all of
them.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check_positive


def dealt(x: jax.Array, parts: int, *, axis: int = 0) -> jax.Array:
    """Deals rows to parts like cards, so that a batch spread over devices keeps all of them busy.

    Args:
        x: [..., B, ...].
        parts: P, which divides B.
        axis: that of the batch.
    Returns:
        [P, ..., B / P, ...].

    >>> dealt(jnp.arange(6), 2).tolist()
    [[0, 2, 4], [1, 3, 5]]
    """
    shape = x.shape[:axis] + (x.shape[axis] // parts, parts) + x.shape[axis + 1 :]
    return jnp.moveaxis(x.reshape(shape), axis + 1, 0)


def in_blocks(x: jax.Array, block_size: int) -> jax.Array:
    """Deals rows to blocks like cards; rows of zeros fill the last round where it is short.

    Args:
        x: [N, ...]; keys where N needs no filling.
        block_size: the most rows of a block; it need not divide N.
    Returns:
        [M, S, ...], M blocks of S <= block_size rows: row s of block m is x[s * M + m].
    Raises:
        ValueError: for a block size below 1.

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
    """Puts the rows that `in_blocks` dealt back into their order.

    Args:
        blocks: [M, S, ...].
        size: how many rows there were, N.
    Returns:
        [N, ...].

    >>> from_blocks(in_blocks(jnp.arange(1, 6), 2), 5).tolist()
    [1, 2, 3, 4, 5]
    """
    rows = jnp.moveaxis(blocks, 0, 1)
    return rows.reshape(-1, *rows.shape[2:])[:size]
