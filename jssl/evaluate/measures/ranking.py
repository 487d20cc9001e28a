"""Measures of rankings: average precision, precision and recall at the top, and the rank of a pair."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.data.source import EASY, HARD, JUNK

LEVELS = {"easy": ((EASY,), (HARD, JUNK)), "medium": ((EASY, HARD), (JUNK,)), "hard": ((HARD,), (EASY, JUNK))}
"""By level: which answers are wanted, and which are taken out of the ranking."""


def ranked(scores: jax.Array, relevance: jax.Array, *, level: str) -> tuple[jax.Array, jax.Array]:
    """Sorts the relevance of the gallery's images by the scores of each query.

    Args:
        scores: [Q, G], larger is nearer; of equal ones the first comes first.
        relevance: [Q, G] integers, `EASY`, `HARD`, `JUNK` of `jssl.data.source` or 0.
        level: "easy", "medium" or "hard" of `LEVELS`.
    Returns:
        (wanted [Q, G] bool, ignored [Q, G] bool), best first.
    References:
        Revisited Oxford and Paris, arXiv:1803.11285
    """
    order = jnp.argsort(-scores, axis=-1, stable=True)
    relevance = jnp.take_along_axis(relevance, order, axis=-1)
    wanted, ignored = (jnp.isin(relevance, jnp.array(kinds)) for kinds in LEVELS[level])
    return wanted, ignored


def average_precision(wanted: jax.Array, ignored: jax.Array | None = None) -> jax.Array:
    """Computes the area under the precision of rankings by trapezoids, as for Oxford, Paris and Copydays.

    AP = mean over what is wanted of (p_before + p_at) / 2,  p_before = found / passed before it (1 at the
    top), p_at = the same with it

    Args:
        wanted: [..., G] bool, best first.
        ignored: [..., G] bool; they are taken out of the ranking before anything is counted.
    Returns:
        [...] in [0, 1]; nan where nothing is wanted.
    Raises:
        TypeError: for what is not bool.
        ValueError: for shapes that differ.
    References:
        filipradenovic/revisitop, python/evaluate.py
    Examples:
        >>> round(float(average_precision(jnp.array([True, False, True]))), 4)
        0.7917
    """
    hits, rank = _hits(wanted, ignored)
    found = jnp.cumsum(hits, axis=-1)
    before = jnp.where(rank == 0, 1.0, (found - 1) / jnp.maximum(rank, 1))
    at = found / (rank + 1)
    return jnp.sum(jnp.where(hits, (before + at) / 2, 0), axis=-1) / jnp.sum(hits, axis=-1)


def precision_at(wanted: jax.Array, ignored: jax.Array | None = None, *, k: int) -> jax.Array:
    """Measures the share of the first k items that is wanted; k is at most the rank of the last wanted one.

    Args:
        wanted: [..., G] bool, best first.
        ignored: [..., G] bool, taken out of the ranking first.
        k: How many items.
    Returns:
        [...] in [0, 1]; nan where nothing is wanted.
    References:
        filipradenovic/revisitop, python/evaluate.py
    Examples:
        >>> float(precision_at(jnp.array([True, False, True, False]), k=2))
        0.5
    """
    hits, rank = _hits(wanted, ignored)
    last = jnp.max(jnp.where(hits, rank + 1, 0), axis=-1)
    length = jnp.minimum(last, k)
    return jnp.sum(hits & (rank < length[..., None]), axis=-1) / length


def _hits(wanted, ignored):
    """(wanted and not ignored, the rank of each item among those not ignored, from 0)."""
    ignored = jnp.zeros_like(wanted) if ignored is None else ignored
    wanted, ignored = check(wanted=(wanted, "... G", bool), ignored=(ignored, "... G", bool))
    kept = ~ignored
    return wanted & kept, jnp.cumsum(kept, axis=-1) - kept


def pair_ranks(scores: jax.Array) -> jax.Array:
    """Finds the rank of each row's own column. Equal scores share their middle rank, and nan ranks last.

    Args:
        scores: [M, M], row i against column j; column i is what row i is looking for.
    Returns:
        [M] floats from 1.
    Raises:
        ValueError: where there are not as many columns as rows.
    Examples:
        >>> pair_ranks(jnp.array([[0.9, 0.1], [0.8, 0.3]])).tolist(), pair_ranks(jnp.ones((3, 3))).tolist()
        ([1.0, 2.0], [2.0, 2.0, 2.0])
    """
    (scores,) = check(scores=(scores, "M M"))
    scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)  # comparisons would put it first
    own = jnp.diagonal(scores)[:, None]
    return 1 + jnp.sum(scores > own, axis=1) + (jnp.sum(scores == own, axis=1) - 1) / 2


def recall_at_false_alarms(scores: jax.Array, wanted: jax.Array, *, share: float) -> jax.Array:
    """Measures the share of the wanted pairs above the threshold that only a few of the others exceed.

    Args:
        scores: [...].
        wanted: [...] bool; others are false alarms where their score is above the threshold.
        share: At most this share of the others, in [0, 1), is above it.
    Returns:
        A scalar in [0, 1].
    Raises:
        ValueError: for shapes that differ, or a share outside of [0, 1).
    Examples:
        >>> scores = jnp.array([0.9, 0.5, 0.7, 0.1])
        >>> float(recall_at_false_alarms(scores, jnp.array([True, True, False, False]), share=0.0))
        0.5
    """
    if not 0 <= share < 1:
        raise ValueError(f"share is {share}, expected a share of false alarms from 0, below 1")
    scores, wanted = check(scores=(scores.ravel(), "N"), wanted=(wanted.ravel(), "N", bool))
    others = jnp.sort(jnp.where(wanted, -jnp.inf, scores), descending=True)
    allowed = jnp.floor(share * jnp.sum(~wanted)).astype(int)
    return jnp.sum(wanted & (scores > others[allowed])) / jnp.sum(wanted)
