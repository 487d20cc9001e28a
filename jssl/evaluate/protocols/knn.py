"""Weighted nearest neighbours on frozen features: DINO's protocol, exact, in bounded memory."""

import functools

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import similarity, unit
from jssl.evaluate.protocols.base import Protocol

BLOCK = 65_536  # rows of the bank that queries are compared with at a time


def knn_protocol(*, k: int = 20, temperature: float = 0.07) -> Protocol:
    """Makes the kNN protocol: top-1 accuracy of `knn_classify`.

    Args:
        k: Neighbours that vote, at most the training rows.
        temperature: The width of their weight.
    Returns:
        The `Protocol` "knn" with the metric "top1".
    References:
        arXiv:2104.14294
    """

    def run(train_features, train_labels, test_features, test_labels, classes):
        settings = dict(classes=classes, k=min(k, len(train_features)), temperature=temperature)
        return {"top1": knn_accuracy(train_features, train_labels, test_features, test_labels, **settings)}

    needs = ("train_features", "train_labels", "test_features", "test_labels", "classes")
    return Protocol("knn", needs, run)


def nearest_neighbours(
    bank: jax.Array, queries: jax.Array, *, k: int, chunk: int = 256
) -> tuple[jax.Array, jax.Array]:
    """Finds the k rows of a bank most like each query by cosine, most similar first.

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
        temperature: The width of their weight.
        chunk: As in `nearest_neighbours`.
    Returns:
        [M, classes] scores, not normalised; the prediction is their argmax.
    Raises:
        ValueError: for wrong ranks or shapes, or k or temperature out of range.
    References:
        arXiv:1805.01978; as DINO's `eval_knn.py`, arXiv:2104.14294
    Examples:
        >>> scores = knn_classify(jnp.eye(2), jnp.array([0, 1]), jnp.array([[3.0, 1.0]]), classes=2, k=2)
        >>> int(scores.argmax(-1)[0])
        0
    """
    train_features, train_labels, test_features = check(
        train_features=(train_features, "N D"),
        train_labels=(train_labels, "N", int),
        test_features=(test_features, "M D"),
    )
    check_positive(temperature=temperature)
    _check_neighbours(k, train_features)
    chunk = min(chunk, len(test_features))
    similarities, rows = _nearest_neighbours(train_features, test_features, k, chunk, BLOCK)
    return _votes(similarities, train_labels, rows, temperature, classes)


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
        temperature: The width of their weight.
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
    scores = knn_classify(
        train_features,
        train_labels,
        test_features,
        classes=classes,
        k=k,
        temperature=temperature,
        chunk=chunk,
    )
    return _share_right(scores, test_labels)


def _check_neighbours(k, bank):
    if not 1 <= k <= len(bank):
        raise ValueError(
            f"k is {k}, expected a number of neighbours from 1 to the {len(bank)} rows to choose from"
        )


@functools.partial(jax.jit, static_argnames=("k", "chunk", "block"))
def _nearest_neighbours(bank, queries, k, chunk, block):
    rows, width = queries.shape
    block = min(max(block, k), len(bank))
    chunks = jnp.pad(queries, ((0, -rows % chunk), (0, 0))).reshape(-1, chunk, width)
    starts = jnp.arange(0, len(bank), block, dtype=jnp.int32)

    def nearest(some):
        some = unit(some)

        def merge(best, start):
            first = jnp.minimum(
                start, len(bank) - block
            )  # the last block is whole, and overlaps the one before
            numbers = first + jnp.arange(block, dtype=jnp.int32)
            cosines = similarity(some, unit(jax.lax.dynamic_slice_in_dim(bank, first, block)))
            found, where = jax.lax.top_k(jnp.where(numbers >= start, cosines, -jnp.inf), k)
            both = [jnp.concatenate(pair, axis=1) for pair in zip(best, (found, first + where), strict=True)]
            found, where = jax.lax.top_k(both[0], k)
            return (found, jnp.take_along_axis(both[1], where, axis=1)), None

        none = jnp.full((chunk, k), -jnp.inf, bank.dtype), jnp.zeros((chunk, k), jnp.int32)
        return jax.lax.scan(merge, none, starts)[0]

    return jax.tree.map(lambda x: x.reshape(-1, k)[:rows], jax.lax.map(nearest, chunks))


@functools.partial(jax.jit, static_argnames="classes")
def _votes(similarities, train_labels, rows, temperature, classes):
    labels, queries = train_labels[rows], jnp.arange(len(rows))[:, None]
    scores = jnp.zeros((len(rows), classes), similarities.dtype)
    return scores.at[queries, labels].add(jnp.exp(similarities / temperature))


@jax.jit
def _share_right(scores, labels):
    return jnp.mean(jnp.argmax(scores, axis=-1) == labels)
