"""Crops, resizing and flips: a resize is two small matrix products per image, never a gather."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.keys import uniform
from jssl.data.augment.base import Augmentation, Canvas, as_float, per_image


def _triangle(x):
    return jnp.maximum(1 - jnp.abs(x), 0)


def _cubic(x):
    # Keys' kernel with a = -1/2: PIL's, and torchvision's when it antialiases.
    x = jnp.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return jnp.where(x < 1, near, jnp.where(x < 2, far, 0))


KERNELS = {"bilinear": _triangle, "bicubic": _cubic}
RADIUS = {"bilinear": 1, "bicubic": 2}
BLOCK = 56  # pixels of the result that share a stretch of the source


def resize_weights(
    start: jax.Array,
    length: jax.Array,
    *,
    source: int,
    size: int,
    method: str = "bilinear",
    within: jax.Array | float | None = None,
) -> jax.Array:
    """Makes the matrix that resizes the interval [start, start + length) of `source` pixels to `size`,
    antialiased.

    w[i, j] ~ kernel((j + 1/2 - c_i) / s), c_i = start + (i + 1/2) length / size, s = max(length / size, 1),
    inside the interval only, rows summing to 1: PIL's and torchvision's resampling (antialias=True) of the
    cropped image. With `within`, the whole image is resampled and the interval cut out afterwards.

    Args:
        start: [B] pixels.
        length: [B] pixels.
        source: pixels along the axis.
        size: of the result.
        method: "bilinear" or "bicubic".
        within: [B] or a number, the pixels of the image along this axis, if it is resized before the cut.
    Returns:
        [B, size, source] float32.
    Raises:
        ValueError: for an unknown method.
    """
    if method not in KERNELS:
        raise ValueError(f"method must be one of {', '.join(KERNELS)}, got {method!r}")
    start, length = (jnp.asarray(value, jnp.float32)[:, None, None] for value in (start, length))
    step = length / size
    center = start + (jnp.arange(size, dtype=jnp.float32)[:, None] + 0.5) * step
    pixel = jnp.arange(source, dtype=jnp.float32) + 0.5
    weights = KERNELS[method]((pixel - center) / jnp.maximum(step, 1))
    first, last = (start, start + length) if within is None else (0, jnp.reshape(within, (-1, 1, 1)))
    weights = jnp.where((pixel > first) & (pixel < last), weights, 0)
    return weights / weights.sum(-1, keepdims=True)


def crop_and_resize(
    images: jax.Array,
    boxes: jax.Array,
    *,
    size: int,
    method: str = "bilinear",
    within: tuple | None = None,
) -> jax.Array:
    """Resizes a box of each image to a square, antialiased.

    Args:
        images: [B, H, W, C].
        boxes: [B, 4] top, left, height, width in pixels.
        size: the side of the result.
        method: "bilinear" or "bicubic".
        within: (heights, widths) of the images, numbers or [B] each: images are resized before boxes are cut
            out. By default boxes are cut out first.
    Returns:
        [B, size, size, C] float in [0, 1].
    """
    images = as_float(images)
    top, left, height, width = jnp.moveaxis(boxes, -1, 0)
    rows, columns = within or (None, None)
    images = _resample(images, top, height, size=size, method=method, axis=0, within=rows)
    images = _resample(images, left, width, size=size, method=method, axis=1, within=columns)
    return jnp.clip(images, 0, 1)  # a cubic kernel overshoots


def _resample(images, start, length, *, size, method, axis, within):
    """The images' axis (0: rows, 1: columns) resized by one matrix product per image."""
    source = images.shape[1 + axis]
    weights = resize_weights(start, length, source=source, size=size, method=method, within=within)
    weights = weights.astype(images.dtype)
    product = ("ih,hwc->iwc", "jw,iwc->ijc")[axis]

    def whole(images, weights, start, length):
        return jax.vmap(lambda image, matrix: jnp.einsum(product, matrix, image))(images, weights)

    # The matrices are banded: pixels side by side in the result come from a short stretch of the source. A
    # CPU is faster when it multiplies that stretch only.
    reach = RADIUS[method] * max(1.0, source / size)
    band = math.ceil(BLOCK * source / size + 2 * reach) + 2
    if size <= BLOCK or band >= source:
        return whole(images, weights, start, length)

    def banded(images, weights, start, length):
        def block(first):
            count = min(BLOCK, size - first)
            scale = jnp.maximum(length / size, 1)
            low = jnp.floor(start + (first + 0.5) * length / size - RADIUS[method] * scale) - 1
            low = jnp.clip(low, 0, source - band).astype(jnp.int32)

            def one(image, matrix, low):
                image = jax.lax.dynamic_slice_in_dim(image, low, band, axis)
                return jnp.einsum(product, jax.lax.dynamic_slice(matrix, (first, low), (count, band)), image)

            return jax.vmap(one)(images, weights, low)

        return jnp.concatenate([block(first) for first in range(0, size, BLOCK)], 1 + axis)

    return jax.lax.platform_dependent(images, weights, start, length, cpu=banded, default=whole)


def _own_sizes(images: jax.Array | Canvas) -> tuple[jax.Array, tuple]:
    """(pixels [B, H, W, C], (heights, widths) of the images in them: a number for all, or [B])."""
    if isinstance(images, Canvas):
        return images.pixels, tuple(images.size.astype(jnp.float32).T)
    return images, images.shape[1:3]


