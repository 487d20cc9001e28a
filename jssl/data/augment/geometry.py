"""Affine changes of shape: rotation, shear and translation, one bilinear sampling for all of them."""

import math

import jax
import jax.numpy as jnp

from jssl.arrays.keys import uniform
from jssl.data.augment.base import Augmentation, as_float


def warp(images: jax.Array, matrices: jax.Array) -> jax.Array:
    """Warps images by an affine map: out(x, y) = image(M (x, y)), bilinear, black outside.

    Args:
        images: [B, H, W, C].
        matrices: [B, 2, 3], output (x, y, 1) to input (x, y), both in pixels from the image's centre.
    Returns:
        [B, H, W, C] float.
    """
    images = as_float(images)
    _, rows, columns, _ = images.shape
    middle = jnp.array([(columns - 1) / 2, (rows - 1) / 2])
    x, y = jnp.meshgrid(jnp.arange(columns) - middle[0], jnp.arange(rows) - middle[1])
    places = jnp.stack([x, y, jnp.ones_like(x)], -1)
    sources = jnp.einsum("bij,hwj->bhwi", matrices, places, precision="highest") + middle

    def sample(image, source):
        def plane(channel):
            return jax.scipy.ndimage.map_coordinates(channel, [source[..., 1], source[..., 0]], order=1)

        return jax.vmap(plane, -1, -1)(image)

    return jax.vmap(sample)(images, sources).astype(images.dtype)


def affine(*, angle=0.0, shear_x=0.0, shear_y=0.0, shift_x=0.0, shift_y=0.0) -> jax.Array:
    """Makes the matrices of a rotation, shears and translations, applied in this order.

    Args:
        angle: radians, counter-clockwise; a number or [B], as all others.
        shear_x: the tangent.
        shear_y: the tangent.
        shift_x: pixels.
        shift_y: pixels.
    Returns:
        [B, 2, 3], or [2, 3] of numbers, for `warp`: output to input.
    """
    values = jnp.broadcast_arrays(*map(jnp.asarray, (angle, shear_x, shear_y, shift_x, shift_y)))
    angle, shear_x, shear_y, shift_x, shift_y = (value.astype(jnp.float32) for value in values)
    one, zero = jnp.ones_like(angle), jnp.zeros_like(angle)

    def matrix(*rows):
        return jnp.stack([jnp.stack(row, -1) for row in rows], -2)

    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    turn = matrix((cosine, -sine, zero), (sine, cosine, zero), (zero, zero, one))
    horizontal = matrix((one, -shear_x, zero), (zero, one, zero), (zero, zero, one))
    vertical = matrix((one, zero, zero), (-shear_y, one, zero), (zero, zero, one))
    shift = matrix((one, zero, -shift_x), (zero, one, -shift_y), (zero, zero, one))
    return (turn @ horizontal @ vertical @ shift)[..., :2, :]


def rotation(*, degrees: float) -> Augmentation:
    """Rotates by an angle uniform in [-degrees, degrees], black outside.

    Returns:
        An augmentation, shapes unchanged.
    """

    def apply(keys, images):
        return warp(images, affine(angle=uniform(keys, -1, 1) * math.radians(degrees)))

    return apply


def quarter_turns(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Turns square images counter-clockwise by quarters, exactly.

    Args:
        images: [B, H, H, C].
        turns: [B] integers in 0 ... 3.
    Returns:
        [B, H, H, C], dtype unchanged.
    Raises:
        ValueError: where the images are not square.
    References:
        arXiv:1803.07728
    """
    if images.shape[1] != images.shape[2]:
        raise ValueError(f"images must be square to be turned by quarters, got shape {images.shape}")
    turns = turns[:, None, None, None]
    half = jnp.where(turns >= 2, images[:, ::-1, ::-1], images)
    return jnp.where(turns % 2 == 1, half.swapaxes(1, 2)[:, ::-1], half)
