"""How well regions agree: intersection over union of classes and of masks, and their boundaries."""

import jax
import jax.numpy as jnp
import numpy as np

TOLERANCE = 0.008  # of the diagonal: the largest distance at which two boundaries match


def confusion(predicted: jax.Array, labels: jax.Array, *, classes: int) -> jax.Array:
    """Counts pixels by their class and by the class that was predicted.

    Args:
        predicted: [...] integers in [0, classes).
        labels: [...] integers in [0, classes), of any width; pixels of negative labels are not counted.
        classes: Number of classes.
    Returns:
        [classes, classes] int32, a row for each true class.
    Examples:
        >>> confusion(jnp.array([0, 1, 1, 0]), jnp.array([0, 0, 1, -1]), classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    predicted, labels = (jnp.asarray(x, jnp.int32) for x in (predicted, labels))  # bytes would overflow
    cell = jnp.where(labels >= 0, labels * classes + predicted, classes**2)
    counts = jnp.bincount(cell.ravel(), length=classes**2 + 1)
    return counts[:-1].reshape(classes, classes)


def class_ious(counts) -> np.ndarray:
    """Computes each class's intersection over union of a confusion matrix.

    Args:
        counts: [classes, classes], a row for each true class.
    Returns:
        [classes] floats; nan for a class that is neither in the labels nor predicted.
    Examples:
        >>> class_ious([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
        array([0.5, 0.5, nan])
    """
    counts = np.asarray(counts, np.float64)
    both = np.diagonal(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


def jaccard(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes the intersection over union of masks, DAVIS's region similarity J.

    Args:
        a: [..., H, W] bool.
        b: [..., H, W] bool.
    Returns:
        [...] in [0, 1]; 1 where both are empty.
    References:
        DAVIS, arXiv:1704.00675
    Examples:
        >>> float(jaccard(jnp.array([[True, True]]), jnp.array([[True, False]])))
        0.5
    """
    both, either = jnp.sum(a & b, axis=(-2, -1)), jnp.sum(a | b, axis=(-2, -1))
    return jnp.where(either > 0, both / jnp.maximum(either, 1), 1.0)


def boundary(mask: jax.Array) -> jax.Array:
    """Finds the pixels of masks that differ from the next one to the right, below, or both.

    Args:
        mask: [..., H, W] bool.
    Returns:
        [..., H, W] bool, lines one pixel wide.
    Examples:
        >>> boundary(jnp.array([[True, False, False]])).tolist()
        [[True, False, False]]
    """
    edge = [(0, 0)] * (mask.ndim - 2) + [(0, 1), (0, 1)]
    wider = jnp.pad(mask, edge, mode="edge")
    right, below, across = wider[..., :-1, 1:], wider[..., 1:, :-1], wider[..., 1:, 1:]
    return (mask ^ right) | (mask ^ below) | (mask ^ across)


def boundary_f(predicted: jax.Array, truth: jax.Array, *, tolerance: float = TOLERANCE) -> jax.Array:
    """Compares the boundaries of masks: DAVIS's contour accuracy F.

    F = 2 P R / (P + R), where P is the share of the predicted boundary's pixels that lie near the true one,
    and R the share of the true boundary's that lie near the predicted one.

    Args:
        predicted: [..., H, W] bool.
        truth: [..., H, W] bool.
        tolerance: The largest distance that is near, in diagonals of the image, rounded up to whole pixels.
    Returns:
        [...] in [0, 1]; 1 where neither has a boundary, 0 where only one has.
    References:
        DAVIS, arXiv:1704.00675; davisvideochallenge/davis2017-evaluation, `f_measure`
    Examples:
        >>> mask = jnp.zeros((8, 8), bool).at[2:5, 2:5].set(True)
        >>> float(boundary_f(mask, mask)), float(boundary_f(mask, jnp.zeros_like(mask)))
        (1.0, 0.0)
    """
    *leading, height, width = truth.shape
    radius = int(np.ceil(tolerance * np.hypot(height, width)))
    lines = [boundary(mask).reshape(-1, height, width) for mask in (predicted, truth)]
    near = [_dilated(line, radius) for line in lines]

    def share(line, other):
        length = jnp.sum(line, axis=(-2, -1))
        return jnp.where(length > 0, jnp.sum(line & other, axis=(-2, -1)) / jnp.maximum(length, 1), 1.0)

    precision, recall = share(lines[0], near[1]), share(lines[1], near[0])
    found = 2 * precision * recall / jnp.maximum(precision + recall, 1e-12)
    return found.reshape(leading)


def _dilated(masks: jax.Array, radius: int) -> jax.Array:
    """Masks [M, H, W] with all pixels up to a distance from theirs."""
    steps = np.arange(-radius, radius + 1)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.float32)
    images = masks[..., None].astype(jnp.float32)
    names = ("NHWC", "HWIO", "NHWC")
    touched = jax.lax.conv_general_dilated(
        images, jnp.asarray(disk)[..., None, None], (1, 1), "SAME", dimension_numbers=names
    )
    return touched[..., 0] > 0.5
