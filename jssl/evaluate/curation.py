"""Curation: which images of a large pool are kept, by their features alone.  arXiv:2304.07193

Every function takes features [N, D] and returns the numbers of rows, in order, so that any source can be
restricted by them. Cosines are exact, and computed on the device in blocks, unless an index finds them.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.vectors import unit, unit_on_host
from jssl.evaluate.protocols.knn import nearest_neighbours
from jssl.extras import require
from jssl.objectives import kmeans, random_rows

PART = 16_384  # queries whose neighbours are on the device at a time
PROBES = 32  # lists of an inverted file that are searched for a query
Search = Callable[..., tuple[np.ndarray, np.ndarray]]  # as `neighbours`


def neighbours(bank: np.ndarray, queries: np.ndarray, *, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the k rows of a bank most like each query, a part of the queries at a time.

    Args:
        bank: [N, D] features to search; in memory of the device.
        queries: [M, D] features to search for; a memory map is read in parts.
        k: neighbours of each, at most N.
    Returns:
        (cosines [M, k], rows of the bank [M, k]), most similar first.
    Raises:
        ValueError: for wrong ranks, widths that differ, or k out of range.
    References:
        arXiv:2304.07193
    """
    held = jnp.asarray(bank, jnp.float32)
    parts = [
        nearest_neighbours(held, jnp.asarray(queries[start : start + PART], jnp.float32), k=k)
        for start in range(0, len(queries), PART)
    ]
    cosines, rows = (
        np.concatenate([np.asarray(one) for one in column]) for column in zip(*parts, strict=True)
    )
    return cosines, rows


def by_index(factory: str, *, probes: int = PROBES) -> Search:
    """Makes a search by an index of faiss, for more images than `neighbours` can compare with each other.

    Args:
        factory: What faiss is to build, such as "IVF65536,Flat".
        probes: Lists of an inverted file that are searched for a query.
    Returns:
        (bank, queries, k=) -> (cosines [M, k], rows of the bank [M, k]), as `neighbours`; where an index
        finds fewer, the rows are -1 and their cosines below all others.
    Raises:
        ImportError: without faiss.
        ValueError: from the search, for an index that faiss cannot build, or not from so few images.
    References:
        arXiv:2401.08281
    """
    require("faiss", how="pip install faiss-cpu")
    return partial(_found_by_index, factory, probes)


