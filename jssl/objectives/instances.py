"""Instance discrimination: every image a class of its own, remembered in a bank."""

import jax
import jax.numpy as jnp

from jssl.objectives.checks import check, check_positive
from jssl.objectives.cosine import similarity, unit


def instance_discrimination(z, index, memory, *, temperature=0.07) -> jax.Array:
    """The non-parametric softmax over all remembered images: which one is this?

    l_b = -z_b . m_index[b] / T + log sum_n exp(z_b . m_n / T), all normalised.

    z: [B, D]. index: [B] integers, the row of memory that is each example's own. memory: [N, D], no gradient.

    Returns: [B]; nan for an index that is not in the memory.

    Raises: ValueError for other shapes, TypeError for an index that is no integer.

    Source: NPID, arXiv:1805.01978.

    >>> print(instance_discrimination(jnp.eye(2), jnp.array([0, 1]), jnp.eye(2), temperature=1.0).round(3))
    [0.313 0.313]
    """
    z, index, memory = check(z=(z, "B D"), index=(index, "B", int), memory=(memory, "N D"))
    check_positive(temperature=temperature)
    logits = similarity(unit(z), jax.lax.stop_gradient(unit(memory))) / temperature
    own = jnp.take_along_axis(logits, index[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - own
