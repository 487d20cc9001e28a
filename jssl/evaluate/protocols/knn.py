"""Weighted nearest neighbours on frozen features: DINO's protocol, in chunks of static shape on the device."""

import functools

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import similarity, unit


def nearest_neighbours(
    bank: jax.Array, queries: jax.Array, *, k: int, chunk: int = 256
) -> tuple[jax.Array, jax.Array]:
    """The k rows of bank most like each query by cosine, most similar first.

    bank:    [N, D] features to search.
    queries: [M, D] features to search for.
    k:       neighbours per query, at most N.
    chunk:   queries compared at a time; memory is O(chunk * N).

    Returns: (similarities [M, k], rows of bank [M, k] int32).
    Raises:  ValueError for wrong ranks, widths that differ, or k out of range.

    >>> similarities, rows = nearest_neighbours(jnp.eye(3), jnp.array([[0.0, 2.0, 1.0]]), k=2)
    >>> [int(row) for row in rows[0]]
    [1, 2]
    """
    bank, queries = check(bank=(bank, "N D"), queries=(queries, "M D"))
    _check_neighbours(k, bank)
    return _nearest_neighbours(bank, queries, k, min(chunk, len(queries)))


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
    """The votes of the k nearest training images: score_c = sum_{i in top k} [label_i = c] exp(cos_i / temperature).

    train_features: [N, D]; test_features: [M, D]; both normalised here.
    train_labels:   [N] integers in [0, classes).
    classes:        number of classes.
    k, temperature: neighbours that vote, and the width of their weight.
    chunk:          test rows compared at a time; memory is O(chunk * N).

    Returns: [M, classes] scores, not normalised; the prediction is their argmax.
    Raises:  ValueError for wrong ranks or shapes, or k or temperature out of range.
    Source:  arXiv:1805.01978; as DINO's `eval_knn.py`, arXiv:2104.14294.

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
    similarities, rows = _nearest_neighbours(train_features, test_features, k, min(chunk, len(test_features)))
    return _votes(similarities, train_labels[rows], temperature, classes)


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
    """Top-1 accuracy of `knn_classify` over the test rows.

    Arguments as there, and test_labels: [M] integers in [0, classes).

    Returns: a scalar in [0, 1].
    Raises:  ValueError as `knn_classify` does, and where test_labels and test_features differ in length.
    Source:  arXiv:2104.14294.

    >>> float(knn_accuracy(jnp.eye(2), jnp.array([0, 1]), jnp.eye(2), jnp.array([0, 0]), classes=2, k=1))
    0.5
    """
    test_features, test_labels = check(
        test_features=(test_features, "M D"), test_labels=(test_labels, "M", int)
    )
    settings = dict(classes=classes, k=k, temperature=temperature, chunk=chunk)
    scores = knn_classify(train_features, train_labels, test_features, **settings)
    return jnp.mean(jnp.argmax(scores, axis=-1) == test_labels)


def _check_neighbours(k, bank):
    if not 1 <= k <= len(bank):
        raise ValueError(
            f"k is {k}, expected a number of neighbours from 1 to the {len(bank)} rows to choose from"
        )


@functools.partial(jax.jit, static_argnames=("k", "chunk"))
def _nearest_neighbours(bank, queries, k, chunk):
    rows, width = queries.shape
    bank, queries = unit(bank), unit(queries)
    chunks = jnp.pad(queries, ((0, -rows % chunk), (0, 0))).reshape(-1, chunk, width)
    found = jax.lax.map(lambda some: jax.lax.top_k(similarity(some, bank), k), chunks)
    return jax.tree.map(lambda x: x.reshape(-1, k)[:rows], tuple(found))


@functools.partial(jax.jit, static_argnames="classes")
def _votes(similarities, labels, temperature, classes):
    rows = jnp.arange(len(labels))[:, None]
    scores = jnp.zeros((len(labels), classes), similarities.dtype)
    return scores.at[rows, labels].add(jnp.exp(similarities / temperature))
