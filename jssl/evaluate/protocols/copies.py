"""Copy detection as on Copydays: whitened descriptors of images find the original of an altered copy."""

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.vectors import similarity, unit
from jssl.data.source import JUNK
from jssl.evaluate.measures.descriptors import generalized_mean, whitening
from jssl.evaluate.measures.ranking import average_precision, ranked, recall_at_false_alarms
from jssl.evaluate.protocols.base import Protocol
from jssl.evaluate.protocols.retrieval import checked_relevance

NAME = "copies"


def copies_protocol(*, power: float = 4.0, whiten: bool = True, false_alarms: float = 1e-3) -> Protocol:
    """Makes the protocol of copy detection: originals of altered copies are looked for among other images.

    Descriptors are scaled to length 1 and then whitened by their covariance; the authors do not scale them
    and whiten by second moments about 0. All answers count; the authors count the first 20.

    Args:
        power: Of the generalised mean of patch tokens, which is joined to the image's feature.
        whiten: Whether descriptors are whitened, as learned from other images.
        false_alarms: The share of pairs of a copy and another image that may lie above the threshold.
    Returns:
        The `Protocol` "copies" with the metrics "map", and "recall": the share of copies found at that
        threshold. `copied` [Q, G] is `EASY` or `HARD` of `jssl.data.source` for an original.
    References:
        DINO, arXiv:2104.14294, section 4.2.2; facebookresearch/dino, eval_copy_detection.py
    """

    def run(
        whitening_features,
        whitening_tokens,
        copy_features,
        copy_tokens,
        original_features,
        original_tokens,
        copied,
    ):
        *_, relevance = checked_relevance(NAME, copy_features, original_features, copied)
        copied = jnp.asarray(relevance)
        others = descriptors(whitening_features, whitening_tokens, power=power)
        queries = descriptors(copy_features, copy_tokens, power=power)
        gallery = descriptors(original_features, original_tokens, power=power)
        if whiten:
            mean, matrix = whitening(others)
            queries, gallery = (unit((x - mean) @ matrix) for x in (queries, gallery))
        scores = similarity(unit(queries), unit(gallery))
        precision = np.asarray(average_precision(*ranked(scores, copied, level="medium")))
        counted = copied != JUNK
        pairs = scores[counted], (copied > 0)[counted]
        return {"map": np.nanmean(precision), "recall": recall_at_false_alarms(*pairs, share=false_alarms)}

    parts = ("whitening", "copy", "original")
    needs = tuple(f"{part}_{what}" for part in parts for what in ("features", "tokens"))
    chosen = dict(power=power, whiten=whiten, false_alarms=false_alarms)
    return Protocol(NAME, (*needs, "copied"), run, main="map", settings=chosen)


def descriptors(features: jax.Array, tokens: jax.Array, *, power: float) -> jax.Array:
    """Joins an image's feature and the generalised mean of its patch tokens to a descriptor of length 1.

    Args:
        features: [B, E].
        tokens: [B, N, D].
        power: Of the mean.
    Returns:
        [B, E + D].
    """
    return unit(jnp.concatenate([jnp.asarray(features), generalized_mean(tokens, power=power)], axis=-1))
