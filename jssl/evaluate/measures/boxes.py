"""Boxes around objects, their overlaps, and the average precision of detected boxes."""

import jax
import jax.numpy as jnp
import numpy as np


def boxes_of(objects: jax.Array, *, count: int) -> tuple[jax.Array, jax.Array]:
    """Finds the box around each object of masks.

    Args:
        objects: [M, H, W] integers: 0 for none, else the object's number from 1 to count.
        count: The largest number.
    Returns:
        (boxes [M, count, 4]: top, left, bottom, right in shares of the image; there [M, count] bool, whether
        the object has a pixel).
    Examples:
        >>> boxes, there = boxes_of(jnp.array([[[0, 0, 1, 1], [0, 0, 1, 1]]]), count=2)
        >>> boxes[0, 0].tolist(), there[0].tolist()
        ([0.0, 0.5, 1.0, 1.0], [True, False])
    """
    masks = objects[:, None] == jnp.arange(1, count + 1)[:, None, None]
    sides = []
    for axis in (3, 2):  # rows, then columns
        lines = masks.any(axis)
        length = lines.shape[-1]
        first, last = jnp.argmax(lines, -1), length - jnp.argmax(lines[..., ::-1], -1)
        sides.append((first / length, last / length))
    (top, bottom), (left, right) = sides
    return jnp.stack([top, left, bottom, right], -1), masks.any((2, 3))


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes the intersection over union of each box with each other one.

    Args:
        a: [P, 4] top, left, bottom, right.
        b: [K, 4].
    Returns:
        [P, K] in [0, 1].
    Examples:
        >>> box_iou(np.array([[0, 0, 1, 1.0]]), np.array([[0, 0.5, 1, 1.0]])).tolist()
        [[0.5]]
    """
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(x[:, 2:] - x[:, :2], axis=-1) for x in (a, b)]
    return both / np.maximum(areas[0][:, None] + areas[1] - both, 1e-12)


def detection_precision(scores, boxes, true_boxes, there, *, overlap: float = 0.5) -> float:
    """Computes the average precision of boxes: the area under the precision that is reached at each recall.

    From the highest score down, a box is correct if the true box that it overlaps most overlaps enough and no
    earlier box was matched to it. The precision at a recall is the highest at that recall or above (PASCAL
    VOC, from 2010 on).

    Args:
        scores: [M, P] of each image's boxes; -inf for none.
        boxes: [M, P, 4] top, left, bottom, right.
        true_boxes: [M, K, 4].
        there: [M, K] bool, which of them are real.
        overlap: The least intersection over union.
    Returns:
        A number in [0, 1].
    Raises:
        ValueError: where there is no object at all.
    References:
        The PASCAL Visual Object Classes Challenge, IJCV 2010
    Examples:
        >>> box = np.array([[[0, 0, 1, 1.0]]])
        >>> detection_precision(np.ones((1, 1)), box, box, np.ones((1, 1), bool))
        1.0
    """
    scores, boxes, true_boxes, there = (np.asarray(x) for x in (scores, boxes, true_boxes, there))
    if not there.any():
        raise ValueError(
            "there is no object to detect in any image: give masks with objects, numbered from 1"
        )
    right = np.zeros(scores.shape, bool)
    for image, order in enumerate(np.argsort(-scores, axis=1, kind="stable")):
        overlaps = box_iou(boxes[image], true_boxes[image]) * there[image]
        taken = np.zeros(len(there[image]), bool)
        for row in order:
            best = overlaps[row].argmax()
            right[image, row] = overlaps[row, best] >= overlap and not taken[best]
            taken[best] |= right[image, row]
    real = np.isfinite(scores)
    order = np.argsort(-scores[real], kind="stable")
    found = np.cumsum(right[real][order])
    precision = found / np.arange(1, len(found) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(best_from_here[right[real][order]]) / there.sum())
