"""Gaussian blur: separable, with its own width for every image."""

import jax
import jax.numpy as jnp

from jssl.data.augment import Augmentation, as_float, uniform


def blur_weights(sigma: jax.Array, *, size: int, kernel: int) -> jax.Array:
    """The matrix of a Gaussian blur with reflected borders.

    sigma: [B] pixels; size: the side of the image; kernel: the odd number of taps.

    Returns: [B, size, size], rows summing to 1.
    """
    radius = min(kernel // 2, size - 1)

    def gaussian(offset):
        weight = jnp.exp(-0.5 * (offset / sigma[:, None, None]) ** 2)
        return jnp.where(jnp.abs(offset) <= radius, weight, 0)

    out, pixel, last = jnp.arange(size)[:, None], jnp.arange(size), size - 1
    weights = gaussian(pixel - out)
    weights += jnp.where(pixel > 0, gaussian(pixel + out), 0)  # reflected at the first pixel
    weights += jnp.where(pixel < last, gaussian(2 * last - pixel - out), 0)  # and at the last
    return weights / weights.sum(-1, keepdims=True)


def gaussian_blur(*, sigma: tuple[float, float] = (0.1, 2.0), kernel: int = 23) -> Augmentation:
    """Blur by a Gaussian whose width is drawn for each image (torchvision's GaussianBlur, reflected borders).

    sigma: range of the standard deviation in pixels; kernel: the odd number of taps.

    Returns: an augmentation, shapes unchanged.

    Raises: ValueError for an even kernel or a sigma that is not positive.
    """
    if kernel % 2 != 1 or kernel < 1:
        raise ValueError(f"kernel must be odd and positive, got {kernel}")
    if not 0 < sigma[0] <= sigma[1]:
        raise ValueError(f"sigma must be a range of positive numbers, got {sigma}")

    def apply(keys, images):
        images = as_float(images)
        _, rows, columns, _ = images.shape
        width = uniform(keys, *sigma)
        vertical, horizontal = (
            blur_weights(width, size=side, kernel=kernel).astype(images.dtype) for side in (rows, columns)
        )
        images = jnp.einsum("bih,bhwc->biwc", vertical, images)
        return jnp.einsum("bjw,biwc->bijc", horizontal, images)

    return apply
