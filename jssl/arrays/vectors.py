"""Unit vectors and their inner products, in float32 or better whatever the device prefers."""

import jax
import jax.numpy as jnp
import numpy as np

_SMALLEST_NORM = 1e-12


def l2_normalize(x: jax.Array, *, axis: int = -1) -> jax.Array:
    """Divides by the length along an axis, x / max(|x|, 1e-12), as torch's `normalize` does in layers of a
    network.

    Losses use `unit`, which gives a zero vector a zero gradient; here that gradient is divided by 1e-12.

    Args:
        x: an array with that axis; computed in float32 at least.
        axis: the axis of the vectors.
    Returns:
        An array like x.
    Examples:
        >>> l2_normalize(jnp.array([3.0, 4.0])).tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    square = jnp.maximum(jnp.sum(y * y, axis=axis, keepdims=True), _SMALLEST_NORM**2)
    return (y * jax.lax.rsqrt(square)).astype(x.dtype)


def unit(x: jax.Array) -> jax.Array:
    """Scales vectors to length 1; a zero vector stays zero and gets a zero gradient.

    Args:
        x: [..., D].
    Returns:
        [..., D], x / |x|.
    Examples:
        >>> unit(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    zero = square <= _SMALLEST_NORM**2  # False for NaN, which must stay visible
    return jnp.where(zero, 0.0, x * jax.lax.rsqrt(jnp.where(zero, 1.0, square)))


def unit_on_host(x: np.ndarray) -> np.ndarray:
    """Scales vectors to length 1 without a device, in their own precision; a zero vector stays zero.

    Args:
        x: [..., D] floats.
    Returns:
        [..., D], x / |x|.
    Examples:
        >>> unit_on_host(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def random_units(rows: int, like: jax.Array, *, seed: int = 0) -> jax.Array:
    """Draws vectors of length 1 in uniform directions, the same ones for the same seed.

    Args:
        rows: how many, N.
        like: [..., D], an array whose width and precision the vectors get.
        seed: of the draw.
    Returns:
        [N, D], at least float32.
    Examples:
        >>> random_units(3, jnp.zeros((2, 4))).shape
        (3, 4)
    """
    dtype = jnp.promote_types(like.dtype, jnp.float32)
    return unit(jax.random.normal(jax.random.key(seed), (rows, like.shape[-1]), dtype))


def similarity(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes all inner products in float32's precision or nearly so, also on accelerators, which round them
    by default.

    A CPU multiplies in full precision. On accelerators that would take many times as long, so three products
    of bfloat16 parts are added up: for float32 vectors of length 1 the error is at most 3e-5.

    Args:
        a: [A, D].
        b: [B, D].
    Returns:
        [A, B], a b^T.
    Examples:
        >>> similarity(jnp.eye(2), jnp.array([[1.0, 2.0]])).tolist()
        [[1.0], [2.0]]
    """

    def product(precision):
        return lambda a, b: jnp.matmul(a, b.T, precision=precision)

    full = product(jax.lax.Precision.HIGHEST)
    if jnp.result_type(a, b) != jnp.float32:
        return full(a, b)
    in_three = product(jax.lax.DotAlgorithmPreset.BF16_BF16_F32_X3)
    return jax.lax.platform_dependent(a, b, cpu=full, default=in_three)


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes the cosine of each pair of rows.

    Args:
        a: [..., D].
        b: [..., D].
    Returns:
        [...], 0 where either row is zero.
    Examples:
        >>> cosine(jnp.array([[2.0, 0.0]]), jnp.array([[3.0, 0.0]])).tolist()
        [1.0]
    """
    return jnp.sum(unit(a) * unit(b), axis=-1)


def entries(rows: jax.Array, ids: jax.Array) -> jax.Array:
    """Takes one entry of each row, such as the logit of its class.

    Args:
        rows: [..., K].
        ids: [...] integers, below K.
    Returns:
        [...]; nan for an id outside of [0, K): negative ids do not count from the end.
    Examples:
        >>> entries(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1, -1])).tolist()
        [2.0, nan]
    """
    return jnp.take_along_axis(rows, _or_outside(ids, rows.shape[-1])[..., None], axis=-1)[..., 0]


def rows_at(table: jax.Array, ids: jax.Array) -> jax.Array:
    """Takes rows of a table.

    Args:
        table: [N, ...] floats.
        ids: [...] integers, below N.
    Returns:
        [..., ...]; nan for an id outside of [0, N): negative ids do not count from the end.
    Examples:
        >>> rows_at(jnp.array([1.0, 2.0]), jnp.array([1, -1, 2])).tolist()
        [2.0, nan, nan]
    """
    return jnp.take(table, _or_outside(ids, len(table)), axis=0)


def _or_outside(ids, count):
    """Replaces negative ids by the first id that is out of range."""
    ids = ids.astype(jnp.int32)
    return jnp.where(ids < 0, count, ids)
