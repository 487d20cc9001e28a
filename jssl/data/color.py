"""Color: torchvision's definitions of brightness, contrast, saturation, hue, and what thresholds and posterizes."""

import jax
import jax.numpy as jnp

from jssl.data.augment import Augmentation, as_float, fold_keys, per_image, uniform

LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601 as torchvision rounds it


def luminance(images: jax.Array) -> jax.Array:
    """The grey value 0.2989 R + 0.587 G + 0.114 B; a single channel is its own.

    images: [B, H, W, C], C 1 or 3.

    Returns: [B, H, W, 1].
    """
    if images.shape[-1] == 1:
        return images
    if images.shape[-1] != 3:
        raise ValueError(f"color needs images of 1 or 3 channels, got shape {images.shape}")
    return sum(weight * images[..., i : i + 1] for i, weight in enumerate(LUMA))


def _blend(images, own, grey, mean_grey):
    """clip(own * x + grey * luminance(x) + mean_grey * mean(luminance(x))): what all three linear adjustments are."""
    shades = luminance(images)
    own, grey, mean_grey = per_image(own), per_image(grey), per_image(mean_grey)
    return jnp.clip(own * images + grey * shades + mean_grey * shades.mean((1, 2), keepdims=True), 0, 1)


def adjust_brightness(images: jax.Array, factor: jax.Array) -> jax.Array:
    """clip(factor * x).

    images: [B, H, W, C]; factor: [B], 1 leaves the image as it is.

    Returns: [B, H, W, C].
    """
    return jnp.clip(per_image(factor) * as_float(images), 0, 1)


def adjust_contrast(images: jax.Array, factor: jax.Array) -> jax.Array:
    """clip(factor * x + (1 - factor) * the image's mean grey value).

    images: [B, H, W, C]; factor: [B], 1 leaves the image as it is.

    Returns: [B, H, W, C].
    """
    return _blend(as_float(images), factor, jnp.zeros_like(factor), 1 - factor)


def adjust_saturation(images: jax.Array, factor: jax.Array) -> jax.Array:
    """clip(factor * x + (1 - factor) * the pixel's grey value).

    images: [B, H, W, C]; factor: [B], 1 leaves the image as it is, 0 makes it grey.

    Returns: [B, H, W, C].
    """
    return _blend(as_float(images), factor, 1 - factor, jnp.zeros_like(factor))


def adjust_hue(images: jax.Array, shift: jax.Array) -> jax.Array:
    """The hue of HSV turned by `shift` of a full turn; value and saturation stay.

    images: [B, H, W, 3] (a single channel has no hue and is returned unchanged); shift: [B], in turns.

    Returns: [B, H, W, C].
    """
    images = as_float(images)
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., i] for i in range(3))
    value = images.max(-1)
    chroma = value - images.min(-1)
    divisor = jnp.where(chroma == 0, 1, chroma)
    hue = jnp.where(
        value == red,
        (green - blue) / divisor,
        jnp.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    hue = hue + 6 * shift[:, None, None].astype(images.dtype)

    def channel(offset):
        sector = hue + offset
        sector = sector - 6 * jnp.floor(sector * (1 / 6))
        return value - chroma * jnp.clip(jnp.minimum(sector, 4 - sector), 0, 1)

    return jnp.stack([channel(5), channel(3), channel(1)], -1)


def color_jitter(
    *, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
) -> Augmentation:
    """Brightness, contrast, saturation and hue in an order drawn for each image (torchvision's ColorJitter).

    brightness, contrast, saturation: factors uniform in [max(0, 1 - b), 1 + b]; hue: a shift uniform in [-h, h] turns.

    Returns: an augmentation, shapes unchanged.

    Raises: ValueError for a negative strength or a hue beyond half a turn.
    """
    strengths = (brightness, contrast, saturation)
    if min(strengths) < 0 or not 0 <= hue <= 0.5:
        raise ValueError(f"strengths must not be negative and hue at most 0.5, got {strengths} and hue={hue}")

    def apply(keys, images):
        images = as_float(images)
        factors = jnp.stack(
            [uniform(fold_keys(keys, i), max(0.0, 1 - s), 1 + s) for i, s in enumerate(strengths)], -1
        )
        zeros = jnp.zeros_like(factors[:, 0])
        own = factors
        grey = jnp.stack([zeros, zeros, 1 - factors[:, 2]], -1)
        mean_grey = jnp.stack([zeros, 1 - factors[:, 1], zeros], -1)
        # A random order of four is a random order of the three linear ones and hue's place among them: computed is
        # hue once, each linear adjustment before it or after it, instead of sixteen adjustments and a choice.
        order = jnp.argsort(uniform(fold_keys(keys, 3), shape=(3,)), -1)
        own, grey, mean_grey = (jnp.take_along_axis(x, order, -1) for x in (own, grey, mean_grey))
        if hue == 0 or images.shape[-1] == 1:
            for slot in range(3):
                images = _blend(images, own[:, slot], grey[:, slot], mean_grey[:, slot])
            return images
        place = jnp.floor(uniform(fold_keys(keys, 4), 0, 4))

        def linear(images, slot, active):
            return _blend(
                images,
                jnp.where(active, own[:, slot], 1),
                jnp.where(active, grey[:, slot], 0),
                jnp.where(active, mean_grey[:, slot], 0),
            )

        for slot in range(3):
            images = linear(images, slot, slot < place)
        images = adjust_hue(images, uniform(fold_keys(keys, 5), -hue, hue))
        for slot in range(3):
            images = linear(images, slot, slot >= place)
        return images

    return apply


def grayscale() -> Augmentation:
    """Every channel replaced by the luminance.

    Returns: an augmentation, shapes unchanged.
    """

    def apply(keys, images):
        images = as_float(images)
        return jnp.broadcast_to(luminance(images), images.shape)

    return apply


def solarize(*, threshold: float = 0.5) -> Augmentation:
    """x where x < threshold, else 1 - x.

    threshold: in [0, 1]; the papers' 128 of 255 is the default.

    Returns: an augmentation, shapes unchanged.
    """

    def apply(keys, images):
        images = as_float(images)
        return jnp.where(images >= threshold, 1 - images, images)

    return apply
