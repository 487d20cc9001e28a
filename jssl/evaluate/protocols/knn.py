"""Weighted nearest neighbours on frozen features: DINO's protocol, exact, in bounded memory."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import similarity, unit
from jssl.evaluate.protocols.base import LABELLED, Protocol, check_labels
from jssl.sharding import make_mesh, over_batch, replicated, rows_over

BLOCK = 65_536  # rows of the bank that queries are compared with at a time
STREAMED = 4 * BLOCK  # rows of a bank on the host that are brought to the devices at a time
GROUP = 64  # neighbouring entries whose maximum says whether the largest ones are among them


def knn_protocol(*, k: int | Sequence[int] = 20, temperature: float = 0.07) -> Protocol:
    """Makes the kNN protocol: top-1 accuracy of `knn_classify`, of one k or of several in one pass.

    Args:
        k: Neighbours that vote, at most the training rows; of several, the first is the main one. DINO
            reports the best of 10, 20, 100 and 200, most often 20.
        temperature: Of their weights, exp(cosine / temperature).
    Returns:
        The `Protocol` "knn" with the metric "top1", and "k10_top1" and so on where there are several k.
    Raises:
        ValueError: for a k or a temperature that is not above 0.
    References:
        arXiv:2104.14294, eval_knn.py
    """
    several = (k,) if isinstance(k, int) else tuple(k)
    check_positive(temperature=temperature, k=min(several, default=0))

    def run(train_features, train_labels, test_features, test_labels, classes):
        most = min(max(several), len(train_features))
        similarities, rows = nearest_neighbours(train_features, test_features, k=most)
        labels = np.asarray(train_labels)[np.asarray(rows)]  # small: nothing to compile

        def top1(k):
            found = predicted(similarities[:, :k], labels[:, :k], temperature, classes)
            return np.mean(np.asarray(found) == np.asarray(test_labels))

        found = {k: top1(min(k, most)) for k in several}
        listed = {f"k{k}_top1": value for k, value in found.items()} if len(several) > 1 else {}
        return {"top1": found[several[0]]} | listed

    settings = {"k": k if isinstance(k, int) else several, "temperature": temperature}
    return Protocol("knn", LABELLED, run, settings=settings)


def nearest_neighbours(
    bank: jax.Array | np.ndarray, queries: jax.Array | np.ndarray, *, k: int, chunk: int = 256
) -> tuple[jax.Array, jax.Array]:
    """Finds the k rows of a bank most like each query by cosine, most similar first.

    Queries on the host are spread over all devices, and a bank on the host comes to them in parts.

    Args:
        bank: [N, D] features to search.
        queries: [M, D] features to search for.
        k: Neighbours per query, at most N.
        chunk: Queries compared at a time; with `BLOCK` rows of the bank at a time, whatever N and M.
    Returns:
        (similarities [M, k], rows of bank [M, k] int32); of equal similarities the first row comes first.
    Raises:
        ValueError: for wrong ranks, widths that differ, or k out of range.
    Examples:
        >>> similarities, rows = nearest_neighbours(jnp.eye(3), jnp.array([[0.0, 2.0, 1.0]]), k=2)
        >>> [int(row) for row in rows[0]]
        [1, 2]
    """
    if isinstance(bank, np.ndarray) and isinstance(queries, np.ndarray):
        return _from_host(bank, queries, k, chunk)
    bank, queries = check(bank=(bank, "N D"), queries=(queries, "M D"))
    _check_neighbours(k, bank)
    return _nearest_neighbours(bank, queries, k, min(chunk, len(queries)), BLOCK)


def knn_classify(
    train_features: jax.Array,
    train_labels: jax.Array,
    test_features: jax.Array,
    *,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 256,
) -> jax.Array:
    """Counts the votes of the k nearest training images: sum_{i in top k} [label_i = c] exp(cos_i /
    temperature).

    Args:
        train_features: [N, D], normalised here.
        train_labels: [N] integers in [0, classes).
        test_features: [M, D], normalised here.
        classes: Number of classes.
        k: Neighbours that vote.
        temperature: Of their weights, exp(cosine / temperature).
        chunk: As in `nearest_neighbours`.
    Returns:
        [M, classes] scores, not normalised; the prediction is their argmax. Temperatures below 0.012 overflow
        float32; `knn_accuracy` takes them too.
    Raises:
        ValueError: for wrong ranks or shapes, or labels, k or temperature out of range.
    References:
        arXiv:1805.01978; as DINO's `eval_knn.py`, arXiv:2104.14294
    Examples:
        >>> scores = knn_classify(jnp.eye(2), jnp.array([0, 1]), jnp.array([[3.0, 1.0]]), classes=2, k=2)
        >>> int(scores.argmax(-1)[0])
        0
    """
    similarities, labels = _voters(
        train_features, train_labels, test_features, classes, k, temperature, chunk
    )
    return votes(similarities, labels, temperature, classes)


def knn_accuracy(
    train_features: jax.Array,
    train_labels: jax.Array,
    test_features: jax.Array,
    test_labels: jax.Array,
    *,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 256,
) -> jax.Array:
    """Computes the top-1 accuracy of `knn_classify` over the test rows.

    Args:
        train_features: [N, D].
        train_labels: [N] integers in [0, classes).
        test_features: [M, D].
        test_labels: [M] integers in [0, classes).
        classes: Number of classes.
        k: Neighbours that vote.
        temperature: Of their weights, exp(cosine / temperature).
        chunk: As in `nearest_neighbours`.
    Returns:
        A scalar in [0, 1].
    Raises:
        ValueError: as `knn_classify` does, and where test_labels and test_features differ in length.
    References:
        arXiv:2104.14294
    Examples:
        >>> float(knn_accuracy(jnp.eye(2), jnp.array([0, 1]), jnp.eye(2), jnp.array([0, 0]), classes=2, k=1))
        0.5
    """
    test_features, test_labels = check(
        test_features=(test_features, "M D"), test_labels=(test_labels, "M", int)
    )
    check_labels(classes, test_labels=test_labels)
    similarities, labels = _voters(
        train_features, train_labels, test_features, classes, k, temperature, chunk
    )
    return jnp.mean(predicted(similarities, labels, temperature, classes) == test_labels)


def _voters(train_features, train_labels, test_features, classes, k, temperature, chunk):
    """(similarities, labels) [M, k] of the nearest training images."""
    train_features, train_labels, test_features = check(
        train_features=(train_features, "N D"),
        train_labels=(train_labels, "N", int),
        test_features=(test_features, "M D"),
    )
    check_positive(temperature=temperature)
    check_labels(classes, train_labels=train_labels)
    _check_neighbours(k, train_features)
    chunk = min(chunk, len(test_features))
    similarities, rows = _nearest_neighbours(train_features, test_features, k, chunk, BLOCK)
    return similarities, train_labels[rows]


def _check_neighbours(k, bank):
    if not 1 <= k <= len(bank):
        raise ValueError(
            f"k is {k}, expected a number of neighbours from 1 to the {len(bank)} rows to choose from"
        )


def _from_host(bank, queries, k, chunk):
    """Merges the best of every part of the bank; each device searches for its own share of the queries."""
    check(bank=(bank[:1], "N D"), queries=(queries[:1], "M D"))
    _check_neighbours(k, bank)
    mesh = make_mesh()
    placed = rows_over(mesh, queries)
    chunk, best = min(chunk, len(placed) // mesh.size), None
    for start in range(0, len(bank), STREAMED):
        part = jax.device_put(bank[start : start + STREAMED], replicated(mesh))
        similarities, rows = _on_each(mesh)(part, placed, min(k, len(part)), chunk, BLOCK)
        found = similarities, rows + start
        best = found if best is None else _better(*best, *found, k)
    assert best is not None
    return best[0][: len(queries)], best[1][: len(queries)]


@functools.cache
def _on_each(mesh: Mesh):
    """`_nearest_neighbours`, each device for its own queries."""
    spread, whole = over_batch(mesh).spec, replicated(mesh).spec

    @functools.partial(jax.jit, static_argnums=(2, 3, 4))
    def search(bank, queries, k, chunk, block):
        def mine(bank, queries):
            bank, queries = check(bank=(bank, "N D"), queries=(queries, "M D"))
            return _nearest_neighbours(bank, queries, k, chunk, block)

        specs = dict(in_specs=(whole, spread), out_specs=(spread, spread), check_vma=False)
        return jax.shard_map(mine, mesh=mesh, **specs)(bank, queries)

    return search


@functools.partial(jax.jit, static_argnums=4)
def _better(similarities, rows, others, their_rows, k):
    """The k best of two lists, those of the first before equal ones of the second."""
    both = jnp.concatenate([similarities, others], axis=1)
    found, where = jax.lax.top_k(both, min(k, both.shape[1]))
    return found, jnp.take_along_axis(jnp.concatenate([rows, their_rows], axis=1), where, axis=1)


@functools.partial(jax.jit, static_argnames=("k", "chunk", "block"))
def _nearest_neighbours(bank, queries, k, chunk, block):
    """Block after block of the bank, each brought to length 1 once; chunk after chunk of the queries."""
    rows, count = len(queries), len(bank)
    block = min(max(block, k), count)
    if block >= 2 * k * GROUP:  # whole groups, in as many blocks
        block = -(-count // (-(-count // block) * GROUP)) * GROUP
        bank = jnp.pad(bank, ((0, max(0, block - count)), (0, 0)))
    chunks = unit(jnp.pad(queries, ((0, -rows % chunk), (0, 0)))).reshape(-1, chunk, queries.shape[1])

    def merge(best, start):
        first = jnp.minimum(start, len(bank) - block)  # the last block is whole, and overlaps another
        numbers = first + jnp.arange(block, dtype=jnp.int32)
        new = (numbers >= start) & (numbers < count)
        part = unit(jax.lax.dynamic_slice_in_dim(bank, first, block))

        def nearest(one):
            some, best = one
            found, where = top_k(jnp.where(new, similarity(some, part), -jnp.inf), k)
            return _better(*best, found, first + where, k)

        return jax.lax.map(nearest, (chunks, best)), None

    shape = len(chunks), chunk, k
    none = jnp.full(shape, -jnp.inf, chunks.dtype), jnp.zeros(shape, jnp.int32)
    best = jax.lax.scan(merge, none, jnp.arange(0, count, block, dtype=jnp.int32))[0]
    return jax.tree.map(lambda x: x.reshape(-1, k)[:rows], best)


def top_k(values: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Finds the k largest entries of each row, exactly, as `jax.lax.top_k` and several times as fast.

    The k groups of neighbouring entries with the largest maxima hold them all, so that only these groups are
    searched.

    Args:
        values: [M, N].
        k: At most N.
    Returns:
        (values [M, k], columns [M, k] int32), largest first; of equal ones the first column comes first.
    Examples:
        >>> [x.tolist() for x in top_k(jnp.array([[1.0, 3.0, 2.0, 3.0]]), 2)]
        [[[3.0, 3.0]], [[1, 3]]]
    """
    rows, columns = values.shape
    if columns % GROUP or columns < 2 * k * GROUP:
        return jax.lax.top_k(values, k)
    groups = values.reshape(rows, -1, GROUP)
    _, chosen = jax.lax.top_k(groups.max(-1), k)
    chosen = jnp.sort(chosen, axis=1)  # so that of equal entries the first stays the first
    found, where = jax.lax.top_k(
        jnp.take_along_axis(groups, chosen[:, :, None], axis=1).reshape(rows, k * GROUP), k
    )
    group = jnp.take_along_axis(chosen, where // GROUP, axis=1)
    return found, group * GROUP + where % GROUP


@functools.partial(jax.jit, static_argnames="classes")
def votes(similarities: jax.Array, labels: jax.Array, temperature: float, classes: int) -> jax.Array:
    """Adds up the votes of neighbours, each with the weight exp(similarity / temperature).

    Args:
        similarities: [M, k].
        labels: [M, k] integers in [0, classes).
        temperature: Of the weights.
        classes: Number of classes.
    Returns:
        [M, classes].
    """
    rows = jnp.arange(len(labels))[:, None]
    scores = jnp.zeros((len(labels), classes), similarities.dtype)
    return scores.at[rows, labels].add(jnp.exp(similarities / temperature))


@functools.partial(jax.jit, static_argnames="classes")
def predicted(similarities: jax.Array, labels: jax.Array, temperature: float, classes: int) -> jax.Array:
    """Finds the class with the most votes; weights are relative to the nearest one's, so that none overflows.

    Args:
        similarities: [M, k], largest first.
        labels: [M, k] integers in [0, classes).
        temperature: Of the weights.
        classes: Number of classes.
    Returns:
        [M] integers.
    """
    return jnp.argmax(votes(similarities - similarities[:, :1], labels, temperature, classes), axis=-1)
