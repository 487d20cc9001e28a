"""Unit vectors and their inner products, in float32 or better whatever the device prefers."""

import jax
import jax.numpy as jnp

_SMALLEST_NORM = 1e-12


def l2_normalize(x: jax.Array, *, axis: int = -1, eps: float = 1e-12) -> jax.Array:
    """Divides by the length along an axis, x / max(|x|, eps), as torch's `normalize` does in layers of a network.

    Losses have `unit`, which gives a zero vector a zero gradient; here that gradient is divided by eps.

    Args:
        x: an array with that axis; computed in float32 at least.
        axis: the axis of the vectors.
        eps: the smallest length to divide by.
    Returns:
        An array like x.

    >>> l2_normalize(jnp.array([3.0, 4.0])).tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (y * jax.lax.rsqrt(jnp.maximum(jnp.sum(y * y, axis=axis, keepdims=True), eps**2))).astype(x.dtype)


def unit(x: jax.Array) -> jax.Array:
    """Vectors of length 1: x / |x|; a zero vector stays zero and gets a zero gradient.

    x: [..., D].

    Returns: [..., D].

    >>> unit(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    zero = square <= _SMALLEST_NORM**2  # not of a NaN, which must stay one to be seen
    return jnp.where(zero, 0.0, x * jax.lax.rsqrt(jnp.where(zero, 1.0, square)))


def similarity(a: jax.Array, b: jax.Array) -> jax.Array:
    """All inner products, in full precision: accelerators round float32 matrix products otherwise.

    a: [A, D]; b: [B, D].

    Returns: [A, B], a b^T.

    >>> similarity(jnp.eye(2), jnp.array([[1.0, 2.0]])).tolist()
    [[1.0], [2.0]]
    """
    return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    """The cosine of each pair of rows.

    a, b: [..., D].

    Returns: [...], 0 where either is zero.

    >>> cosine(jnp.array([[2.0, 0.0]]), jnp.array([[3.0, 0.0]])).tolist()
    [1.0]
    """
    return jnp.sum(unit(a) * unit(b), axis=-1)
