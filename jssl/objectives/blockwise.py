"""Losses that compare a batch with itself, computed for one block of rows at a time: exact, in memory of
O(batch * block).

The logits of a block are computed, summed up and dropped; the backward pass computes them again. Of m blocks,
block k holds the rows k, k + m, k + 2m, ..., so that every block of a sharded batch has rows on all devices.
"""

import functools

import jax
import jax.numpy as jnp

from jssl.arrays.blocks import from_blocks, in_blocks
from jssl.arrays.vectors import similarity


def nt_xent(z: jax.Array, temperature, block_size: int) -> jax.Array:
    """Computes NT-Xent of both views' unit vectors, block by block; `jssl.objectives.nt_xent` calls it.

    Args:
        z: [2B, D], unit rows, view a then view b.
        temperature: T, by which the cosines are divided.
        block_size: rows compared at a time.
    Returns:
        [2B].
    References:
        SimCLR, arXiv:2002.05709
    Examples:
        >>> print(nt_xent(jnp.tile(jnp.eye(2), (2, 1)), 1.0, block_size=3).round(3))
        [0.551 0.551 0.551 0.551]
    """
    z, scale = _varying_alike(z, jnp.asarray(1 / temperature, z.dtype))
    positive = scale * jnp.sum(z * jnp.roll(z, len(z) // 2, axis=0), axis=1)
    return _others_logsumexp(block_size, z, scale) - positive


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _others_logsumexp(block_size, z, scale):
    """log sum_{k != i} exp(scale z_i . z_k), [N]."""

    def block(part):
        rows, ids = part
        return jax.nn.logsumexp(scale * similarity(rows, z), axis=1, where=~_own(ids, z))

    return from_blocks(jax.lax.map(block, (in_blocks(z, block_size), _ids(z, block_size))), len(z))


def _others_forward(block_size, z, scale):
    result = _others_logsumexp(block_size, z, scale)
    return result, (z, scale, result)


def _others_backward(block_size, residuals, weight):
    # Cosines are symmetric, so one product per block gives a row's gradient as anchor and as candidate.
    z, scale, result = residuals

    def block(part):
        rows, ids, row_weight, row_result = part
        logits = scale * similarity(rows, z)
        as_anchor = row_weight[:, None] * jnp.exp(logits - row_result[:, None])
        as_candidate = weight * jnp.exp(logits - result)
        return similarity(jnp.where(_own(ids, z), 0.0, as_anchor + as_candidate), z.T)

    parts = (
        in_blocks(z, block_size),
        _ids(z, block_size),
        in_blocks(weight, block_size),
        in_blocks(result, block_size),
    )
    slope = from_blocks(jax.lax.map(block, parts), len(z))
    return scale * slope, jnp.sum(z * slope) / 2


_others_logsumexp.defvjp(_others_forward, _others_backward)


def symmetric_info_nce(a: jax.Array, b: jax.Array, logit_scale, block_size: int) -> jax.Array:
    """Computes CLIP's loss of unit vectors, block by block; `jssl.objectives.symmetric_info_nce` calls it.

    Args:
        a: [B, D], unit rows.
        b: [B, D], unit rows, paired with a.
        logit_scale: scalar.
        block_size: rows compared at a time.
    Returns:
        [B].
    References:
        CLIP, arXiv:2103.00020
    Examples:
        >>> loss = symmetric_info_nce(jnp.eye(3), jnp.eye(3), jnp.asarray(2.0), block_size=2)
        >>> print(f"{loss.mean():.3f}")
        0.240
    """
    a, b, logit_scale = _varying_alike(a, b, logit_scale)
    of_rows, of_columns = _both_logsumexps(block_size, a, b, logit_scale)
    return (of_rows + of_columns) / 2 - logit_scale * jnp.sum(a * b, axis=1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _both_logsumexps(block_size, a, b, scale):
    """log sum_j exp(scale a_i . b_j) and log sum_i exp(scale a_i . b_j), each [B]; the columns' sums are
    accumulated over the blocks.
    """

    def block(columns, part):
        rows, ids = part
        logits = scale * similarity(rows, b)
        real = (ids < len(a))[:, None]
        of_block = jax.nn.logsumexp(logits, axis=0, where=real)
        return jnp.logaddexp(columns, of_block), jax.nn.logsumexp(logits, axis=1)

    columns = jnp.full(len(b), -jnp.inf, a.dtype) + 0 * a[0, 0]  # varies over mapped axes as a does
    columns, rows = jax.lax.scan(block, columns, (in_blocks(a, block_size), _ids(a, block_size)))
    return from_blocks(rows, len(a)), columns


def _both_forward(block_size, a, b, scale):
    results = _both_logsumexps(block_size, a, b, scale)
    return results, (a, b, scale, results)


def _both_backward(block_size, residuals, weights):
    a, b, scale, (of_rows, of_columns) = residuals
    row_weights, column_weights = weights

    def block(slope_b, part):
        rows, ids, result, weight = part
        logits = scale * similarity(rows, b)
        as_rows = weight[:, None] * jnp.exp(logits - result[:, None])
        as_columns = column_weights * jnp.exp(logits - of_columns)
        real = (ids < len(a))[:, None]  # the exponentials of padding rows may overflow
        slope = jnp.where(real, as_rows + as_columns, 0.0)
        return slope_b + similarity(slope.T, rows.T), similarity(slope, b.T)

    parts = [in_blocks(x, block_size) for x in (a, of_rows, row_weights)]
    parts.insert(1, _ids(a, block_size))
    slope_b, slope_a = jax.lax.scan(block, jnp.zeros_like(b) + 0 * a[0, 0], tuple(parts))
    slope_a = from_blocks(slope_a, len(a))
    return scale * slope_a, scale * slope_b, jnp.sum(a * slope_a)


_both_logsumexps.defvjp(_both_forward, _both_backward)


def sigmoid_pairwise(a: jax.Array, b: jax.Array, logit_scale, logit_bias, block_size: int) -> jax.Array:
    """Computes SigLIP's loss of unit vectors, block by block; `jssl.objectives.sigmoid_pairwise` calls it.

    Args:
        a: [B, D], unit rows.
        b: [B, D], unit rows, paired with a.
        logit_scale: scalar.
        logit_bias: scalar.
        block_size: rows compared at a time.
    Returns:
        [B].
    References:
        SigLIP, arXiv:2303.15343
    Examples:
        >>> print(sigmoid_pairwise(jnp.eye(3), jnp.eye(3), 10.0, -5.0, block_size=2).round(3))
        [0.02 0.02 0.02]
    """

    @jax.checkpoint  # the backward pass computes the logits of a block again
    def block(part):
        rows, ids = part
        logits = logit_scale * similarity(rows, b) + logit_bias
        return jnp.sum(jax.nn.softplus(jnp.where(_own(ids, b), -logits, logits)), axis=1)

    return from_blocks(jax.lax.map(block, (in_blocks(a, block_size), _ids(a, block_size))), len(a))


def _varying_alike(*arrays):
    """The arrays, each plus 0 times the others. So inside shard_map all of them vary over the axes over which
    any of them varies, as its types require of a loop's state and of the arguments of a custom gradient.
    """
    nothing = sum(0 * x[(0,) * x.ndim] for x in arrays)
    return [x + nothing for x in arrays]


def _ids(x, block_size):
    """The row numbers in each block; len(x) for padding rows."""
    return in_blocks(jnp.arange(len(x)) - len(x), block_size) + len(x)


def _own(ids, z):
    return ids[:, None] == jnp.arange(len(z))
