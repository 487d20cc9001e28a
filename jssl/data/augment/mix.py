"""Augmentations that hide a part of an image or mix two images: cutout, random erasing, mixup, cutmix."""

import jax
import jax.numpy as jnp

from jssl.arrays.grids import drawn_rectangles, rectangles
from jssl.arrays.keys import fold_keys, uniform
from jssl.data.augment.base import Augmentation, as_float, per_image


def cutout(*, side: int, fill: float = 0.0) -> Augmentation:
    """Fills in a square around a random pixel; it may reach over the border.

    Args:
        side: of the square, in pixels.
        fill: the value in it.
    Returns:
        An augmentation, shapes unchanged.
    References:
        arXiv:1708.04552
    """

    def apply(keys, images):
        images = as_float(images)
        grid = images.shape[1:3]
        centre = jnp.floor(uniform(keys, shape=(2,)) * jnp.array(grid))
        corner = centre - side // 2
        hidden = rectangles(grid, corner[:, 0], corner[:, 1], side, side)
        return jnp.where(hidden[..., None], fill, images)

    return apply


def random_erasing(
    *,
    area: tuple[float, float] = (0.02, 1 / 3),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    tries: int = 10,
) -> Augmentation:
    """Fills a rectangle of a normalised image with standard normal noise, pixel by pixel.

    The first of `tries` rectangles that is smaller than the image on both sides is filled; where none is, the
    image stays as it is.

    Args:
        area: range of the rectangle's area, as shares of the image's.
        aspect: the least and the greatest height / width, between which its logarithm is uniform.
        tries: rectangles drawn.
    Returns:
        An augmentation, shapes unchanged.
    References:
        arXiv:1708.04896; timm, `RandomErasing(mode="pixel")`
    """

    def apply(keys, images):
        images = as_float(images)
        rows, columns = grid = images.shape[1:3]
        numbers = uniform(fold_keys(keys, 0), shape=(tries, 4))
        cells = tuple(rows * columns * share for share in area)
        sides = drawn_rectangles(grid, numbers, area=cells, aspect=aspect)
        _, _, height, width = sides
        fits = (height < rows) & (width < columns)
        first = jnp.argmax(fits, axis=1)[:, None]
        taken = (jnp.take_along_axis(side, first, axis=1)[:, 0] for side in sides)
        erased = rectangles(grid, *taken) & jnp.any(fits, axis=1)[:, None, None]
        noise = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))
        return jnp.where(erased[..., None], noise(fold_keys(keys, 1)), images)

    return apply


def _check(images, targets):
    if targets.ndim != 2 or len(targets) != len(images):
        raise ValueError(f"targets must be [{len(images)}, K] class probabilities, got shape {targets.shape}")
    return as_float(images)


def mixup(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float = 0.2
) -> tuple[jax.Array, jax.Array]:
    """Mixes neighbours: w x_i + (1 - w) x_(i-1), w ~ Beta(alpha, alpha), of images and targets alike.

    Args:
        key: random.
        images: [B, H, W, C].
        targets: [B, K] class probabilities.
        alpha: of the beta distribution.
    Returns:
        (images [B, H, W, C], targets [B, K]).
    References:
        arXiv:1710.09412
    """
    images = _check(images, targets)
    weight = jax.random.beta(key, alpha, alpha, (len(images),))
    mixed = per_image(weight) * images + per_image(1 - weight) * jnp.roll(images, 1, 0)
    return mixed, weight[:, None] * targets + (1 - weight)[:, None] * jnp.roll(targets, 1, 0)


def cutmix(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float = 1.0
) -> tuple[jax.Array, jax.Array]:
    """Replaces a box of each image by its neighbour's, and mixes the targets by the area left.

    Args:
        key: random.
        images: [B, H, W, C].
        targets: [B, K] class probabilities.
        alpha: of the beta distribution.
    Returns:
        (images [B, H, W, C], targets [B, K]).
    References:
        arXiv:1905.04899
    """
    images = _check(images, targets)
    batch, rows, columns, _ = images.shape
    area_key, place_key = jax.random.split(key)
    cut = jnp.sqrt(1 - jax.random.beta(area_key, alpha, alpha, (batch,)))
    y, x = jax.random.uniform(place_key, (2, batch))
    top, bottom = (jnp.clip(jnp.floor(y * rows + sign * cut * rows / 2), 0, rows) for sign in (-1, 1))
    left, right = (
        jnp.clip(jnp.floor(x * columns + sign * cut * columns / 2), 0, columns) for sign in (-1, 1)
    )
    box = rectangles((rows, columns), top, left, bottom - top, right - left)[..., None]
    weight = 1 - (bottom - top) * (right - left) / (rows * columns)
    mixed = jnp.where(box, jnp.roll(images, 1, 0), images)
    return mixed, weight[:, None] * targets + (1 - weight)[:, None] * jnp.roll(targets, 1, 0)
