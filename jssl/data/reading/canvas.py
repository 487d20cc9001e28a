"""Fits decoded images to a size: the whole image on a canvas, or its central part."""

import numpy as np

from jssl.extras import extra


def central(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes the largest central part of an image that has a shape's aspect (bilinear, antialiased).

    Args:
        image: uint8 [H, W, 3], or [H, W, 1].
        height: of the result, in pixels.
        width: of the result, in pixels.
    Returns:
        uint8 [height, width, 3], or [height, width, 1].
    Examples:
        >>> central(np.zeros((4, 8, 3), np.uint8), 2, 2).shape
        (2, 2, 3)
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    scale = min(rows / height, columns / width)
    top, left = (rows - height * scale) / 2, (columns - width * scale) / 2
    box = (max(left, 0), max(top, 0), min(columns - left, columns), min(rows - top, rows))
    return _resized(image, (width, height), box)


def shrunk(image: np.ndarray, canvas: int) -> np.ndarray:
    """Makes an image smaller where it is larger than a canvas, its aspect kept (bilinear, antialiased).

    Args:
        image: uint8 [H, W, 3].
        canvas: the largest side of the result, in pixels.
    Returns:
        uint8 [h, w, 3].
    Examples:
        >>> shrunk(np.zeros((4, 8, 3), np.uint8), 4).shape
        (2, 4, 3)
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest <= canvas:
        return image
    return _resized(image, tuple(max(1, round(side * canvas / longest)) for side in (width, height)))


def grey(image: np.ndarray) -> np.ndarray:
    """Converts colors to grey with Pillow's weights; three equal channels keep their value.

    Args:
        image: uint8 [H, W, 3].
    Returns:
        uint8 [H, W, 1].
    Examples:
        >>> grey(np.full((1, 1, 3), [200, 100, 50], np.uint8)).tolist()
        [[[124]]]
    """
    with extra():
        from PIL import Image

    return np.asarray(Image.fromarray(image).convert("L"))[..., None]


def placed(image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Writes an image to the top left corner of `out`.

    Returns:
        That part of `out`.
    """
    if image is out:
        return out
    corner = out[: image.shape[0], : image.shape[1]]
    corner[...] = image
    return corner


def _resized(image, size, box=None):
    with extra():
        from PIL import Image

    grey = image.shape[-1] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    resized = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0))
    return resized[..., None] if grey else resized
