"""Retrieval of landmarks, by mean average precision at three levels, and of captions and images, by rank."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.checks import check
from jssl.arrays.vectors import similarity, unit
from jssl.data.source import EASY, HARD
from jssl.evaluate.measures.ranking import LEVELS, average_precision, pair_ranks, precision_at, ranked
from jssl.evaluate.protocols.base import Protocol

NAME, CROSS = "retrieval", "cross_retrieval"
BLOCK = 64  # queries compared at a time


def retrieval_protocol(*, ks: Sequence[int] = (1, 5, 10)) -> Protocol:
    """Makes the protocol of retrieval as on Oxford and Paris: cosines rank the gallery for each query.

    Args:
        ks: How many of the first ranks precision is measured at.
    Returns:
        The `Protocol` "retrieval" with, for each of easy, medium and hard that any query has answers at, the
        metrics "map_LEVEL" and "precision1_LEVEL" and so on. `relevance` [Q, G] grades an image as an answer
        to a query by `EASY`, `HARD`, `JUNK` of `jssl.data.source` or 0; queries without answers are left out.
    References:
        arXiv:1803.11285; filipradenovic/revisitop
    """

    def run(query_features, gallery_features, relevance):
        queries, gallery, relevance = checked_relevance(NAME, query_features, gallery_features, relevance)
        found: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(relevance), BLOCK):
            some = slice(start, start + BLOCK)
            scores = similarity(unit(queries[some]), unit(gallery))
            for level in LEVELS:
                order = ranked(scores, jnp.asarray(relevance[some]), level=level)
                found.setdefault(f"map_{level}", []).append(np.asarray(average_precision(*order)))
                for k in ks:
                    at_k = np.asarray(precision_at(*order, k=k))
                    found.setdefault(f"precision{k}_{level}", []).append(at_k)
        everything = {name: np.concatenate(values) for name, values in found.items()}
        return {name: np.nanmean(v) for name, v in everything.items() if not np.isnan(v).all()}

    needs = "query_features", "gallery_features", "relevance"
    return Protocol(NAME, needs, run, main="map_medium", settings={"ks": tuple(ks)})


def cross_retrieval_protocol(*, ks: Sequence[int] = (1, 5, 10)) -> Protocol:
    """Makes the protocol of retrieval between images and their captions, in both directions.

    Args:
        ks: The ranks at which recall is measured; those above the number of images are left out.
    Returns:
        The `Protocol` "cross_retrieval" with the metrics "WHAT_recall1" ... and "WHAT_median_rank", from 1,
        where WHAT is retrieved: "caption" or "image". Equal cosines share the middle rank, so that a
        collapsed network does not win.
    References:
        CLIP, arXiv:2103.00020, section 3.1.3
    """

    def run(test_embeddings, caption_embeddings):
        images, captions = check(
            test_embeddings=(test_embeddings, "M D"), caption_embeddings=(caption_embeddings, "M D")
        )
        cosines = similarity(unit(images), unit(captions))
        found = {}
        for what, scores in (("caption", cosines), ("image", cosines.T)):
            ranks = np.asarray(pair_ranks(scores))
            found |= {f"{what}_recall{k}": np.mean(ranks <= k) for k in ks if k <= len(ranks)}
            found[f"{what}_median_rank"] = np.median(ranks)
        return found

    needs = "test_embeddings", "caption_embeddings"
    return Protocol(CROSS, needs, run, main="image_recall1", settings={"ks": ks})


def checked_relevance(
    name: str, queries: jax.Array, gallery: jax.Array, relevance
) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """Checks that relevance has an entry for each query and each image of the gallery.

    Args:
        name: Of the protocol.
        queries: [Q, D] features.
        gallery: [G, D] features.
        relevance: [Q, G] integers.
    Returns:
        (queries, gallery, in float32 at least; relevance as an array).
    Raises:
        ValueError: for other shapes, or where no query has an answer.
    """
    queries, gallery = check(query_features=(queries, "Q D"), gallery_features=(gallery, "G D"))
    relevance = np.asarray(relevance)
    if relevance.shape != (len(queries), len(gallery)):
        expected = f"[{len(queries)}, {len(gallery)}], queries and gallery"
        raise ValueError(f"{name}: relevance has shape {relevance.shape}, expected {expected}")
    if not np.isin(relevance, (EASY, HARD)).any():
        raise ValueError(
            f"{name}: no query has an answer in the gallery: relevance has no {EASY} and no {HARD}"
        )
    return queries, gallery, relevance
