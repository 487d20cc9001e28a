"""Probabilities: how spread out a distribution is."""

import jax
import jax.numpy as jnp


def entropy(p: jax.Array) -> jax.Array:
    """Computes the entropy of distributions in float32 or better, with 0 log 0 = 0.

    Args:
        p: [..., K], probabilities that sum to 1 over the last axis.
    Returns:
        [...], from 0 to log K.

    >>> print(entropy(jnp.array([[0.5, 0.5], [1.0, 0.0]])).round(3))
    [0.693 0.   ]
    """
    p = p.astype(jnp.promote_types(p.dtype, jnp.float32))
    return jnp.sum(jax.scipy.special.entr(p), axis=-1)
