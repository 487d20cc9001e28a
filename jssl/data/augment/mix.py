"""What hides a part of an image or mixes two: cutout, mixup, cutmix."""

import jax
import jax.numpy as jnp

from jssl.arrays.grids import rectangles
from jssl.arrays.keys import uniform
from jssl.data.augment.base import Augmentation, as_float, per_image


def cutout(*, side: int, fill: float = 0.0) -> Augmentation:
    """A square around a random pixel filled in; it may reach over the border (arXiv:1708.04552).

    side: of the square, in pixels.

    Returns: an augmentation, shapes unchanged.
    """

    def apply(keys, images):
        images = as_float(images)
        grid = images.shape[1:3]
        centre = jnp.floor(uniform(keys, shape=(2,)) * jnp.array(grid))
        corner = centre - side // 2
        hidden = rectangles(grid, corner[:, 0], corner[:, 1], side, side)
        return jnp.where(hidden[..., None], fill, images)

    return apply


def _check(images, targets):
    if targets.ndim != 2 or len(targets) != len(images):
        raise ValueError(f"targets must be [{len(images)}, K] class probabilities, got shape {targets.shape}")
    return as_float(images)


def mixup(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float = 0.2
) -> tuple[jax.Array, jax.Array]:
    """w x_i + (1 - w) x_(i-1), w ~ Beta(alpha, alpha), of images and targets alike (arXiv:1710.09412).

    images: [B, H, W, C]; targets: [B, K] class probabilities.

    Returns: (images [B, H, W, C], targets [B, K]).
    """
    images = _check(images, targets)
    weight = jax.random.beta(key, alpha, alpha, (len(images),))
    mixed = per_image(weight) * images + per_image(1 - weight) * jnp.roll(images, 1, 0)
    return mixed, weight[:, None] * targets + (1 - weight)[:, None] * jnp.roll(targets, 1, 0)


def cutmix(
    key: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float = 1.0
) -> tuple[jax.Array, jax.Array]:
    """A box of each image replaced by its neighbour's, targets mixed by the area left (arXiv:1905.04899).

    images: [B, H, W, C]; targets: [B, K] class probabilities.

    Returns: (images [B, H, W, C], targets [B, K]).
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
