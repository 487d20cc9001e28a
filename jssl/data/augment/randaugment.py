"""RandAugment: a few operations at one magnitude, drawn anew for every image."""

import math

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, uniform
from jssl.data.augment.base import Augmentation, as_float, per_image
from jssl.data.augment.color import autocontrast, equalize, linear_adjustment, posterize
from jssl.data.augment.geometry import affine, warp

OPERATIONS = (
    "identity shear_x shear_y translate_x translate_y rotate brightness color contrast sharpness "
    "posterize solarize autocontrast equalize"
).split()
LEVELS = 10  # the largest magnitude, as in timm; torchvision's default of 9 is out of 30


def adjust_sharpness(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Changes sharpness: clip(factor * x + (1 - factor) * smoothed x), over 3 x 3 pixels; border pixels stay.

    Args:
        images: [B, H, W, C].
        factor: [B], 1 leaves the image as it is, 0 smooths it with a weight of 5 in the middle.
    Returns:
        [B, H, W, C].
    """
    images = as_float(images)
    rows, columns = images.shape[1:3]
    total = sum(images[:, i : i + rows - 2, j : j + columns - 2] for i in range(3) for j in range(3))
    inner = (total + 4 * images[:, 1:-1, 1:-1]) / 13
    smooth = images.at[:, 1:-1, 1:-1].set(inner)
    factor = per_image(factor)
    return jnp.clip(factor * images + (1 - factor) * smooth, 0, 1)


def randaugment(*, count: int = 2, magnitude: float = 9, probability: float = 1.0) -> Augmentation:
    """Applies a few operations of fourteen to each image, with random signs and torchvision's ranges.

    Args:
        count: how many.
        magnitude: 0 to 10, a share of torchvision's ranges.
        probability: of doing each operation that was drawn; timm has 0.5.
    Returns:
        An augmentation, shapes unchanged.
    Raises:
        ValueError: for a magnitude or probability outside its range.
    References:
        arXiv:1909.13719
    """
    if not 0 <= magnitude <= LEVELS:
        raise ValueError(f"magnitude must lie in [0, {LEVELS}], got {magnitude}")
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    level = magnitude / LEVELS

    def step(images, keys):
        draws = uniform(keys, shape=(3,))
        drawn = jnp.floor(draws[:, 0] * len(OPERATIONS)).astype(jnp.int32)
        drawn = jnp.where(draws[:, 2] < probability, drawn, OPERATIONS.index("identity"))
        sign = jnp.where(draws[:, 1] < 0.5, -1.0, 1.0)

        def chosen(name):
            return drawn == OPERATIONS.index(name)

        def strength(name, scale):
            return jnp.where(chosen(name), sign * scale * level, 0)

        def pointwise(name, changed, images):
            return jnp.where(per_image(chosen(name)), changed, images)

        # Neutral settings for the images that drew something else: one warp, one color adjustment for the
        # whole batch.
        _, rows, columns, _ = images.shape
        moved = affine(
            angle=strength("rotate", math.radians(30)),
            shear_x=strength("shear_x", 0.3),
            shear_y=strength("shear_y", 0.3),
            shift_x=strength("translate_x", 150 / 331 * columns),
            shift_y=strength("translate_y", 150 / 331 * rows),
        )
        images = warp(images, moved)
        images = linear_adjustment(
            images,
            brightness=1 + strength("brightness", 0.9),
            contrast=1 + strength("contrast", 0.9),
            saturation=1 + strength("color", 0.9),
        )
        images = adjust_sharpness(images, 1 + strength("sharpness", 0.9))
        bits = jnp.full_like(sign, 8 - round(magnitude / (LEVELS / 4)))
        images = pointwise("posterize", posterize(images, bits), images)
        images = pointwise("solarize", jnp.where(images >= 1 - level, 1 - images, images), images)
        images = pointwise("autocontrast", autocontrast(images), images)
        return pointwise("equalize", equalize(images), images), None

    def apply(keys, images):
        layers = jax.vmap(lambda number: fold_keys(keys, number))(jnp.arange(count))
        return jax.lax.scan(step, as_float(images).astype(jnp.float32), layers)[0]

    return apply
