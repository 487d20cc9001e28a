"""Balanced assignments (Sinkhorn-Knopp): every prototype gets an equal share of the batch."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_batch, check_positive


def sinkhorn_knopp(logits, *, temperature, iterations: int = 3, where=None) -> jax.Array:
    """Normalises exp(logits / temperature) until every prototype has an equal share of the samples.

    Each iteration divides the columns by their sums, then the rows by theirs, in the log domain, so that
    large logits do not overflow. The result is a target and has no gradient.

    Args:
        logits: [B, K].
        temperature: T, by which the logits are divided.
        iterations: at least 1.
        where: [B] bool, the samples that count in the balance (None: all); the others get assignments too,
            but do not influence the rest.
    Returns:
        [B, K], rows that sum to 1 and columns that sum to about B / K.
    Raises:
        ValueError: for other shapes, a batch of one, or no iteration.
    References:
        SwAV, arXiv:2006.09882
        MSN, arXiv:2204.07141
        DINOv2, arXiv:2304.07193
    Examples:
        >>> sinkhorn_knopp(jnp.array([[9.0, 0.0], [9.0, 0.0]]), temperature=0.01).tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    (logits,) = check(logits=(logits, "B K"))
    check_batch(2, "a balance between prototypes", logits=logits)
    check_positive(temperature=temperature, iterations=iterations)
    if where is not None:
        logits, where = check(logits=(logits, "B K"), where=(where, "B", bool))
        where = where[:, None]

    def balance(_, scores):
        columns = jax.nn.logsumexp(scores, axis=0, keepdims=True, where=where)
        scores = scores - jnp.where(jnp.isfinite(columns), columns, 0.0)  # no sample counts
        return jax.nn.log_softmax(scores)

    return jnp.exp(jax.lax.fori_loop(0, iterations, balance, jax.lax.stop_gradient(logits / temperature)))
