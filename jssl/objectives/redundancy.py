"""Barlow Twins, VICReg, KoLeo: losses that decorrelate or spread the features of a batch, instead of
negatives.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_batch
from jssl.arrays.vectors import similarity, unit


def barlow_twins(z_a, z_b, *, off_diagonal_weight=5e-3) -> jax.Array:
    """Computes the loss of Barlow Twins: the distance of two views' cross-correlation matrix from the
    identity.

    C = norm(z_a)^T norm(z_b) / B with each feature standardised over the batch (biased variance + 1e-5);
    l = sum_i (1 - C_ii)^2 + off_diagonal_weight sum_{i != j} C_ij^2.

    Args:
        z_a: [B, D], with gradient.
        z_b: [B, D], with gradient.
        off_diagonal_weight: the weight of the terms off the diagonal.
    Returns:
        Scalar.
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        Barlow Twins, arXiv:2103.03230
    Examples:
        >>> z = jnp.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> float(barlow_twins(z, z)) < 1e-6
        True
    """
    z_a, z_b = check(z_a=(z_a, "B D"), z_b=(z_b, "B D"))
    check_batch(2, "a correlation", z_a=z_a)
    correlation = similarity(_standardised(z_a).T, _standardised(z_b).T) / len(z_a)
    diagonal = jnp.eye(len(correlation), dtype=bool)
    return jnp.sum(jnp.where(diagonal, (1 - correlation) ** 2, off_diagonal_weight * correlation**2))


def _standardised(z):
    centred = z - jnp.mean(z, axis=0)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=0) + 1e-5)


def vicreg(z_a, z_b, *, invariance=25.0, variance=25.0, covariance=1.0) -> jax.Array:
    """Computes VICReg's loss: the distance between views, a hinge on each feature's deviation, and
    covariances of features.

    l = invariance mean (z_a - z_b)^2 + variance sum_views mean_j max(0, 1 - std_j) / 2
      + covariance sum_views sum_{i != j} Cov_ij^2 / D, with std = sqrt(var + 1e-4) and unbiased variances.

    Args:
        z_a: [B, D], with gradient.
        z_b: [B, D], with gradient.
        invariance: weight of the views' distance.
        variance: weight of the hinge on each feature's deviation.
        covariance: weight of the features' covariance.
    Returns:
        Scalar.
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        VICReg, arXiv:2105.04906
    Examples:
        >>> z = 2 * jnp.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> float(vicreg(z, z))
        0.0
    """
    z_a, z_b = check(z_a=(z_a, "B D"), z_b=(z_b, "B D"))
    check_batch(2, "a variance", z_a=z_a)
    spread_a, redundancy_a = _variance_and_covariance(z_a)
    spread_b, redundancy_b = _variance_and_covariance(z_b)
    spread, redundancy = (spread_a + spread_b) / 2, redundancy_a + redundancy_b
    return invariance * jnp.mean((z_a - z_b) ** 2) + variance * spread + covariance * redundancy


def _variance_and_covariance(z):
    centred = z - jnp.mean(z, axis=0)
    covariance = similarity(centred.T, centred.T) / (len(z) - 1)
    deviation = jnp.sqrt(jnp.diagonal(covariance) + 1e-4)
    off_diagonal = jnp.where(jnp.eye(len(covariance), dtype=bool), 0.0, covariance)
    return jnp.mean(jax.nn.relu(1 - deviation)), jnp.sum(off_diagonal**2) / len(covariance)


def koleo(z) -> jax.Array:
    """Computes KoLeo, an estimate of the negative entropy: minimising it moves each vector on the sphere away
    from its nearest neighbour.

    l_i = -log(|z_i - z_nn(i)| + 1e-8), all z normalised, 1e-8 added to each coordinate of the difference; the
    choice of neighbour has no gradient, both vectors of the distance have one.

    Args:
        z: [B, D].
    Returns:
        [B].
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        Spreading vectors for similarity search, arXiv:1806.03198
        DINOv2, arXiv:2304.07193
    Examples:
        >>> print(koleo(jnp.array([[1.0, 0.0], [-3.0, 0.0]])).round(4))
        [-0.6931 -0.6931]
    """
    (z,) = check(z=(z, "B D"))
    check_batch(2, "a nearest neighbour", z=z)
    z, epsilon = unit(z), 1e-8
    products = similarity(z, z)
    nearest = jnp.argmax(jnp.where(jnp.eye(len(z), dtype=bool), -jnp.inf, products), axis=1)
    distance = jnp.linalg.norm(z - z[nearest] + epsilon, axis=1)
    return -jnp.log(distance + epsilon)
