"""Copy detection as on Copydays: whitened descriptors of images find the original of an altered copy."""

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.vectors import similarity, unit
from jssl.evaluate.measures.descriptors import generalized_mean, whitening
from jssl.evaluate.measures.ranking import JUNK, average_precision, ranked, recall_at_false_alarms
from jssl.evaluate.protocols.base import Protocol
from jssl.evaluate.protocols.retrieval import checked_relevance

NAME = "copies"


def copies_protocol(*, power: float = 4.0, whiten: bool = True, false_alarms: float = 1e-3) -> Protocol:
    """Makes the protocol of copy detection: originals of altered copies are looked for among other images.

    Args:
        power: Of the generalised mean of patch tokens, which stands beside the image's feature.
        whiten: Whether descriptors are whitened by images of the training split.
        false_alarms: The share of pairs of a copy and another image that may lie above the threshold.
    Returns:
        The `Protocol` "copies" with the metrics "map", and "recall": the share of copies found at that
        threshold. `relevance` [Q, G] is `EASY` or `HARD` of `jssl.evaluate.measures.ranking` for an original.
    References:
        DINO, arXiv:2104.14294, section 4.2.2; facebookresearch/dino, eval_copy_detection.py
    """

    def run(
        train_features,
        train_tokens,
        query_features,
        query_tokens,
        gallery_features,
        gallery_tokens,
        relevance,
    ):
        relevance = jnp.asarray(checked_relevance(NAME, query_features, gallery_features, relevance))
        train = descriptors(train_features, train_tokens, power=power)
        queries = descriptors(query_features, query_tokens, power=power)
        gallery = descriptors(gallery_features, gallery_tokens, power=power)
        if whiten:
            mean, matrix = whitening(train)
            queries, gallery = (unit((x - mean) @ matrix) for x in (queries, gallery))
        scores = similarity(unit(queries), unit(gallery))
        precision = np.asarray(average_precision(*ranked(scores, relevance, level="medium")))
        counted = relevance != JUNK
        pairs = scores[counted], (relevance > 0)[counted]
        return {"map": np.nanmean(precision), "recall": recall_at_false_alarms(*pairs, share=false_alarms)}

    parts = ("train", "query", "gallery")
    needs = tuple(f"{part}_{what}" for part in parts for what in ("features", "tokens"))
    chosen = dict(power=power, whiten=whiten, false_alarms=false_alarms)
    return Protocol(NAME, (*needs, "relevance"), run, main="map", settings=chosen)


def descriptors(features: jax.Array, tokens: jax.Array, *, power: float) -> jax.Array:
    """Makes an image's descriptor: its feature beside the generalised mean of its patch tokens, length 1.

    Args:
        features: [B, E].
        tokens: [B, N, D].
        power: Of the mean.
    Returns:
        [B, E + D].
    """
    return unit(jnp.concatenate([jnp.asarray(features), generalized_mean(tokens, power=power)], axis=-1))
