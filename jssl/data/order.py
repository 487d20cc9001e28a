"""A shuffled order in which any position can be asked for by itself: nothing is sorted and nothing is stored."""

import jax
import jax.numpy as jnp

ROUNDS = 8


def shuffled(key: jax.Array, positions: jax.Array, *, n: int) -> jax.Array:
    """Where a pseudo-random permutation of range(n) sends these positions.

    A Feistel network (Luby and Rackoff, 1988) permutes the smallest power of two that holds n; what falls outside
    range(n) is sent on until it falls inside. The work is that of the positions asked for, not of n.

    positions: integers in [0, n), any shape.

    Returns: int32 of the same shape, distinct for distinct positions.

    >>> sorted(shuffled(jax.random.key(0), jnp.arange(5), n=5).tolist())
    [0, 1, 2, 3, 4]
    """
    if not 1 <= n <= 2**31 - 1:
        raise ValueError(f"n must lie between 1 and 2**31 - 1, got {n}")
    bits = max(2, (n - 1).bit_length())
    left_bits = bits // 2
    right_bits = bits - left_bits
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)

    def permute(x):
        left, right, width, other = x >> right_bits, x & ((1 << right_bits) - 1), left_bits, right_bits
        for number in range(ROUNDS):
            mixed = (left ^ _scramble(right, round_keys[number])) & ((1 << width) - 1)
            left, right, width, other = right, mixed, other, width
        return (left << right_bits) | right

    inside = jax.lax.while_loop(
        lambda x: jnp.any(x >= n), lambda x: jnp.where(x >= n, permute(x), x), permute(positions.astype(jnp.uint32))
    )
    return inside.astype(jnp.int32)


def _scramble(x, key):
    """Murmur3's finaliser: every bit of the input moves every bit of the output."""
    x = (x ^ key) * jnp.uint32(0x9E3779B1)
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
