"""Gaussian blur: separable, with its own width for every image."""

import math

import jax
import jax.numpy as jnp

from jssl.arrays.keys import uniform
from jssl.data.augment.base import Augmentation, as_float


def gaussian_taps(sigma: jax.Array, *, kernel: int) -> jax.Array:
    """Computes exp(-k^2 / (2 sigma^2)) at k = -kernel // 2 ... kernel // 2, divided by their sum.

    Args:
        sigma: [B] pixels.
        kernel: the odd number of taps.
    Returns:
        [B, kernel].
    """
    offset = jnp.arange(kernel) - kernel // 2
    taps = jnp.exp(-0.5 * (offset / sigma[:, None]) ** 2)
    return taps / taps.sum(-1, keepdims=True)


def _blur_columns(images, taps):
    """Along W with reflected borders: a sum of shifted copies, in one pass over the images."""
    batch, rows, columns, channels = images.shape
    radius = taps.shape[1] // 2
    padded = jnp.pad(images, ((0, 0), (0, 0), (radius, radius), (0, 0)), mode="reflect")
    # Columns and channels as one axis, so that the innermost loop is long: a column further is `channels`
    # places.
    padded = padded.reshape(batch, rows, -1)
    copies = (padded[..., k * channels : (k + columns) * channels] for k in range(2 * radius + 1))
    return sum(taps[:, k, None, None] * copy for k, copy in enumerate(copies)).reshape(images.shape)


def blur(images: jax.Array, sigma: jax.Array, *, kernel: int) -> jax.Array:
    """Convolves each image with its own Gaussian, borders reflected, rows first.

    Args:
        images: [B, H, W, C].
        sigma: [B] pixels.
        kernel: the odd number of taps.
    Returns:
        [B, H, W, C].
    """
    taps = gaussian_taps(sigma, kernel=kernel).astype(images.dtype)

    def turn(images, _):
        return _blur_columns(images, taps).swapaxes(1, 2), None

    if images.shape[1] != images.shape[2]:
        return turn(turn(images, None)[0], None)[0]
    # A square image is blurred and transposed twice by a loop, which keeps XLA from computing the images
    # again for every tap.
    return jax.lax.scan(turn, images, length=2)[0]


def gaussian_blur(*, sigma: tuple[float, float] = (0.1, 2.0), kernel: int = 23) -> Augmentation:
    """Blurs by a Gaussian whose width is drawn for each image (torchvision's GaussianBlur, reflected
    borders).

    Args:
        sigma: range of the standard deviation in pixels.
        kernel: the odd number of taps.
    Returns:
        An augmentation, shapes unchanged.
    Raises:
        ValueError: for an even kernel or a sigma that is not positive.
    """
    if kernel % 2 != 1 or kernel < 1:
        raise ValueError(f"kernel must be odd and positive, got {kernel}")
    if not 0 < sigma[0] <= sigma[1]:
        raise ValueError(f"sigma must be a range of positive numbers, got {sigma}")
    # What lies beyond four standard deviations changes no 8-bit value.
    taps = min(kernel, 2 * math.ceil(4 * sigma[1]) + 1)

    def apply(keys, images):
        return blur(as_float(images), uniform(keys, *sigma), kernel=taps)

    return apply
