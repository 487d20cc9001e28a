"""Sources of arrays that are in memory already."""

import numpy as np

from jssl.data.source import Source

MOST = 2**16  # labels from here on are ids, which are numbered anew


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    class_names: tuple[str, ...] = (),
    name: str = "arrays",
    **extras: np.ndarray,
) -> Source:
    """Makes a source of arrays.

    Args:
        images: [N, H, W, C] or [N, H, W], uint8, or float in [0, 1] (stored as uint8).
        labels: [N] integers of any type, -1 for none; or None. Without class names, labels of 65,536 and more
            are ids: they are numbered anew in their order, and their names are the ids.
        class_names: one per class; by default the numbers.
        name: what it is called in messages.
        extras: further arrays [N, ...], kept beside the images.
    Returns:
        A `Source`.
    Raises:
        ValueError: for another rank, length or type, naming what was found.
    Examples:
        >>> from_arrays(np.zeros((2, 8, 8), np.uint8), [0, 1]).images.shape
        (2, 8, 8, 1)
    """
    images = _images(images, name)
    labels, class_names = labels_of(labels, tuple(class_names), len(images), name)
    for key, values in extras.items():
        if np.ndim(values) == 0 or len(values) != len(images):
            found = "a number" if np.ndim(values) == 0 else len(values)
            raise ValueError(
                f"{name}: {key} must have one entry for each of {len(images)} images, got {found}"
            )
        if np.asarray(values).dtype.kind not in "biuf":
            raise ValueError(f"{name}: {key} must be numbers, got {np.asarray(values).dtype}")
    return Source(name, images, labels, class_names, extras)


def _images(images, name):
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(f"{name}: images must be [N, H, W, C] or [N, H, W], got shape {images.shape}")
    if images.size == 0:
        raise ValueError(f"{name}: there are no images (shape {images.shape})")
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"{name}: images must have 1 or 3 channels, last, got shape {images.shape}")
    return as_bytes(images, name)


def as_bytes(images: np.ndarray, name: str) -> np.ndarray:
    """Converts images to uint8.

    Args:
        images: uint8, or floats in [0, 1].
        name: of the data, for the error.
    Returns:
        The same images, uint8.
    Raises:
        ValueError: for another type, or floats outside of [0, 1], which were normalised already: views do
            that.
    """
    if np.issubdtype(images.dtype, np.floating):
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"{name}: float images must lie in [0, 1], found {low:.3g} to {high:.3g}; "
                "scale them, and leave the normalisation to the views"
            )
        images = np.round(images * 255).astype(np.uint8)
    if images.dtype != np.uint8:
        raise ValueError(f"{name}: images must be uint8, or floats in [0, 1], got {images.dtype}")
    return images


def labels_of(
    labels: np.ndarray | None, class_names: tuple[str, ...], count: int, name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Makes labels of any integer type ours; see `from_arrays`.

    Args:
        labels: [N] integers, -1 for none; None: there are none.
        class_names: one per class; empty: the numbers.
        count: how many there must be.
        name: of what they belong to, for the error.
    Returns:
        (int32 [N], the classes' names).
    Raises:
        ValueError: for another length or type, or a label without a name.
    """
    if labels is None:
        return np.full(count, -1, np.int32), class_names
    labels = np.asarray(labels)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name}: labels must be {count} integers, one per image, got {labels.dtype} of shape "
            f"{labels.shape}"
        )
    low, high = (int(labels.min()), int(labels.max())) if count else (-1, -1)
    if low < -1:
        raise ValueError(f"{name}: labels must be -1, for none, or from 0 up, got {low}")
    if class_names:
        if high >= len(class_names):
            raise ValueError(f"{name}: label {high} has no name, class_names has {len(class_names)}")
    elif high < MOST:
        class_names = tuple(str(number) for number in range(high + 1))
    else:
        ids, numbers = np.unique(labels, return_inverse=True)
        class_names = tuple(str(one) for one in ids.tolist() if one >= 0)
        labels = numbers.reshape(-1) - (len(ids) - len(class_names))
    return labels.astype(np.int32), class_names
