"""Adversarial losses: those of a generator and of a discriminator, and the errors that are added to them."""

import math

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check


def judgement(real, made) -> jax.Array:
    """Computes the discriminator's loss: the cross-entropy of classifying real and generated images.

    Args:
        real: [B] logits of real images, positive for real.
        made: [B] logits of generated images.
    Returns:
        [B], the sum of both; 2 log 2 for a discriminator that cannot tell them apart.
    Raises:
        ValueError: for other shapes.
    References:
        arXiv:1604.07379
    Examples:
        >>> judgement(jnp.zeros(1), jnp.zeros(1)).round(3).tolist()
        [1.3860000371932983]
    """
    real, made = check(real=(real, "B"), made=(made, "B"))
    return jax.nn.softplus(-real) + jax.nn.softplus(made)


def passing(made) -> jax.Array:
    """Computes the generator's loss: the cross-entropy of its images being classified as real.

    Args:
        made: [B] logits of generated images, positive for real.
    Returns:
        [B].
    Raises:
        ValueError: for another shape.
    References:
        arXiv:1604.07379
    Examples:
        >>> passing(jnp.array([100.0])).tolist()
        [0.0]
    """
    (made,) = check(made=(made, "B"))
    return jax.nn.softplus(-made)


def filled_hole(prediction, target, *, band: int = 0, weight: float = 10.0) -> jax.Array:
    """Computes the mean square error of a filled hole, weighted more along the border, which the network has
    seen.

    Args:
        prediction: [B, h, w, C].
        target: [B, h, w, C], no gradient.
        band: width of the border, in pixels.
        weight: the weight of errors in the border.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes.
    References:
        arXiv:1604.07379; pathak22/context-encoder, train.lua
    Examples:
        >>> filled_hole(jnp.ones((1, 4, 4, 1)), jnp.zeros((1, 4, 4, 1)), band=1).tolist()
        [7.75]
    """
    prediction, target = check(prediction=(prediction, "B H W C"), target=(target, "B H W C"))
    rows, columns = (jnp.minimum(jnp.arange(size), jnp.arange(size)[::-1]) for size in prediction.shape[1:3])
    edge = jnp.minimum(rows[:, None], columns) < band
    weights = jnp.where(edge, weight, 1.0).astype(prediction.dtype)
    squares = (prediction - jax.lax.stop_gradient(target)) ** 2
    return jnp.mean(weights[..., None] * squares, axis=(1, 2, 3))


def where_kept(logits, kept) -> jax.Array:
    """Computes the cross-entropy of predicting which points of a map were kept.

    Args:
        logits: [B, N] of a square grid, positive for kept.
        kept: [B, h, w, 1], 1 where kept, 0 where not, no gradient; it is resized to the grid.
    Returns:
        [B], the mean over points.
    Raises:
        ValueError: for other shapes.
    References:
        arXiv:1806.05024
    Examples:
        >>> where_kept(jnp.zeros((1, 4)), jnp.ones((1, 2, 2, 1))).round(3).tolist()
        [0.6930000185966492]
    """
    logits, kept = check(logits=(logits, "B N"), kept=(kept, "B H W K"))
    side = math.isqrt(logits.shape[1])
    kept = jax.lax.stop_gradient(kept)
    labels = jax.image.resize(kept[..., 0], (len(kept), side, side), "nearest").reshape(logits.shape)
    return jnp.mean(jax.nn.softplus(logits) - labels * logits, axis=-1)


def error_where(prediction, target, kept) -> jax.Array:
    """Computes the mean square error of an image at those places where the points of its map were kept.

    Args:
        prediction: [B, H, W, C].
        target: [B, H, W, C], no gradient.
        kept: [B, h, w, 1], 1 where kept, 0 where not, no gradient; H and W are multiples of h and w.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes.
    References:
        arXiv:1806.05024
    Examples:
        >>> kept = jnp.array([1.0, 0.0]).reshape(1, 2, 1, 1)
        >>> error_where(jnp.array([3.0, 9.0]).reshape(1, 2, 1, 1), jnp.zeros((1, 2, 1, 1)), kept).tolist()
        [9.0]
    """
    prediction, target, kept = check(
        prediction=(prediction, "B H W C"), target=(target, "B H W C"), kept=(kept, "B h w K")
    )
    target, kept = jax.lax.stop_gradient((target, kept))
    size = prediction.shape[1] // kept.shape[1]
    mask = jnp.repeat(jnp.repeat(kept, size, axis=1), size, axis=2)
    squares = jnp.mean((prediction - target) ** 2, axis=-1, keepdims=True)
    return jnp.sum(mask * squares, axis=(1, 2, 3)) / jnp.maximum(jnp.sum(mask, axis=(1, 2, 3)), 1)
