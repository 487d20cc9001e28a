"""Label-free measures of an embedding: how close views lie, how far the rest, how many dimensions are used."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_batch
from jssl.arrays.vectors import similarity, unit


def alignment(z_a: jax.Array, z_b: jax.Array) -> jax.Array:
    """Mean squared distance of the two views on the unit sphere: mean_i |z_a_i - z_b_i|^2.

    z_a, z_b: [B, D] embeddings of two views of the same images, normalised here.

    Returns: a scalar in [0, 4]; 0 when views coincide, 2 when they are unrelated.
    Raises:  ValueError for wrong ranks or shapes that differ.
    Source:  arXiv:2005.10242.

    >>> float(alignment(jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 3.0]])))
    2.0
    """
    z_a, z_b = check(z_a=(z_a, "B D"), z_b=(z_b, "B D"))
    return jnp.mean(jnp.sum((unit(z_a) - unit(z_b)) ** 2, axis=-1))


def uniformity(z: jax.Array, *, t: float = 2.0) -> jax.Array:
    """How evenly embeddings cover the unit sphere: log mean_{i<j} exp(-t |z_i - z_j|^2), over distinct pairs.

    z: [B, D] embeddings of different images, normalised here; memory is O(B * B).
    t: width of the Gaussian.

    Returns: a scalar in [-4 t, 0]; 0 when all coincide, about -2 t when spread evenly in many dimensions.
    Raises:  ValueError for a wrong rank or fewer than two rows.
    Source:  arXiv:2005.10242.

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
    """RankMe, the smooth rank of the embedding matrix: `smooth_rank` of its singular values.

    z:   [B, D] embeddings as they are: neither centred nor normalised.
    eps: as in `smooth_rank`.

    Returns: a scalar from 1 to min(B, D); large when variance is spread over many directions. Zero embeddings give 1.
    Raises:  ValueError for a wrong rank.
    Source:  arXiv:2210.02885.

    >>> round(float(rank_me(jnp.eye(4))), 3)
    4.0
    """
    (z,) = check(z=(z, "B D"))
    return smooth_rank(jnp.linalg.svd(z, compute_uv=False), eps=eps)


def smooth_rank(singular_values: jax.Array, *, eps: float = 1e-7) -> jax.Array:
    """How many values share the sum: exp(-sum_k p_k log p_k), p_k = s_k / sum(s) + eps.

    singular_values: [K], not negative.
    eps:             added to each share.

    Returns: a scalar from 1 to K.
    Source:  arXiv:2210.02885.

    >>> round(float(smooth_rank(jnp.array([2.0, 2.0, 0.0]))), 3)
    2.0
    """
    total = jnp.sum(singular_values)
    share = singular_values / jnp.maximum(total, jnp.finfo(singular_values.dtype).tiny) + eps
    return jnp.exp(-jnp.sum(share * jnp.log(share)))


def feature_std(z: jax.Array) -> jax.Array:
    """SimSiam's collapse meter: mean over dimensions of the deviation of z / |z| over the batch, times sqrt(D).

    z: [B, D] embeddings, normalised here.

    Returns: a scalar; 0 when all embeddings coincide, about 1 when they are spread evenly over the sphere.
    Raises:  ValueError for a wrong rank.
    Source:  arXiv:2011.10566.

    >>> float(feature_std(jnp.array([[1.0, 0.0], [2.0, 0.0]])))
    0.0
    """
    (z,) = check(z=(z, "B D"))
    return jnp.mean(jnp.std(unit(z), axis=0)) * jnp.sqrt(z.shape[1])


def dead_dimensions(z: jax.Array, *, threshold: float = 1e-3) -> jax.Array:
    """Share of the dimensions that hardly move over the batch: deviation at most threshold times the largest.

    z:         [B, D] embeddings as they are.
    threshold: what counts as still, relative to the liveliest dimension.

    Returns: a scalar in [0, 1]; 1 when nothing moves at all.
    Raises:  ValueError for a wrong rank.

    >>> float(dead_dimensions(jnp.array([[1.0, 5.0], [2.0, 5.0]])))
    0.5
    """
    (z,) = check(z=(z, "B D"))
    deviation = jnp.std(z, axis=0)
    floor = 8 * jnp.finfo(z.dtype).eps * jnp.max(jnp.abs(z))  # rounding is not life
    return jnp.mean(deviation <= jnp.maximum(threshold * jnp.max(deviation), floor))