def _found_by_index(factory, probes, bank, queries, *, k):
    faiss: Any = importlib.import_module("faiss")
    try:
        index = faiss.index_factory(bank.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        rows = _rows_of_unit_length(bank)
        index.train(rows)
        index.add(rows)
        if hasattr(index, "nprobe"):
            index.nprobe = probes
        parts = range(0, len(queries), PART)
        found = [index.search(_rows_of_unit_length(queries[first : first + PART]), k) for first in parts]
    except (RuntimeError, AssertionError) as refused:
        why = " ".join(str(refused).split())[-200:]
        raise ValueError(f"faiss has no index {factory!r} for {len(bank):,} images: {why}") from None
    cosines, rows = (np.concatenate(column) for column in zip(*found, strict=True))
    return cosines, rows


def _rows_of_unit_length(features):
    return unit_on_host(np.ascontiguousarray(features, np.float32))


def without_copies(
    features: np.ndarray, *, threshold: float = 0.6, k: int = 64, search: Search = neighbours
) -> np.ndarray:
    """Keeps one image of each group of copies: images joined by cosines above a threshold.

    Args:
        features: [N, D], best of a network that tells copies from other images of the same kind.
        threshold: two images above it are copies; DINOv2 has 0.6 for features of copy detection.
        k: neighbours of each image that are compared, the image itself among them.
        search: how these are found, such as `by_index("IVF65536,Flat")`.
    Returns:
        [M] rows that are kept, the first of each group.
    Raises:
        ValueError: for features that are no [N, D].
    References:
        arXiv:2304.07193
    Examples:
        >>> without_copies(np.array([[1.0, 0], [0, 1], [1, 0.01], [2, 0]])).tolist()
        [0, 1]
    """
    return one_of_each_group(*search(features, features, k=min(k, len(features))), threshold=threshold)


def one_of_each_group(cosines: np.ndarray, rows: np.ndarray, *, threshold: float) -> np.ndarray:
    """Keeps one image of each group of copies, given neighbours that any index has found.

    Args:
        cosines: [N, k] with each image's neighbours, itself among them or not.
        rows: [N, k] which images these are; where one is missing, its cosine is not above the threshold.
        threshold: two images above it are copies.
    Returns:
        [M] rows that are kept, the first of each group.
    References:
        arXiv:2304.07193
    Examples:
        >>> cosines, rows = np.array([[0.9], [0.2], [0.9]]), np.array([[2], [0], [0]])
        >>> one_of_each_group(cosines, rows, threshold=0.6).tolist()
        [0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, place = np.nonzero(cosines > threshold)
    joined = coo_array((np.ones(len(one), bool), (one, rows[one, place])), shape=(len(rows),) * 2)
    _, group = connected_components(joined, directed=False)
    return np.sort(np.unique(group, return_index=True)[1])


def without(features: np.ndarray, held_out: np.ndarray, *, threshold: float = 0.45) -> np.ndarray:
    """Drops images that resemble one of a held-out set, so that no evaluation image is trained on.

    Args:
        features: [N, D].
        held_out: [M, D] of the images that are evaluated on, by the same network.
        threshold: images with a cosine above it are dropped.
    Returns:
        [K] rows that are kept.
    Raises:
        ValueError: for features of different widths.
    References:
        arXiv:2304.07193
    Examples:
        >>> without(np.eye(3), np.array([[0.1, 1.0, 0.0]])).tolist()
        [0, 2]
    """
    cosines, _ = neighbours(held_out, features, k=1)
    return np.flatnonzero(cosines[:, 0] <= threshold)


def retrieve(pool: np.ndarray, wanted: np.ndarray, *, k: int = 4, search: Search = neighbours) -> np.ndarray:
    """Takes the images of a pool that are nearest to each of the wanted images.

    DINOv2 extends sets of more than a million images in this way, and takes clusters for smaller ones.

    Args:
        pool: [N, D].
        wanted: [M, D] of curated images, by the same network.
        k: images taken for each; DINOv2 has 4, and 32 for ImageNet.
        search: how these are found, such as `by_index("IVF65536,Flat")`.
    Returns:
        [K] rows of the pool, each once.
    Raises:
        ValueError: for features of different widths, or k above N.
    References:
        arXiv:2304.07193
    Examples:
        >>> retrieve(np.eye(4), np.array([[0.0, 2.0, 1.0, 0.0]]), k=2).tolist()
        [1, 2]
    """
    found = np.unique(search(pool, wanted, k=k)[1])
    return found[found >= 0]


def retrieve_by_cluster(
    pool: np.ndarray,
    wanted: np.ndarray,
    *,
    clusters: int,
    hits: int = 3,
    most: int = 10_000,
    in_all: int = 1_000_000,
    seed: int = 0,
) -> np.ndarray:
    """Takes images from the pool's clusters that hold several wanted images; for small sets of these.

    Args:
        pool: [N, D].
        wanted: [M, D] of curated images, by the same network.
        clusters: of spherical k-means on the pool; DINOv2 has 100,000.
        hits: a cluster is taken if it holds more wanted images than this.
        most: images taken from a cluster, drawn at random.
        in_all: images taken from all clusters, drawn at random; DINOv2 has a million for each curated set.
        seed: of the clusters and of the draws.
    Returns:
        [K] rows of the pool, each once.
    Raises:
        ValueError: for features of different widths, or more clusters than images.
    References:
        arXiv:2304.07193, appendix A.4
    """
    rows = unit(jnp.asarray(pool, jnp.float32))
    found = kmeans(jax.random.key(seed), rows, clusters, spherical=True, first_rows=random_rows)
    held = np.bincount(neighbours(np.asarray(found.centroids), wanted, k=1)[1][:, 0], minlength=clusters)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pool))
    home = np.asarray(found.assignment)[order]
    taken = [order[home == cluster][:most] for cluster in np.flatnonzero(held > hits)]
    return np.sort(rng.permutation(np.concatenate([order[:0], *taken]))[:in_all])
