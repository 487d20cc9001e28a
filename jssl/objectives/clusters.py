"""k-means on the device, with static shapes, and how concentrated the clusters are."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import entries, similarity, unit


class Clusters(NamedTuple):
    """A clustering of N rows.

    Attributes:
        centroids: [K, D].
        assignment: [N] int32, each row's cluster.
        distance: [N], the squared Euclidean distance to its centroid.
    """

    centroids: jax.Array
    assignment: jax.Array
    distance: jax.Array


def kmeans(
    key,
    x,
    clusters: int,
    *,
    iterations: int = 20,
    restarts: int = 1,
    spherical: bool = False,
    block_size: int = 8192,
    first_rows: Callable[[jax.Array, jax.Array, int], jax.Array] | None = None,
) -> Clusters:
    """Runs k-means several times, and keeps the clustering with the smallest sum of distances.

    Args:
        key: draws the rows to start from.
        x: [N, D].
        clusters: how many, K <= N.
        iterations: of each run.
        restarts: how many runs.
        spherical: whether centroids have length 1 and rows are assigned by inner product, for unit rows.
        block_size: rows compared with all centroids at a time.
        first_rows: (key, x, clusters) -> the rows [K, D] to start from, `spread_rows` by default;
            `random_rows` is much faster for many clusters.
    Returns:
        `Clusters`.
    Raises:
        ValueError: for other shapes, or more clusters than rows.
    References:
        The clusterings of PCL, arXiv:2005.04966, and of DeepCluster v2, arXiv:2006.09882
    Examples:
        >>> x = jnp.array([[0.0], [1.0], [5.0], [6.0]])
        >>> sorted(kmeans(jax.random.key(0), x, 2).centroids[:, 0].tolist())
        [0.5, 5.5]
    """
    (x,) = check(x=(x, "N D"))
    check_positive(restarts=restarts)

    def once(key):
        start = (first_rows or spread_rows)(key, x, clusters)
        return lloyd(x, start, iterations=iterations, spherical=spherical, block_size=block_size)

    found = jax.lax.map(once, jax.random.split(key, restarts))
    best = jnp.argmin(jnp.sum(found.distance, axis=1))
    return jax.tree.map(lambda part: part[best], found)


def spread_rows(key, x, clusters: int) -> jax.Array:
    """Chooses rows far from each other, as greedy k-means++ does.

    In each turn 2 + log K rows are drawn, as in scikit-learn, with probabilities in proportion to the squared
    distance to the nearest row chosen so far. The one that leaves the smallest sum of distances is chosen.

    Args:
        key: draws the rows.
        x: [N, D].
        clusters: how many rows, K <= N.
    Returns:
        [K, D], rows of x, without gradient.
    Raises:
        ValueError: for other shapes, or more clusters than rows.
    References:
        Arthur and Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007; for the
        clusterings of PCL, arXiv:2005.04966
    Examples:
        >>> spread_rows(jax.random.key(0), jnp.array([[0.0], [0.0], [9.0]]), 2).ravel().sort().tolist()
        [0.0, 9.0]
    """
    x = _enough(x, clusters)
    first_key, key = jax.random.split(key)
    candidates = 2 + int(math.log(clusters))

    def distances(rows):
        return jnp.sum((x - rows[:, None]) ** 2, axis=-1)

    def choose(nearest, key):
        drawn = jax.random.categorical(key, jnp.log(nearest), shape=(candidates,))
        left = jnp.minimum(nearest, distances(x[drawn]))
        best = jnp.argmin(jnp.sum(left, axis=1))
        return left[best], drawn[best]

    first = jax.random.randint(first_key, (1,), 0, len(x))
    _, others = jax.lax.scan(choose, distances(x[first])[0], jax.random.split(key, clusters - 1))
    return x[jnp.concatenate([first, others])]


def random_rows(key, x, clusters: int) -> jax.Array:
    """Chooses different rows at random, as faiss does to start k-means.

    Args:
        key: draws the rows.
        x: [N, D].
        clusters: how many rows, K <= N.
    Returns:
        [K, D], rows of x, without gradient.
    Raises:
        ValueError: for other shapes, or more clusters than rows.
    References:
        The authors' clustering of PCL, arXiv:2005.04966
    Examples:
        >>> random_rows(jax.random.key(0), jnp.array([[1.0], [9.0]]), 2).ravel().sort().tolist()
        [1.0, 9.0]
    """
    x = _enough(x, clusters)
    return x[jax.random.permutation(key, len(x))[:clusters]]


def _enough(x, clusters: int) -> jax.Array:
    """Checks that there are at least as many rows [N, D] as clusters, and stops their gradient."""
    (x,) = check(x=(x, "N D"))
    if not 1 <= clusters <= len(x):
        raise ValueError(f"clusters is {clusters}, expected 1 to {len(x)}, the rows of x of shape {x.shape}")
    return jax.lax.stop_gradient(x)


def lloyd(x, centroids, *, iterations: int = 20, spherical: bool = False, block_size: int = 8192) -> Clusters:
    """Runs k-means from given centroids: assign rows, move each centroid to its rows' mean, repeat; assign at
    the end.

    A cluster without rows keeps its centroid.

    Args:
        x: [N, D].
        centroids: [K, D], used unchanged at first.
        iterations: how often the centroids move.
        spherical: whether rows are assigned by inner product and means are scaled to length 1.
        block_size: rows compared with all centroids at a time.
    Returns:
        `Clusters`, without gradient.
    Raises:
        ValueError: for other shapes.
    References:
        The E and M steps of DeepCluster v2, arXiv:2006.09882
    Examples:
        >>> points, start = jnp.array([[0.0], [1.0], [9.0]]), jnp.array([[0.0], [8.0]])
        >>> lloyd(points, start, iterations=1).centroids.tolist()
        [[0.5], [9.0]]
    """
    x, centroids = check(x=(x, "N D"), centroids=(centroids, "K D"))
    check_positive(block_size=block_size)
    x, centroids = jax.lax.stop_gradient((x, centroids))
    clusters = len(centroids)

    def assign(centroids):
        def row(z):
            products = jnp.matmul(centroids, z, precision=jax.lax.Precision.HIGHEST)
            return jnp.argmax(products if spherical else products - jnp.sum(centroids**2, axis=1) / 2)

        return jax.lax.map(row, x, batch_size=min(block_size, len(x))).astype(jnp.int32)

    def move(_, centroids):
        assignment = assign(centroids)
        members = jax.ops.segment_sum(jnp.ones(len(x), x.dtype), assignment, clusters)[:, None]
        means = jax.ops.segment_sum(x, assignment, clusters) / jnp.maximum(members, 1)
        return jnp.where(members > 0, unit(means) if spherical else means, centroids)

    centroids = jax.lax.fori_loop(0, iterations, move, centroids)
    assignment = assign(centroids)
    return Clusters(centroids, assignment, jnp.sum((x - centroids[assignment]) ** 2, axis=1))


def assigned_cross_entropy(z, assignment, centroids, *, temperature=0.1) -> jax.Array:
    """Computes the cross entropy of classifying each row as its own cluster, by cosines with all centroids.

    l_b = -z_b . c_assignment[b] / T + log sum_k exp(z_b . c_k / T), all normalised. Gradients reach rows and
    centroids; if centroids are fixed, the caller stops theirs.

    Args:
        z: [B, D].
        assignment: [B] integers below K.
        centroids: [K, D].
        temperature: T.
    Returns:
        [B]; nan for an id that is not one of a centroid.
    Raises:
        ValueError: for other shapes.
        TypeError: for ids that are not integers.
    References:
        DeepCluster v2, arXiv:2006.09882
        SMoG, arXiv:2207.06167
    Examples:
        >>> loss = assigned_cross_entropy(jnp.eye(2), jnp.array([0, 1]), jnp.eye(2), temperature=1.0)
        >>> print(f"{loss.mean():.3f}")
        0.313
    """
    z, assignment, centroids = check(
        z=(z, "B D"), assignment=(assignment, "B", int), centroids=(centroids, "K D")
    )
    check_positive(temperature=temperature)
    logits = similarity(unit(z), unit(centroids)) / temperature
    return jax.nn.logsumexp(logits, axis=1) - entries(logits, assignment)


def concentration(distance, assignment, clusters: int, *, smoothing=10.0) -> jax.Array:
    """Measures how concentrated each cluster is: the value is small for many rows close to the centroid.

    phi_c = mean_{members} sqrt(distance) / log(members + smoothing); clusters of one row or none take the
    largest; then all are clipped to the 10th and 90th percentile and divided by their mean.

    Args:
        distance: [N], the squared distance of each row to its centroid.
        assignment: [N] integers below clusters.
        clusters: how many there are.
        smoothing: added to a cluster's size.
    Returns:
        [clusters], positive, of mean 1 (ones where all distances are zero); `proto_nce` multiplies T by it.
    Raises:
        ValueError: for other shapes.
    References:
        PCL, arXiv:2005.04966
    Examples:
        >>> density = concentration(jnp.array([1.0, 1.0, 4.0, 4.0]), jnp.array([0, 0, 1, 1]), 2)
        >>> print(f"{density[0]:.3f} {density[1]:.3f}")  # 1 and 2, clipped to 1.1 and 1.9
        0.733 1.267
    """
    distance, assignment = check(distance=(distance, "N"), assignment=(assignment, "N", int))
    members = jax.ops.segment_sum(jnp.ones_like(distance), assignment, clusters)
    reach = jax.ops.segment_sum(jnp.sqrt(distance), assignment, clusters)
    phi = jnp.where(members > 1, reach / (jnp.maximum(members, 1) * jnp.log(members + smoothing)), 0.0)
    phi = jnp.where(members > 1, phi, jnp.max(phi))
    phi = jnp.clip(phi, *jnp.percentile(phi, jnp.array([10.0, 90.0])))
    mean = jnp.mean(phi)
    return jnp.where(mean > 0, phi / jnp.where(mean > 0, mean, 1.0), 1.0)
