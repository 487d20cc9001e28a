"""Probability distributions: how spread out they are."""

import math

import jax
import jax.numpy as jnp


def entropy(probabilities: jax.Array) -> jax.Array:
    """Computes the entropy of each distribution, -sum_k p_k log p_k, with 0 log 0 = 0.

    Args:
        probabilities: [..., K], not negative.

    Returns:
        [...] in nats, 0 for a single certainty, log K for a uniform distribution.

    Examples:
        >>> entropy(jnp.array([[1.0, 0.0], [0.5, 0.5]])).round(3).tolist()
        [0.0, 0.6930000185966492]
    """
    return jnp.sum(jax.scipy.special.entr(probabilities), axis=-1)


def target_spread(mean_entropy: jax.Array, mean_target: jax.Array) -> dict[str, jax.Array]:
    """Tells apart the two collapses of targets over prototypes: all of them uniform, or all of them the same.

    Args:
        mean_entropy: [] the entropy of a target, averaged over the batch.
        mean_target: [K] the average target of the batch.

    Returns:
        {"teacher_entropy": mean_entropy as a share of log K, 1 where targets are uniform,
        "prototypes_used": exp of the entropy of mean_target, 1 where all targets are one prototype, at most K}.

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
