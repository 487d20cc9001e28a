"""Label-free measures of an embedding: how close views of an image are, how evenly images are spread, and how
many dimensions are used.
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
        A scalar in [-4 t, 0]; 0 when all coincide, zero vectors too, about -2 t when spread evenly in many
        dimensions.
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
    squares = jnp.sum(z * z, axis=-1)  # 1, of a zero vector 0
    squared_distances = squares[:, None] + squares - 2 * similarity(z, z)
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
    """Computes the effective number of values by entropy: exp(-sum_k p_k log p_k), p_k = s_k / sum(s) + eps.

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


def alpha_req(z: jax.Array, *, first: int = 11, last: int = 50) -> jax.Array:
    """Computes alpha-ReQ: the exponent of a power law through the eigenvalues of the features' covariance.

    The line log lambda_n = c - alpha log n is fitted with weights 1 / n to the eigenvalues from `first` to
    `last`, counted from 1.

    Args:
        z: [B, D] features, centred here.
        first: The first eigenvalue of the fit.
        last: The last one, at most the B - 1 and D that there are; where fewer than two are left, the fit
            begins at 1.
    Returns:
        A scalar; about 1 is good, larger means that few directions hold the variance.
    Raises:
        ValueError: for a wrong rank or fewer than three rows.
    References:
        arXiv:2202.05808, section 2.1
    Examples:
        >>> spectrum = jnp.arange(1.0, 9) ** -0.5  # deviations of axes, so that variances are n ** -1
        >>> both = jnp.concatenate([jnp.diag(spectrum), -jnp.diag(spectrum)])
        >>> round(float(alpha_req(both, first=1)), 3)
        1.0
    """
    (z,) = check(z=(z, "B D"))
    check_batch(3, "a spectrum", z=z)
    last = min(last, len(z) - 1, z.shape[1])
    first = first if last - first > 0 else 1
    singular = jnp.linalg.svd(z - z.mean(axis=0), compute_uv=False)[first - 1 : last]
    y = 2 * jnp.log(jnp.maximum(singular, jnp.finfo(z.dtype).tiny))
    n = jnp.arange(first, last + 1, dtype=z.dtype)
    weight, x = 1 / n / jnp.sum(1 / n), jnp.log(n)
    x, y = x - jnp.sum(weight * x), y - jnp.sum(weight * y)
    return -jnp.sum(weight * x * y) / jnp.sum(weight * x * x)


def lidar(z: jax.Array, *, delta: float = 1e-4, eps: float = 1e-7) -> jax.Array:
    """Computes LiDAR: the smooth rank of the variation between images, relative to that between views of one.

    `smooth_rank` of the eigenvalues of W^-1/2 S W^-1/2; S is the covariance of the images' means, W that of
    views around them, plus delta.

    Args:
        z: [B, V, D] features of V views of each image.
        delta: Added to the diagonal of W.
        eps: As in `smooth_rank`.
    Returns:
        A scalar from 1 to min(B - 1, D).
    Raises:
        ValueError: for a wrong rank, or fewer than two images or views.
    References:
        arXiv:2312.04000
    Examples:
        >>> z = jnp.eye(4)[:, None] + 0.1 * jnp.stack([jnp.eye(4), -jnp.eye(4)])[None].reshape(1, 8, 4)
        >>> round(float(lidar(z)), 2)  # four images in a space of three directions around their mean
        3.0
    """
    (z,) = check(z=(z, "B V D"))
    check_batch(2, "images to tell apart", z=z)
    check_batch(2, "views of an image", views=z[0])
    means = z.mean(axis=1)
    between = jnp.cov(means, rowvar=False, bias=True).reshape(z.shape[-1], -1)
    apart = (z - means[:, None]).reshape(-1, z.shape[-1])
    within = apart.T @ apart / len(apart) + delta * jnp.eye(z.shape[-1])
    values, vectors = jnp.linalg.eigh(within)
    whitening = vectors * jax.lax.rsqrt(values) @ vectors.T
    return smooth_rank(jnp.maximum(jnp.linalg.eigvalsh(whitening @ between @ whitening), 0.0), eps=eps)


def rank_correlation(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes Spearman's correlation: that of the ranks, equal values sharing theirs.

    Args:
        a: [N] values, such as a measure of several runs.
        b: [N] values, such as their accuracies.
    Returns:
        A scalar in [-1, 1]; nan where all values of one are equal.
    Raises:
        ValueError: for other shapes or fewer than two values.
    Examples:
        >>> float(rank_correlation(jnp.array([1.0, 2.0, 9.0]), jnp.array([0.3, 0.1, 0.0])))
        -1.0
    """
    a, b = check(a=(a, "N"), b=(b, "N"))
    check_batch(2, "ranks", a=a)

    def ranks(x):
        below, equal = (jnp.sum(how(x[None], x[:, None]), axis=1) for how in (jnp.less, jnp.equal))
        found = below + (equal - 1) / 2
        return found - found.mean()

    a, b = ranks(a), ranks(b)
    return jnp.sum(a * b) / jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))


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
    """Measures the share of dimensions that hardly vary over the batch: deviation at most threshold times the
    largest.

    Args:
        z: [B, D] embeddings as they are.
        threshold: The deviation up to which a dimension is dead, relative to the largest deviation.
    Returns:
        A scalar in [0, 1]; 1 when no dimension varies.
    Raises:
        ValueError: for a wrong rank.
    Examples:
        >>> float(dead_dimensions(jnp.array([[1.0, 5.0], [2.0, 5.0]])))
        0.5
    """
    (z,) = check(z=(z, "B D"))
    deviation = jnp.std(z, axis=0)
    floor = 8 * jnp.finfo(z.dtype).eps * jnp.max(jnp.abs(z))  # what rounding alone gives
    return jnp.mean(deviation <= jnp.maximum(threshold * jnp.max(deviation), floor))
