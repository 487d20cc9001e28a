"""Probabilities: how spread out a distribution is."""

import math

import jax
import jax.numpy as jnp


def entropy(p: jax.Array) -> jax.Array:
    """Computes the entropy of distributions in float32 or better, with 0 log 0 = 0.

    Args:
        p: [..., K], probabilities that sum to 1 over the last axis.
    Returns:
        [...], from 0 to log K.
    Examples:
        >>> print(entropy(jnp.array([[0.5, 0.5], [1.0, 0.0]])).round(3))
        [0.693 0.   ]
    """
    p = p.astype(jnp.promote_types(p.dtype, jnp.float32))
    return jnp.sum(jax.scipy.special.entr(p), axis=-1)


def target_spread(mean_entropy: jax.Array, mean_target: jax.Array) -> dict[str, jax.Array]:
    """Measures the two ways in which targets over prototypes collapse: all become uniform, or all become the
    same.

    Args:
        mean_entropy: [] the entropy of a target, averaged over the batch.
        mean_target: [K] the average target of the batch.
    Returns:
        {"teacher_entropy": mean_entropy as a share of log K, 1 where targets are uniform,
        "prototypes_used": exp of the entropy of mean_target, 1 where all targets are one prototype, at most
        K}.
    References:
        arXiv:2104.14294, section 5.3
    Examples:
        >>> spread = target_spread(jnp.array(0.0), jnp.full(4, 0.25))
        >>> float(spread["teacher_entropy"]), round(float(spread["prototypes_used"]), 3)
        (0.0, 4.0)
    """
    return {
        "teacher_entropy": mean_entropy / math.log(max(len(mean_target), 2)),
        "prototypes_used": jnp.exp(entropy(mean_target)),
    }
