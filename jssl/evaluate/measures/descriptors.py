"""Descriptors of whole images for search: generalised means of patch tokens, and whitening."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive

SMALLEST = 1e-6  # replaces smaller entries of tokens


def generalized_mean(tokens: jax.Array, *, power: float = 4.0) -> jax.Array:
    """Pools patch tokens by a mean that large entries dominate: (mean_n x_n^p)^(1/p), of entries above 0.

    Args:
        tokens: [B, N, D].
        power: p; 1 gives the mean, and larger powers come closer to the maximum.
    Returns:
        [B, D].
    Raises:
        ValueError: for a wrong rank, or a power that is not above 0.
    References:
        GeM, arXiv:1711.02512; facebookresearch/dino, eval_copy_detection.py
    Examples:
        >>> generalized_mean(jnp.array([[[1.0], [3.0]]]), power=1).tolist()
        [[2.0]]
    """
    (tokens,) = check(tokens=(tokens, "B N D"))
    check_positive(power=power)
    tokens = jnp.maximum(tokens, SMALLEST)
    largest = jnp.max(tokens, axis=1, keepdims=True)  # so that no power overflows
    return largest[:, 0] * jnp.mean((tokens / largest) ** power, axis=1) ** (1 / power)


def whitening(features: jax.Array, *, floor: float = 1e-6) -> tuple[jax.Array, jax.Array]:
    """Learns PCA whitening: a rotation and scaling after which features vary equally in all directions.

    Args:
        features: [N, D] of images that are not searched for.
        floor: Directions whose variance is below this share of the largest are left out.
    Returns:
        (mean [D], matrix [D, D]): (features - mean) @ matrix has the identity as its covariance, or zeros in
        the directions that are left out.
    Raises:
        ValueError: for a wrong rank.
    References:
        arXiv:1604.02426; facebookresearch/dino, eval_copy_detection.py
    Examples:
        >>> mean, matrix = whitening(jnp.array([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0], [4.0, 2.0]]))
        >>> whitened = (jnp.array([[4.0, 2.0]]) - mean) @ matrix
        >>> jnp.abs(whitened).round(3).tolist()
        [[1.0, 1.0]]
    """
    (features,) = check(features=(features, "N D"))
    mean = features.mean(0)
    centred = features - mean
    covariance = jnp.matmul(centred.T, centred, precision="highest") / len(features)
    variance, directions = jnp.linalg.eigh(covariance)
    kept = variance > floor * variance[-1]
    return mean, directions * jnp.where(kept, jax.lax.rsqrt(jnp.where(kept, variance, 1.0)), 0.0)
