"""Segments that the class token attends to, compared with objects: DINO's Jaccard index."""

import jax.numpy as jnp
import numpy as np

from jssl.evaluate.analysis.attention import most_attended
from jssl.evaluate.measures.regions import jaccard
from jssl.evaluate.protocols.base import Protocol
from jssl.evaluate.protocols.patches import patch_grid

NAME = "attention_segments"


def attention_segments_protocol(*, share: float = 0.6) -> Protocol:
    """Makes the protocol of attention segments: the overlap of each head's segment with the objects.

    A head's segment is the smallest set of patches that holds `share` of its attention, as whole patches.

    Args:
        share: Of the attention that is kept, in (0, 1].
    Returns:
        The `Protocol` "attention_segments" with the metrics "jaccard", of the best head of each image, chosen
        by its labels, as published; "jaccard_head", of the one head that is best on average; and
        "jaccard_mean", over all heads. Images without an object are left out; classes above 0 are objects,
        and pixels with negative labels are not counted.
    References:
        arXiv:2104.14294, section 4.2.2 and figure 4; facebookresearch/dino, visualize_attention.py
    """

    def run(test_attention, test_segmentation):
        attention, labels = np.asarray(test_attention), np.asarray(test_segmentation)
        if attention.ndim != 3 or labels.ndim != 3 or len(attention) != len(labels):
            raise ValueError(
                f"{NAME}: attention has shape {attention.shape} and segmentation {labels.shape}, expected "
                "[M, heads, N] and [M, H, W]"
            )
        with_object = (labels > 0).any((1, 2))
        if not with_object.any():
            raise ValueError(f"{NAME}: no mask has an object: expected classes above 0, 0 for the background")
        found = segment_overlaps(attention[with_object], labels[with_object], share=share)
        best = {"jaccard": found.max(1).mean(), "jaccard_head": found.mean(0).max()}
        return best | {"jaccard_mean": found.mean()}

    needs = "test_attention", "test_segmentation"
    return Protocol(NAME, needs, run, main="jaccard", settings={"share": share})


def segment_overlaps(attention: np.ndarray, labels: np.ndarray, *, share: float = 0.6) -> np.ndarray:
    """Computes the intersection over union of each head's segment with the objects.

    Args:
        attention: [M, heads, N] of the class token.
        labels: [M, H, W] integers: above 0 an object; negative pixels are not counted.
        share: As `most_attended`.
    Returns:
        [M, heads].
    Raises:
        ValueError: for labels whose shape is not that of the patches.
    Examples:
        >>> attention, labels = np.array([[[0.9, 0.1, 0, 0]]]), np.array([[[1, 1], [0, 0]]])
        >>> segment_overlaps(attention, labels).tolist()
        [[0.5]]
    """
    height, width = labels.shape[1:]
    rows, columns = patch_grid(attention.shape[-1], (height, width))
    segments = most_attended(attention, share=share).reshape(*attention.shape[:2], rows, columns)
    segments = segments.repeat(height // rows, -2).repeat(width // columns, -1) & (labels >= 0)[:, None]
    return np.asarray(jaccard(jnp.asarray(segments), jnp.asarray(labels > 0)[:, None]))
