"""Checksums of the arrays of a tree."""

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.keys import as_numbers

PART = 1 << 18  # numbers processed at a time: so many fit into a processor's cache
UNSIGNED = {1: np.uint8, 2: np.uint16}  # types by size in bytes; wider numbers are read four bytes at a time


def fingerprint(tree) -> jax.Array:
    """Computes a checksum of every array. It changes if any single bit changes, and does not depend on the
    sharding.

        sum_i bits_i * (2 i + 1)  mod 2**32

    Args:
        tree: arrays.
    Returns:
        [arrays] uint32.
    Examples:
        >>> [int(mark) for mark in fingerprint([jnp.zeros(3), jnp.array([1, 2], jnp.int32)])]
        [0, 7]
    """
    leaves = jax.tree.leaves(as_numbers(tree))
    if all(_on_host(leaf) for leaf in leaves):  # arrays on the host need no compiled program
        return jnp.asarray(np.array([_mark_on_host(np.asarray(leaf)) for leaf in leaves] or [0], np.uint32))
    return _compiled_marks(leaves)


def _on_host(x) -> bool:
    return isinstance(x, np.ndarray) or (
        x.is_fully_addressable and all(device.platform == "cpu" for device in x.devices())
    )


def _mark_on_host(x: np.ndarray) -> int:
    bits = np.ascontiguousarray(x).reshape(-1).view(UNSIGNED.get(x.dtype.itemsize, np.uint32))
    total, odd = 0, 2 * np.arange(min(bits.size, PART), dtype=np.uint32) + np.uint32(1)
    for start in range(0, bits.size, PART):
        some = bits[start : start + PART].astype(np.uint32, copy=False)
        own = int(np.sum(some * odd[: some.size], dtype=np.uint32))  # modulo 2**32
        total += own + 2 * start * int(np.sum(some, dtype=np.uint32))
    return total % 2**32


def marks_on_device(leaves) -> jax.Array:
    """Computes `fingerprint` on the devices that hold the arrays, sharded or not: [arrays] uint32."""
    return jnp.stack([_mark(leaf) for leaf in leaves])


_compiled_marks = jax.jit(marks_on_device)


def _mark(x):
    bits = x.astype(jnp.uint32) if x.dtype == bool else _bits(x).astype(jnp.uint32)
    position = jnp.zeros(bits.shape, jnp.uint32)
    for axis, size in enumerate(bits.shape):  # without flattening, which would gather a sharded array
        position = position * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis)
    return jnp.sum(bits * (2 * position + 1), dtype=jnp.uint32)


def _bits(x):
    width = UNSIGNED.get(x.dtype.itemsize, np.uint32)  # 8 bytes become two numbers along a new axis
    return jax.lax.bitcast_convert_type(x, width)
