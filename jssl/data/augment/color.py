"""Color augmentations: brightness, contrast, saturation and hue as torchvision defines them, and operations
on single values, such as solarizing and posterizing.
"""

from functools import reduce

import jax
import jax.numpy as jnp

from jssl.arrays.keys import uniform
from jssl.data.augment.base import Augmentation, as_float, per_image

LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601 as torchvision rounds it
FRINGES = (-1.0, 2.0, -1.0)  # green against magenta, as lenses bend colors apart


def luminance(images: jax.Array) -> jax.Array:
    """Computes the grey value 0.2989 R + 0.587 G + 0.114 B; a single channel is returned as it is.

    Args:
        images: [B, H, W, C], C 1 or 3.
    Returns:
        [B, H, W, 1].
    Raises:
        ValueError: for other numbers of channels.
    """
    if images.shape[-1] == 1:
        return images
    if images.shape[-1] != 3:
        raise ValueError(f"color needs images of 1 or 3 channels, got shape {images.shape}")
    return _grey([images[..., i : i + 1] for i in range(3)])


def _grey(planes):
    """The grey value of an image's channels; a single channel as it is."""
    if len(planes) == 1:
        return planes[0]
    return jnp.asarray(sum(weight * plane for weight, plane in zip(LUMA, planes, strict=True)))


def _blend(images, own, grey, mean_grey):
    """clip(own * x + grey * luminance(x) + mean_grey * mean(luminance(x))): the form of brightness, contrast
    and saturation.
    """
    shades = luminance(images)
    own, grey, mean_grey = (per_image(weight).astype(images.dtype) for weight in (own, grey, mean_grey))
    return jnp.clip(own * images + grey * shades + mean_grey * shades.mean((1, 2), keepdims=True), 0, 1)


