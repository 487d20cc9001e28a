"""Rows dealt to blocks like cards, so that a batch sharded over devices spreads every block over all of
them.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check_positive


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
    return jnp.moveaxis(x.reshape(rows, blocks, *x.shape[1:]), 1, 0)


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
