"""BEiT: how well the words (discrete tokens) of hidden patches are predicted, compared with a trivial
prediction.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.distributions import entropy
from jssl.objectives.base import Metrics


def word_figures(logits, tokens, mask) -> Metrics:
    """Measures how well the words of hidden patches are predicted.

    Args:
        logits: [B, N, K].
        tokens: [B, N] integers, below K where hidden.
        mask: [B, N] bool, True = hidden.
    Returns:
        {"accuracy": the share of words predicted correctly, "trivial": the entropy of the batch's hidden
        words, which is the loss without looking at the images}, scalars.
    Raises:
        ValueError: for other shapes.
        TypeError: for other dtypes.
    References:
        BEiT, arXiv:2106.08254
    Examples:
        >>> logits, mask = jnp.zeros((1, 4, 2)), jnp.array([[True, True, False, False]])
        >>> figures = word_figures(logits, jnp.array([[0, 1, 1, 1]]), mask)
        >>> print(figures["accuracy"], figures["trivial"].round(3))
        0.5 0.693
    """
    logits, tokens, mask = check(
        logits=(logits, "B N K"), tokens=(tokens, "B N", int), mask=(mask, "B N", bool)
    )
    hidden = mask / jnp.maximum(jnp.sum(mask), 1)
    accuracy = jnp.sum((jnp.argmax(logits, axis=-1) == tokens) * hidden)
    shares = jax.ops.segment_sum(hidden.ravel(), jnp.where(mask, tokens, 0).ravel(), logits.shape[-1])
    return {"accuracy": accuracy, "trivial": entropy(shares)}
