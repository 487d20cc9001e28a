"""Label-free measures of an embedding: how close views lie, how far the rest, how many dimensions are
used.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_batch
from jssl.arrays.distributions import entropy
from jssl.arrays.vectors import similarity, unit


def alignment(z_a: jax.Array, z_b: jax.Array) -> jax.Array:
    """Measures the mean squared distance of two views on the unit sphere: mean_i |z_a_i - z_b_i|^2.

    Args:
        z_a: [B, D] embeddings of one view, normalised here.
        z_b: [B, D] embeddings of another view of the same images.
    Returns:
        A scalar in [0, 4]; 0 when views coincide, 2 when they are unrelated.
    Raises:
        ValueError: for wrong ranks or shapes that differ.
    References:
        arXiv:2005.10242
    Examples:
        >>> float(alignment(jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 3.0]])))
        2.0
    """
    z_a, z_b = check(z_a=(z_a, "B D"), z_b=(z_b, "B D"))
    return jnp.mean(jnp.sum((unit(z_a) - unit(z_b)) ** 2, axis=-1))


def uniformity(z: jax.Array, *, t: float = 2.0) -> jax.Array:
    """Measures how evenly embeddings cover the unit sphere: log mean_{i<j} exp(-t |z_i - z_j|^2), over
    distinct pairs.

    Args:
        z: [B, D] embeddings of different images, normalised here; memory is O(B * B).
        t: Width of the Gaussian.
    Returns:
        A scalar in [-4 t, 0]; 0 when all coincide, about -2 t when spread evenly in many dimensions.
    Raises:
        ValueError: for a wrong rank or fewer than two rows.
    References:
        arXiv:2005.10242
    Examples:
        >>> round(float(uniformity(jnp.array([[1.0, 0.0], [-1.0, 0.0]]))), 3)
        -8.0
    """
    (z,) = check(z=(z, "B D"))
    check_batch(2, "distinct pairs", z=z)
    z = unit(z)
    squared_distances = 2 - 2 * similarity(z, z)
    pairs = jnp.triu(jnp.ones(squared_distances.shape, bool), k=1)
    return jax.nn.logsumexp(-t * squared_distances, where=pairs) - jnp.log(len(z) * (len(z) - 1) / 2)


def rank_me(z: jax.Array, *, eps: float = 1e-7) -> jax.Array:
    """Computes RankMe, the smooth rank of the embedding matrix: `smooth_rank` of its singular values.

    Args:
        z: [B, D] embeddings as they are: neither centred nor normalised.
        eps: As in `smooth_rank`.
    Returns:
        A scalar from 1 to min(B, D); large when variance is spread over many directions. Zero embeddings give
        1.
    Raises:
        ValueError: for a wrong rank.
    References:
        arXiv:2210.02885
    Examples:
        >>> round(float(rank_me(jnp.eye(4))), 3)
        4.0
    """
    (z,) = check(z=(z, "B D"))
    return smooth_rank(jnp.linalg.svd(z, compute_uv=False), eps=eps)


def smooth_rank(singular_values: jax.Array, *, eps: float = 1e-7) -> jax.Array:
    """Counts how many values share the sum: exp(-sum_k p_k log p_k), p_k = s_k / sum(s) + eps.

    Args:
        singular_values: [K], not negative.
        eps: Added to each share.
    Returns:
        A scalar from 1 to K.
    References:
        arXiv:2210.02885
    Examples:
        >>> round(float(smooth_rank(jnp.array([2.0, 2.0, 0.0]))), 3)
        2.0
    """
    total = jnp.sum(singular_values)
    share = singular_values / jnp.maximum(total, jnp.finfo(singular_values.dtype).tiny) + eps
    return jnp.exp(entropy(share))


def feature_std(z: jax.Array) -> jax.Array:
    """Computes SimSiam's collapse meter: the deviation of z / |z| over the batch, averaged over dimensions,
    times sqrt(D).

    Args:
        z: [B, D] embeddings, normalised here.
    Returns:
        A scalar; 0 when all embeddings coincide, about 1 when they are spread evenly over the sphere.
    Raises:
        ValueError: for a wrong rank.
    References:
        arXiv:2011.10566
    Examples:
        >>> float(feature_std(jnp.array([[1.0, 0.0], [2.0, 0.0]])))
        0.0
    """
    (z,) = check(z=(z, "B D"))
    return jnp.mean(jnp.std(unit(z), axis=0)) * jnp.sqrt(z.shape[1])


def dead_dimensions(z: jax.Array, *, threshold: float = 1e-3) -> jax.Array:
    """Measures the share of dimensions that hardly move over the batch: deviation at most threshold times the
    largest.

    Args:
        z: [B, D] embeddings as they are.
        threshold: What counts as still, relative to the liveliest dimension.
    Returns:
        A scalar in [0, 1]; 1 when nothing moves at all.
    Raises:
        ValueError: for a wrong rank.
    Examples:
        >>> float(dead_dimensions(jnp.array([[1.0, 5.0], [2.0, 5.0]])))
        0.5
    """
    (z,) = check(z=(z, "B D"))
    deviation = jnp.std(z, axis=0)
    floor = 8 * jnp.finfo(z.dtype).eps * jnp.max(jnp.abs(z))  # rounding is not life
    return jnp.mean(deviation <= jnp.maximum(threshold * jnp.max(deviation), floor))
