"""Losses averaged over hidden tokens: regression to a target, or classification of a discrete one."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import cosine, entries


def masked_reconstruction(
    prediction, target, mask, *, distance: str = "l2", normalize_target: bool = False, beta=1.0
) -> jax.Array:
    """Computes the distance between prediction and target, averaged over features, then over the hidden
    tokens of each image.

    d = prediction - target; l2: d^2; l1: |d|; smooth_l1: d^2 / (2 beta) where |d| < beta, else |d| - beta /
    2; cosine: 1 - cos of the two tokens, in place of an average over features.

    Args:
        prediction: [B, N, D].
        target: [B, N, D], no gradient.
        mask: [B, N] bool, True = hidden; tokens with False have no part in the loss, even if they are nan.
        distance: "l2", "l1", "smooth_l1" or "cosine".
        normalize_target: whether each target token is brought to mean 0 and unbiased variance 1 (1e-6 is
            added to the variance).
        beta: the size of the error at which smooth_l1 changes from quadratic to linear.
    Returns:
        [B]; 0 for an image with nothing hidden. For the mean over a batch's tokens, weight by mask.sum(-1).
    Raises:
        ValueError: for other shapes, or an unknown distance.
        TypeError: for a mask that is not bool.
    References:
        MAE, arXiv:2111.06377 (l2)
        SimMIM, arXiv:2111.09886 (l1)
        data2vec, arXiv:2202.03555, and I-JEPA, arXiv:2301.08243 (smooth_l1)
        SdAE, arXiv:2208.00449, and EVA, arXiv:2211.07636 (cosine)
    Examples:
        >>> mask = jnp.array([[True, False]])
        >>> prediction, target = jnp.full((1, 2, 3), 2.0), jnp.zeros((1, 2, 3))
        >>> masked_reconstruction(prediction, target, mask).tolist()
        [4.0]
        >>> masked_reconstruction(prediction, target, mask, distance="smooth_l1").tolist()
        [1.5]
    """
    prediction, target, mask = check(
        prediction=(prediction, "B N D"), target=(target, "B N D"), mask=(mask, "B N", bool)
    )
    if distance not in ("l2", "l1", "smooth_l1", "cosine"):
        raise ValueError(f"distance is {distance!r}, expected 'l2', 'l1', 'smooth_l1' or 'cosine'")
    prediction, target = (jnp.where(mask[..., None], x, 0.0) for x in (prediction, target))
    if normalize_target:
        target = standardized(target)
    if distance == "cosine":
        return masked_mean(1 - cosine(prediction, jax.lax.stop_gradient(target)), mask)
    difference = jnp.abs(prediction - jax.lax.stop_gradient(target))
    if distance == "l2":
        difference = difference**2
    elif distance == "smooth_l1":
        check_positive(beta=beta)
        difference = jnp.where(difference < beta, difference**2 / (2 * beta), difference - beta / 2)
    return masked_mean(jnp.mean(difference, axis=-1), mask)


def standardized(target) -> jax.Array:
    """Brings each token to mean 0 and unbiased variance 1; 1e-6 is added to the variance.

    Args:
        target: [..., D], at least 2 features.
    Returns:
        [..., D].
    Raises:
        ValueError: for fewer features.
    References:
        MAE, arXiv:2111.06377
    Examples:
        >>> print(standardized(jnp.array([1.0, 3.0])).round(3))
        [-0.707  0.707]
    """
    if target.shape[-1] < 2:
        raise ValueError(f"target has shape {target.shape}, expected at least 2 features to normalize")
    centred = target - jnp.mean(target, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.var(target, axis=-1, keepdims=True, ddof=1) + 1e-6)


def masked_token_cross_entropy(logits, tokens, mask) -> jax.Array:
    """Computes the cross entropy with the hidden tokens, averaged over those of each image or sentence.

    l_b = -sum_n mask[b, n] log softmax(logits[b, n])[tokens[b, n]] / max(1, sum_n mask[b, n]).

    Args:
        logits: [B, N, V].
        tokens: [B, N] integers, below V where hidden.
        mask: [B, N] bool, True = hidden.
    Returns:
        [B]; 0 where nothing is hidden; nan for a hidden token that is not in the vocabulary.
    Raises:
        ValueError: for other shapes.
        TypeError: for other dtypes.
    References:
        BERT, arXiv:1810.04805
        BEiT, arXiv:2106.08254
    Examples:
        >>> tokens, mask = jnp.array([[3, -1]]), jnp.array([[True, False]])
        >>> print(masked_token_cross_entropy(jnp.zeros((1, 2, 4)), tokens, mask).round(3))
        [1.386]
    """
    logits, tokens, mask = check(
        logits=(logits, "B N V"), tokens=(tokens, "B N", int), mask=(mask, "B N", bool)
    )
    logits = jnp.where(mask[..., None], logits, 0.0)
    tokens = jnp.where(mask, tokens, 0)  # visible ids may be anything, for instance -1
    return masked_mean(-entries(jax.nn.log_softmax(logits), tokens), mask)


def masked_mean(values, mask) -> jax.Array:
    """Averages over the hidden tokens of each image.

    Args:
        values: [B, N].
        mask: [B, N] bool, True = hidden.
    Returns:
        [B]; 0 (and a zero gradient) for an image with nothing hidden.
    Raises:
        ValueError: for other shapes.
        TypeError: for a mask that is not bool.
    References:
        The convention of iBOT, arXiv:2111.07832
    Examples:
        >>> errors, mask = jnp.array([[2.0, 4.0], [1.0, 1.0]]), jnp.array([[False, True], [False, False]])
        >>> masked_mean(errors, mask).tolist()
        [4.0, 0.0]
    """
    values, mask = check(values=(values, "B N"), mask=(mask, "B N", bool))
    return jnp.sum(values, axis=-1, where=mask) / jnp.maximum(jnp.sum(mask, axis=-1), 1)


def by_tokens(losses, mask) -> jax.Array:
    """Weights the losses of images so that their mean is the mean over all hidden tokens of the batch.

    Args:
        losses: [..., B], each the mean over an image's hidden tokens.
        mask: [..., B, N] bool, True = hidden.
    Returns:
        [..., B]; 0 where nothing is hidden.
    References:
        BEiT, arXiv:2106.08254, data2vec, arXiv:2202.03555, and others
    Examples:
        >>> mask = jnp.array([[True, True, True], [True, False, False]])
        >>> by_tokens(jnp.array([1.0, 5.0]), mask).tolist()  # the mean of 1, 1, 1 and 5
        [1.5, 2.5]
    """
    hidden = jnp.sum(mask, axis=-1)
    return losses * hidden * (hidden.size / jnp.maximum(jnp.sum(hidden), 1))
