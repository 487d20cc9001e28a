"""BYOL and SimSiam: losses that pull a prediction towards a target and need no negatives."""

import jax

from jssl.arrays.checks import check
from jssl.arrays.vectors import cosine


def negative_cosine_similarity(prediction, target) -> jax.Array:
    """Computes SimSiam's loss for one direction: -cos(p, stop_gradient(z)).

    Args:
        prediction: [B, D].
        target: [B, D], no gradient.
    Returns:
        [B], from -1 (aligned) to 1.
    Raises:
        ValueError: for other shapes.
    References:
        SimSiam, arXiv:2011.10566
    Examples:
        >>> import jax.numpy as jnp
        >>> negative_cosine_similarity(jnp.array([[2.0, 0.0]]), jnp.array([[3.0, 0.0]])).tolist()
        [-1.0]
    """
    prediction, target = check(prediction=(prediction, "B D"), target=(target, "B D"))
    return -cosine(prediction, jax.lax.stop_gradient(target))


def normalized_mse(prediction, target) -> jax.Array:
    """Computes BYOL's loss for one direction: |p / |p| - z / |z||^2 = 2 - 2 cos(p, stop_gradient(z)).

    Args:
        prediction: [B, D].
        target: [B, D], no gradient.
    Returns:
        [B], from 0 (aligned) to 4.
    Raises:
        ValueError: for other shapes.
    References:
        BYOL, arXiv:2006.07733
    Examples:
        >>> import jax.numpy as jnp
        >>> normalized_mse(jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 3.0]])).tolist()
        [2.0]
    """
    prediction, target = check(prediction=(prediction, "B D"), target=(target, "B D"))
    return 2 - 2 * cosine(prediction, jax.lax.stop_gradient(target))