def adjust_brightness(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Multiplies brightness: clip(factor * x).

    Args:
        images: [B, H, W, C].
        factor: [B], 1 leaves the image as it is.
    Returns:
        [B, H, W, C].
    """
    return jnp.clip(per_image(factor) * as_float(images), 0, 1)


def adjust_contrast(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Changes contrast: clip(factor * x + (1 - factor) * the image's mean grey value).

    Args:
        images: [B, H, W, C].
        factor: [B], 1 leaves the image as it is.
    Returns:
        [B, H, W, C].
    """
    return _blend(as_float(images), factor, jnp.zeros_like(factor), 1 - factor)


def adjust_saturation(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Changes saturation: clip(factor * x + (1 - factor) * the pixel's grey value).

    Args:
        images: [B, H, W, C].
        factor: [B], 1 leaves the image as it is, 0 makes it grey.
    Returns:
        [B, H, W, C].
    """
    return _blend(as_float(images), factor, 1 - factor, jnp.zeros_like(factor))


def linear_adjustment(
    images: jax.Array, *, brightness: jax.Array, contrast: jax.Array, saturation: jax.Array
) -> jax.Array:
    """Changes brightness, then contrast, then saturation.

    Args:
        images: [B, H, W, C].
        brightness: [B], 1 leaves the image as it is, as for the others.
        contrast: [B].
        saturation: [B].
    Returns:
        [B, H, W, C].
    """
    return adjust_saturation(adjust_contrast(adjust_brightness(images, brightness), contrast), saturation)


def adjust_hue(images: jax.Array, shift: jax.Array) -> jax.Array:
    """Shifts the hue of HSV by a share of a full turn; value and saturation stay.

    Args:
        images: [B, H, W, 3]; a single channel has no hue and is returned unchanged.
        shift: [B], in turns.
    Returns:
        [B, H, W, C].
    """
    images = as_float(images)
    if images.shape[-1] == 1:
        return images
    planes = [images[..., i] for i in range(3)]
    return jnp.stack(_turned(planes, images.max(-1), images.min(-1), shift), -1)


def _turned(planes, value, least, shift):
    """Red, green and blue after a shift of the hue; `value` and `least` are their maximum and minimum."""
    red, green, blue = planes
    chroma = value - least
    divisor = jnp.where(chroma == 0, 1, chroma)
    hue = jnp.where(
        value == red,
        (green - blue) / divisor,
        jnp.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    hue = hue + 6 * per_image(shift)[..., 0].astype(red.dtype)

    def channel(offset):
        sector = hue + offset
        sector = sector - 6 * jnp.floor(sector * (1 / 6))
        return value - chroma * jnp.clip(jnp.minimum(sector, 4 - sector), 0, 1)

    return [channel(5), channel(3), channel(1)]


def color_jitter(
    *, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
) -> Augmentation:
    """Changes brightness, contrast, saturation and hue in an order drawn for each image (torchvision's
    ColorJitter).

    Args:
        brightness: b; the factor is uniform in [max(0, 1 - b), 1 + b].
        contrast: likewise.
        saturation: likewise.
        hue: h; the shift is uniform in [-h, h] turns.
    Returns:
        An augmentation, shapes unchanged.
    Raises:
        ValueError: for a negative strength or a hue beyond half a turn.
    """
    strengths = (brightness, contrast, saturation)
    if min(strengths) < 0 or not 0 <= hue <= 0.5:
        raise ValueError(f"strengths must not be negative and hue at most 0.5, got {strengths} and hue={hue}")

    def apply(keys, images):
        images = as_float(images)
        draws = uniform(keys, shape=(8,))
        low = jnp.array([max(0.0, 1 - strength) for strength in strengths])
        factors = low + draws[:, :3] * (1 + jnp.array(strengths) - low)
        # The weights that `_blend` takes, [B, 3 adjustments, 3 weights]; 1, 0, 0 changes nothing.
        zeros, rest = jnp.zeros_like(factors[:, 0]), 1 - factors
        grey = jnp.stack([zeros, zeros, rest[:, 2]], -1)
        mean_grey = jnp.stack([zeros, rest[:, 1], zeros], -1)
        weights = jnp.stack([factors, grey, mean_grey], -1)
        order = jnp.argsort(draws[:, 3:6], -1)
        weights = jnp.take_along_axis(weights, order[..., None], 1)
        # A random order of the four is a random order of the three linear ones and a random place of the hue
        # among them. So the hue is shifted once, and each of the others is applied before or after it.
        place = jnp.floor(draws[:, 6] * 4)
        turn = hue * (2 * draws[:, 7] - 1)
        return jax.lax.platform_dependent(images, weights, place, turn, cpu=_in_passes, default=_in_two_looks)

    return apply


IDLE = (1.0, 0.0, 0.0)  # weights that leave an image as it is


def _parted(weights, place):
    """The weights [B, 3, 3] before the hue and those after it; `IDLE` where an adjustment is on the other
    side.
    """
    before = (jnp.arange(3) < place[:, None])[..., None]
    idle = jnp.array(IDLE)
    return jnp.where(before, weights, idle), jnp.where(before, idle, weights)


def _in_passes(images, weights, place, turn):
    """Applies each adjustment in a pass of its own over the images, which is fastest on a CPU."""

    def linear(images, weights):
        return jax.lax.scan(lambda x, w: (_blend(x, *w.T), None), images, jnp.moveaxis(weights, 1, 0))[0]

    before, after = _parted(weights, place)
    return linear(adjust_hue(linear(images, before), turn), after)


def _in_two_looks(images, weights, place, turn):
    """Reads the images twice and writes them once: faster on accelerators, which memory bandwidth limits.

    Contrast alone needs more than a pixel's own value: the mean grey value of its input. The first pass
    applies what comes before contrast and computes that mean; the second one applies everything.
    """
    pixels = [images[..., i] for i in range(images.shape[-1])]

    def linear(planes, weights, mean):
        own, grey, mean_grey = (w[:, None, None].astype(images.dtype) for w in weights.T)
        rest = grey * _grey(planes) + mean_grey * mean
        return [jnp.clip(own * plane + rest, 0, 1) for plane in planes]

    def adjusted(weights, turn, mean):
        planes, (before, after) = pixels, _parted(weights, place)
        for step in range(3):
            planes = linear(planes, before[:, step], mean)
        if len(planes) == 3:
            value, least = (reduce(extreme, planes) for extreme in (jnp.maximum, jnp.minimum))
            planes = _turned(planes, value, least, turn)
        for step in range(3):
            planes = linear(planes, after[:, step], mean)
        return planes

    contrast = jnp.argmax(weights[..., 2] != 0, axis=1)
    earlier = (jnp.arange(3) < contrast[:, None])[..., None]
    first = adjusted(jnp.where(earlier, weights, jnp.array(IDLE)), jnp.where(place <= contrast, turn, 0), 0)
    return jnp.stack(adjusted(weights, turn, _grey(first).mean((1, 2), keepdims=True)), -1)


def grayscale() -> Augmentation:
    """Replaces every channel by the luminance.

    Returns:
        An augmentation, shapes unchanged.
    """

    def apply(keys, images):
        images = as_float(images)
        return jnp.broadcast_to(luminance(images), images.shape)

    return apply


def without_fringes() -> Augmentation:
    """Removes the green-magenta component of colors: the colored fringes of a lens tell where a tile was.

    x - (x . f) f / |f|^2, f = (-1, 2, -1), nothing clipped; grey stays, and so does a single channel.

    Returns:
        An augmentation, shapes unchanged.
    References:
        arXiv:1505.05192; the data_transformer.cpp of MehdiNoroozi/JigsawPuzzleSolver
    """

    def apply(keys, images):
        images = as_float(images)
        if images.shape[-1] == 1:
            return images
        fringes = jnp.asarray(FRINGES, images.dtype)
        along = (images * fringes).sum(-1, keepdims=True) / 6
        return images - along * fringes

    return apply


def solarize(*, threshold: float = 0.5) -> Augmentation:
    """Inverts what is bright: x where x < threshold, else 1 - x.

    Args:
        threshold: in [0, 1]; the papers' 128 of 255 is the default.
    Returns:
        An augmentation, shapes unchanged.
    """

    def apply(keys, images):
        images = as_float(images)
        return jnp.where(images >= threshold, 1 - images, images)

    return apply


def posterize(images: jax.Array, bits: jax.Array) -> jax.Array:
    """Keeps only the highest bits of each 8-bit value.

    Args:
        images: [B, H, W, C].
        bits: [B] numbers in 0 ... 8.
    Returns:
        [B, H, W, C] float.
    """
    step = per_image(2.0 ** (8 - bits.astype(jnp.float32)))
    return jnp.floor(_bytes(images) / step) * step / 255


def autocontrast(images: jax.Array) -> jax.Array:
    """Stretches each channel so that its darkest value is 0 and its brightest 1; a constant channel stays.

    Args:
        images: [B, H, W, C].
    Returns:
        [B, H, W, C] float.
    """
    images = as_float(images)
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    span = high - low
    return jnp.where(span > 0, (images - low) / jnp.where(span > 0, span, 1), images)


def equalize(images: jax.Array) -> jax.Array:
    """Makes each channel's 256-bin histogram flat, by PIL's integer arithmetic.

    Args:
        images: [B, H, W, C].
    Returns:
        [B, H, W, C] float, of 8-bit values.
    """
    values = _bytes(images).astype(jnp.int32)

    def channel(values):
        histogram = jnp.zeros(256, jnp.int32).at[values].add(1)
        last = histogram[values.max()]  # PIL leaves the brightest value out of the sum that the steps share
        step = (histogram.sum() - last) // 255
        table = (jnp.cumsum(histogram) - histogram + step // 2) // jnp.maximum(step, 1)
        return jnp.where(step > 0, jnp.minimum(table, 255)[values], values)

    batch, rows, columns, channels = values.shape
    flat = values.reshape(batch, rows * columns, channels)
    result = jax.vmap(jax.vmap(channel, in_axes=1, out_axes=1))(flat)
    return result.reshape(values.shape).astype(jnp.float32) / 255


def _bytes(images):
    """The 8-bit values as floats."""
    return jnp.round(as_float(images).astype(jnp.float32) * 255)
