"""Balanced assignments: every prototype gets an equal share of the batch."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.objectives.distillation import cross_view_cross_entropy


def sinkhorn_knopp(logits, *, temperature, iterations: int = 3, where=None) -> jax.Array:
    """Sinkhorn-Knopp: exp(logits / temperature), scaled until prototypes share the samples equally.

    Each iteration divides the columns by their sums, then the rows by theirs; in the log domain, so that no logits are
    too large. The result is a target: it has no gradient.

    logits: [B, K]. where: [B] bool, the samples that count in the balance (None: all); the others are assigned as well,
        and influence none.

    Returns: [B, K], rows that sum to 1 and columns that sum to about B / K.

    Raises: ValueError for other shapes or no iteration.

    Source: SwAV, arXiv:2006.09882; also used by MSN, arXiv:2204.07141, and DINOv2, arXiv:2304.07193.

    >>> sinkhorn_knopp(jnp.array([[9.0, 0.0], [9.0, 0.0]]), temperature=0.01).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    (logits,) = check(logits=(logits, "B K"))
    check_positive(temperature=temperature, iterations=iterations)
    if where is not None:
        logits, where = check(logits=(logits, "B K"), where=(where, "B", bool))
        where = where[:, None]

    def balance(_, scores):
        columns = jax.nn.logsumexp(scores, axis=0, keepdims=True, where=where)
        scores = scores - jnp.where(jnp.isfinite(columns), columns, 0.0)  # nothing counts: nothing to balance
        return jax.nn.log_softmax(scores)

    return jnp.exp(jax.lax.fori_loop(0, iterations, balance, jax.lax.stop_gradient(logits / temperature)))


def swapped_prediction(scores, codes, *, temperature=0.1) -> jax.Array:
    """SwAV: the code of one view is predicted from the scores of the others.

    l_b = -mean over pairs g != v of sum_k codes[g, b, k] log softmax(scores[v, b] / temperature)_k.

    scores: [V, B, K], cosines with the prototypes. codes: [G, B, K], of the first G views, no gradient.

    Returns: [B].

    Raises: ValueError for other shapes or where no two views differ.

    Source: arXiv:2006.09882.

    >>> scores = jnp.array([[[1.0, -1.0]], [[1.0, -1.0]]])
    >>> print(swapped_prediction(scores, jnp.array([[[1.0, 0.0]]]), temperature=1.0).round(3))
    [0.127]
    """
    scores, codes = check(scores=(scores, "V B K"), codes=(codes, "G B K"))
    check_positive(temperature=temperature)
    return cross_view_cross_entropy(jax.nn.log_softmax(scores / temperature), codes)