def crop_boxes(
    keys: jax.Array,
    grid: tuple,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    tries: int = 10,
) -> jax.Array:
    """Draws Inception's crops as torchvision draws them: whole pixels, the first of ten tries that fits.

    The area is uniform in `scale` of the image's, the aspect (width / height) log-uniform in `ratio`. Where
    no try fits, the largest central crop with an allowed aspect is taken.

    Args:
        keys: [B].
        grid: (H, W) of the images, numbers or [B] each.
        scale: range of the area, in shares of the image's.
        ratio: range of width / height.
        tries: how many are drawn.
    Returns:
        [B, 4] float: top, left, height, width.
    """
    rows, columns = (jnp.broadcast_to(jnp.asarray(side, jnp.float32), keys.shape) for side in grid)
    draws = uniform(keys, shape=(2 * tries + 2,))
    area = (rows * columns)[:, None] * (scale[0] + draws[:, :tries] * (scale[1] - scale[0]))
    aspect = ratio[0] * (ratio[1] / ratio[0]) ** draws[:, tries:-2]
    width, height = jnp.round(jnp.sqrt(area * aspect)), jnp.round(jnp.sqrt(area / aspect))
    fits = (width > 0) & (width <= columns[:, None]) & (height > 0) & (height <= rows[:, None])
    first = jnp.argmax(fits, axis=1)[:, None]
    width, height = (jnp.take_along_axis(side, first, 1)[:, 0] for side in (width, height))
    central_aspect = jnp.clip(columns / rows, *ratio)
    found = fits.any(1)
    width = jnp.where(found, width, jnp.minimum(columns, jnp.maximum(1, jnp.round(rows * central_aspect))))
    height = jnp.where(found, height, jnp.minimum(rows, jnp.maximum(1, jnp.round(columns / central_aspect))))
    room_y, room_x = rows - height, columns - width
    top = jnp.where(found, jnp.floor(draws[:, -2] * (room_y + 1)), jnp.floor(room_y / 2))
    left = jnp.where(found, jnp.floor(draws[:, -1] * (room_x + 1)), jnp.floor(room_x / 2))
    return jnp.stack([jnp.minimum(top, room_y), jnp.minimum(left, room_x), height, width], -1)


def random_resized_crop(
    *,
    size: int,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    method: str = "bilinear",
) -> Augmentation:
    """Resizes a random box to a square, antialiased, as torchvision's RandomResizedCrop.

    Args:
        size: the side of the result.
        scale: range of the box's area, in shares of the image's.
        ratio: range of the box's width / height.
        method: "bilinear" or "bicubic".
    Returns:
        An augmentation, [B, H, W, C] or `Canvas` -> [B, size, size, C].
    Raises:
        ValueError: for a scale outside (0, 1].
    References:
        arXiv:1409.4842
    """
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"scale must be a range inside (0, 1], got {scale}")

    def apply(keys, images):
        pixels, grid = _own_sizes(images)
        boxes = crop_boxes(keys, grid, scale=scale, ratio=ratio)
        return crop_and_resize(pixels, boxes, size=size, method=method)

    return apply


def center_crop(*, size: int, fraction: float = 1.0, method: str = "bilinear") -> Augmentation:
    """Resizes the central square that covers a fraction of the shorter side, as torchvision's Resize and then
    CenterCrop: it begins at a whole pixel of the resized image.

    Args:
        size: the side of the result.
        fraction: of the shorter side.
        method: "bilinear" or "bicubic".
    Returns:
        An augmentation, [B, H, W, C] or `Canvas` -> [B, size, size, C].
    """

    def apply(keys, images):
        pixels, (rows, columns) = _own_sizes(images)
        if not isinstance(images, Canvas) and rows == columns == size and fraction == 1:
            return as_float(images)
        xp = jnp if isinstance(images, Canvas) else np
        side = xp.minimum(rows, columns) * fraction
        step = side / size
        top, left = (xp.round((length - side) / 2 / step) * step for length in (rows, columns))
        box = jnp.broadcast_to(xp.stack([top, left, side, side], -1).astype(jnp.float32), (len(pixels), 4))
        return crop_and_resize(pixels, box, size=size, method=method, within=(rows, columns))

    return apply


def resize(*, size: int, method: str = "bilinear") -> Augmentation:
    """Resizes the whole image to a square, whatever its aspect.

    Args:
        size: the side of the result.
        method: "bilinear" or "bicubic".
    Returns:
        An augmentation, [B, H, W, C] or `Canvas` -> [B, size, size, C].
    """

    def apply(keys, images):
        pixels, (rows, columns) = _own_sizes(images)
        box = jnp.stack([jnp.zeros_like(rows), jnp.zeros_like(rows), rows, columns], -1).astype(jnp.float32)
        return crop_and_resize(pixels, jnp.broadcast_to(box, (len(pixels), 4)), size=size, method=method)

    return apply


def horizontal_flip(*, probability: float = 0.5) -> Augmentation:
    """Exchanges left and right on a share of the images.

    Returns:
        An augmentation, shapes unchanged.
    """

    def apply(keys, images):
        images = as_float(images)
        return jnp.where(per_image(uniform(keys) < probability), images[:, :, ::-1], images)

    return apply


def vertical_flip(*, probability: float = 0.5) -> Augmentation:
    """Exchanges top and bottom on a share of the images.

    Returns:
        An augmentation, shapes unchanged.
    """

    def apply(keys, images):
        images = as_float(images)
        return jnp.where(per_image(uniform(keys) < probability), images[:, ::-1], images)

    return apply
