"""A shuffled order in which every position is computed by itself: nothing is sorted and nothing is stored."""

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.keys import scramble

ROUNDS = 8


def shuffled(seed: int | jax.Array, epoch: int | jax.Array, positions: jax.Array | np.ndarray, *, n: int):
    """Finds which samples stand at these positions of an epoch: a pseudo-random permutation of range(n).

    A Feistel network (Luby and Rackoff, 1988) permutes the smallest power of two that holds n; a value
    outside range(n) is permuted again until it is inside. The work grows with the number of positions, not
    with n. NumPy positions are computed by NumPy, so that a loader uses no device; the numbers are the same.

    Args:
        seed: of the run.
        epoch: its number.
        positions: integers in [0, n), any shape.
        n: how many samples there are.
    Returns:
        int32 of the same shape, distinct for distinct positions.
    Examples:
        >>> sorted(shuffled(0, 3, np.arange(5), n=5).tolist())
        [0, 1, 2, 3, 4]
    """
    if not 1 <= n <= 2**31 - 1:
        raise ValueError(f"n must lie between 1 and 2**31 - 1, got {n}")
    numpy = isinstance(positions, np.ndarray)
    xp = np if numpy else jnp
    bits = max(2, (n - 1).bit_length())
    left_bits = bits // 2
    right_bits = bits - left_bits
    low = xp.uint32((1 << right_bits) - 1)
    keys = scramble(xp.arange(1, ROUNDS + 1, dtype=xp.uint32) * xp.uint32(0x9E3779B1))
    for word in (seed, epoch):
        keys = scramble(keys ^ xp.asarray(word).astype(xp.uint32))

    def permute(x):
        left, right, width, other = x >> xp.uint32(right_bits), x & low, left_bits, right_bits
        for number in range(ROUNDS):
            mixed = (left ^ scramble(right ^ keys[number])) & xp.uint32((1 << width) - 1)
            left, right, width, other = right, mixed, other, width
        return (left << xp.uint32(right_bits)) | right

    inside = permute(positions.astype(xp.uint32))
    if numpy:
        while (inside >= n).any():
            inside = np.where(inside >= n, permute(inside), inside)
    else:
        inside = jax.lax.while_loop(
            lambda x: jnp.any(x >= n), lambda x: jnp.where(x >= n, permute(x), x), inside
        )
    return inside.astype(xp.int32)
