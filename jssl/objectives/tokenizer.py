"""Losses of learned tokenizers: an image is reconstructed from one word (discrete token) for each patch."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.distributions import entropy
from jssl.objectives.base import Metrics


def image_error(reconstruction, images) -> jax.Array:
    """Computes the mean square error of each image.

    Args:
        reconstruction: [B, H, W, C].
        images: [B, H, W, C], no gradient.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes.
    References:
        arXiv:2102.12092; the tokenizer of microsoft/unilm, beit/modeling_discrete_vae.py
    Examples:
        >>> image_error(jnp.full((1, 2, 2, 3), 2.0), jnp.zeros((1, 2, 2, 3))).tolist()
        [4.0]
    """
    reconstruction, images = check(reconstruction=(reconstruction, "B H W C"), images=(images, "B H W C"))
    return jnp.mean((reconstruction - jax.lax.stop_gradient(images)) ** 2, axis=(1, 2, 3))


def word_divergence(logits) -> jax.Array:
    """Computes the divergence of the words' probabilities from uniform ones: KL(q || uniform) = log K - H(q).

    Args:
        logits: [B, N, K].
    Returns:
        [B], the mean over an image's patches, from 0 to log K.
    Raises:
        ValueError: for another shape.
    References:
        arXiv:2102.12092
    Examples:
        >>> print(abs(word_divergence(jnp.zeros((1, 2, 4)))).round(3))
        [0.]
    """
    (logits,) = check(logits=(logits, "B N K"))
    log_shares = jax.nn.log_softmax(logits)  # in logs, 0 log 0 of unused words has a gradient
    return jnp.mean(jnp.log(logits.shape[-1]) + jnp.sum(jnp.exp(log_shares) * log_shares, axis=-1), axis=-1)


def word_usage(logits) -> Metrics:
    """Measures how many words a batch uses.

    Args:
        logits: [..., K].
    Returns:
        {"usage": the entropy of the batch's likeliest words as a share of log K: 0 if all patches have the
        same word, 1 if all words are equally frequent}.
    References:
        arXiv:2102.12092
    Examples:
        >>> print(word_usage(jnp.eye(4))["usage"].round(3), word_usage(jnp.zeros((4, 4)))["usage"])
        1.0 0.0
    """
    words = logits.shape[-1]
    ids = jnp.argmax(logits, axis=-1).ravel()
    shares = jax.ops.segment_sum(jnp.full(ids.shape, 1 / ids.size), ids, words)
    return {"usage": entropy(shares) / jnp.log(words)}
