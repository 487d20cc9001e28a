"""Errors of predicted depth, and a loss that penalises a wrong scale little."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check

SHIFT = 1e-3  # added to depths before their logarithm


def depth_errors(predicted: jax.Array, depth: jax.Array) -> dict[str, jax.Array]:
    """Measures predicted depths against true ones, pixel by pixel.

    Args:
        predicted: [...] depths above 0.
        depth: [...] in the same unit; pixels that are not above 0 have none and are left out.
    Returns:
        {"rmse" in the unit of depth, "abs_rel": mean of |predicted - depth| / depth, "delta1", "delta2",
        "delta3": shares of pixels whose larger ratio of the two is below 1.25, 1.25^2, 1.25^3}, scalars; nan
        where no pixel has a depth.
    Raises:
        ValueError: for shapes that differ.
    References:
        arXiv:1406.2283; DINOv2, arXiv:2304.07193
    Examples:
        >>> errors = depth_errors(jnp.array([1.0, 3.0]), jnp.array([1.0, 2.0]))
        >>> round(float(errors["rmse"]), 3), float(errors["delta1"]), float(errors["delta2"])
        (0.707, 0.5, 1.0)
    """
    predicted, depth = check(predicted=(predicted.ravel(), "N"), depth=(depth.ravel(), "N"))
    known = depth > 0
    count, depth = jnp.sum(known), jnp.where(known, depth, 1.0)
    predicted = jnp.where(known, predicted, 1.0)

    def mean(values):
        return jnp.sum(jnp.where(known, values, 0)) / count

    ratio = jnp.maximum(predicted / depth, depth / predicted)
    errors = {
        "rmse": jnp.sqrt(mean((predicted - depth) ** 2)),
        "abs_rel": mean(jnp.abs(predicted - depth) / depth),
    }
    return errors | {f"delta{i}": mean((ratio < 1.25**i).astype(depth.dtype)) for i in (1, 2, 3)}


def sig_loss(predicted: jax.Array, depth: jax.Array) -> jax.Array:
    """Computes the depth loss of AdaBins and DINOv2, in which a common factor of all depths costs little.

    loss = sqrt(var(g) + 0.15 mean(g)^2),  g = log(predicted + 0.001) - log(depth + 0.001)

    Args:
        predicted: [...] depths above 0.
        depth: [...]; pixels that are not above 0 have none and are left out.
    Returns:
        A scalar; the variance is the unbiased one.
    Raises:
        ValueError: for shapes that differ.
    References:
        arXiv:2011.14141; facebookresearch/dinov2, dinov2/eval/depth/models/losses/sigloss.py
    Examples:
        >>> depth = jnp.array([1.0, 2.0, 3.0])
        >>> abs(float(sig_loss(2 * depth, depth)) - 0.15**0.5 * float(jnp.log(2))) < 1e-3
        True
    """
    predicted, depth = check(predicted=(predicted.ravel(), "N"), depth=(depth.ravel(), "N"))
    known = depth > 0
    count = jnp.sum(known)
    safe = (jnp.where(known, x, 1.0) for x in (predicted, depth))
    ours, true = (jnp.log(x + SHIFT) for x in safe)
    g = ours - true
    mean = jnp.sum(jnp.where(known, g, 0)) / count
    variance = jnp.sum(jnp.where(known, (g - mean) ** 2, 0)) / jnp.maximum(count - 1, 1)
    return jnp.sqrt(variance + 0.15 * mean**2 + 1e-12)
