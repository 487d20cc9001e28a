"""Invariant and spreading instances: a softmax over the batch's embeddings, for positives and negatives."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_batch, check_positive
from jssl.arrays.vectors import similarity, unit


def invariant_spreading(z_a, z_b, *, temperature=0.1) -> jax.Array:
    """Computes the loss of invariant and spreading instances: an example is classified as its other view, and
    not as any other row.

    P(k | i) = exp(z_i . z_k / T) / sum_{j != i} exp(z_i . z_j / T), all z normalised, over both views of the
    whole batch; l_i = -log P(i' | i) - sum_{k != i, i'} log(1 - P(k | i)). As in the authors' code, the
    second factor of every product is a constant, so a row gets a gradient only as an anchor.

    Args:
        z_a: [B, D], the first view.
        z_b: [B, D], the second view.
        temperature: T.
    Returns:
        [2B], the anchors of z_a, then those of z_b.
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        Invariant and spreading instances, arXiv:1904.03436
    Examples:
        >>> print(invariant_spreading(jnp.eye(2), jnp.eye(2), temperature=1.0).round(3))
        [1.028 1.028 1.028 1.028]
    """
    z_a, z_b = check(z_a=(z_a, "B D"), z_b=(z_b, "B D"))
    check_batch(2, "negatives", z_a=z_a)
    check_positive(temperature=temperature)
    z = unit(jnp.concatenate([z_a, z_b]))
    rows = jnp.arange(len(z))
    partner, others = jnp.roll(rows, len(z_a)), rows[:, None] != rows
    logits = similarity(z, jax.lax.stop_gradient(z)) / temperature
    log_p = logits - jax.nn.logsumexp(logits, axis=1, where=others, keepdims=True)
    negative = others & (rows != partner[:, None])
    p = jnp.where(negative, jnp.exp(jnp.where(negative, log_p, 0.0)), 0.0)
    below_one = jnp.minimum(p, 1 - jnp.finfo(p.dtype).eps)
    return -log_p[rows, partner] - jnp.sum(jnp.log1p(-below_one), axis=1)
