"""EVA: the features that a frozen network has of hidden patches are predicted up to their length."""

import jax

from jssl.arrays.checks import check
from jssl.arrays.vectors import cosine
from jssl.objectives.reconstruction import masked_mean


def masked_negative_cosine(prediction, target, mask) -> jax.Array:
    """Computes the negative cosine of prediction and target, averaged over the hidden tokens of each image.

    l_b = -sum_n mask[b, n] cos(prediction[b, n], target[b, n]) / max(1, sum_n mask[b, n]).

    Args:
        prediction: [B, N, D].
        target: [B, N, D], no gradient.
        mask: [B, N] bool, True = hidden.
    Returns:
        [B], in [-1, 1]; 0 for an image with nothing hidden. For the mean over a batch's tokens, weight by
        mask.sum(-1).
    Raises:
        ValueError: for other shapes.
        TypeError: for a mask that is not bool.
    References:
        EVA, arXiv:2211.07636

    >>> import jax.numpy as jnp
    >>> mask, target = jnp.array([[True, False]]), jnp.array([[[0.0, 2.0], [1.0, 0.0]]])
    >>> print(masked_negative_cosine(5 * target, target, mask).round(3))
    [-1.]
    """
    prediction, target, mask = check(
        prediction=(prediction, "B N D"), target=(target, "B N D"), mask=(mask, "B N", bool)
    )
    return masked_mean(-cosine(prediction, jax.lax.stop_gradient(target)), mask)
