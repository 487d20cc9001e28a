"""Augmentations and how to compose them: an augmentation is a function (keys, images) -> images over a batch,
with one key per image.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, uniform


class Canvas(NamedTuple):
    """Images of several sizes, each in the top left corner of a canvas. Crops are taken from inside the
    image.

    Args:
        pixels: [B, H, W, C], uint8 or float in [0, 1].
        size: [B, 2] the images' own heights and widths.
    """

    pixels: jax.Array
    size: jax.Array


Augmentation = Callable[[jax.Array, "jax.Array | Canvas"], jax.Array]
"""(keys [B], images [B, H, W, C] uint8 or float in [0, 1]) -> images [B, h, w, C] float in [0, 1].

The first one of a chain may be given a `Canvas`; crops and resizes take it.
"""


class Statistics(NamedTuple):
    """What images are normalised with, one number per channel; by default ImageNet's."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def of(self, channels: int) -> "Statistics":
        """Returns the statistics for images with this number of channels. If these have another number, each
        channel gets their average.

        Examples:
            >>> Statistics((0.0, 0.5, 1.0), (0.25, 0.25, 0.25)).of(1)
            Statistics(mean=(0.5,), std=(0.25,))
        """
        if len(self.mean) == channels:
            return self
        mean, std = (sum(values) / len(values) for values in self)
        return Statistics((mean,) * channels, (std,) * channels)


IMAGENET = Statistics()
SWAV = Statistics(std=(0.228, 0.224, 0.225))
CIFAR = Statistics((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
CLIP = Statistics((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
UNCHANGED = Statistics((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SIGNED = Statistics((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # to [-1, 1]


def as_float(images: jax.Array | Canvas) -> jax.Array:
    """Makes images floats in [0, 1]: uint8 is divided by 255, floats stay as they are.

    Args:
        images: [B, H, W, C].
    Returns:
        [B, H, W, C].
    Raises:
        ValueError: for another rank.
        TypeError: for another dtype, and for a `Canvas`.
    Examples:
        >>> float(as_float(jnp.full((1, 1, 1, 3), 255, jnp.uint8)).max())
        1.0
    """
    if isinstance(images, Canvas):
        raise TypeError(
            "these images have sizes of their own on their canvases; begin with random_resized_crop, "
            "center_crop or resize"
        )
    if images.ndim != 4:
        raise ValueError(f"images must be [B, H, W, C], got shape {images.shape}")
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) * (1 / 255)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be uint8, or float in [0, 1], got {images.dtype}")
    return images


def per_image(values: jax.Array) -> jax.Array:
    """Shapes values [B] to multiply images [B, H, W, C].

    Returns:
        [B, 1, 1, 1].
    """
    return values[:, None, None, None]


def identity(keys: jax.Array, images: jax.Array | Canvas) -> jax.Array:
    """Converts images to floats and changes nothing else.

    Returns:
        [B, H, W, C].
    """
    return as_float(images)


def chain(*augmentations: Augmentation) -> Augmentation:
    """Applies augmentations one after another; each gets keys of its own, derived from the images' keys.

    Returns:
        An augmentation.
    Examples:
        >>> brighter = lambda keys, images: images + 0.25
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> float(chain(brighter, brighter)(keys, jnp.zeros((2, 4, 4, 3))).max())
        0.5
    """

    def apply(keys, images):
        for number, augmentation in enumerate(augmentations):
            images = augmentation(fold_keys(keys, number), images)
        return as_float(images)

    return apply


def with_probability(probability: float, augmentation: Augmentation) -> Augmentation:
    """Applies an augmentation to each image with a probability. It must keep the images' shape.

    Returns:
        An augmentation.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    if probability == 0:
        return identity
    if probability == 1:
        return augmentation

    def apply(keys, images):
        images = as_float(images)
        chosen = uniform(fold_keys(keys, 0)) < probability
        keys = fold_keys(keys, 1)
        if len(images) == 1:  # not computed for a single image that is not chosen
            return jax.lax.cond(chosen[0], augmentation, identity, keys, images)
        return jnp.where(per_image(chosen), augmentation(keys, images), images)

    return apply


def normalize(*, mean: Sequence[float] = IMAGENET.mean, std: Sequence[float] = IMAGENET.std) -> Augmentation:
    """Subtracts a mean and divides by a deviation, channel by channel; the last augmentation of a chain.

    Args:
        mean: one number per channel; by default ImageNet's.
        std: likewise.
    Returns:
        An augmentation; its images are centred, no longer in [0, 1].
    """

    def apply(keys, images):
        images = as_float(images)
        of = Statistics(mean, std).of(images.shape[-1])
        shift, scale = (jnp.asarray(values, images.dtype) for values in of)
        return (images - shift) / scale

    return apply
