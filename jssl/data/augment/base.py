"""An augmentation is a function (keys, images) -> images over a batch, with one key per image; these compose them."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, uniform

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]
"""(keys [B], images [B, H, W, C] uint8 or float in [0, 1]) -> images [B, h, w, C] float in [0, 1]."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def as_float(images: jax.Array) -> jax.Array:
    """Images as float32 in [0, 1]: uint8 divided by 255, floats as they are.

    images: [B, H, W, C].

    Returns: [B, H, W, C].

    Raises: ValueError for another rank, TypeError for another dtype.

    >>> float(as_float(jnp.full((1, 1, 1, 3), 255, jnp.uint8)).max())
    1.0
    """
    if images.ndim != 4:
        raise ValueError(f"images must be [B, H, W, C], got shape {images.shape}")
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) * (1 / 255)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be uint8, or float in [0, 1], got {images.dtype}")
    return images


def per_image(values: jax.Array) -> jax.Array:
    """Values [B] shaped to multiply images [B, H, W, C].

    Returns: [B, 1, 1, 1].
    """
    return values[:, None, None, None]


def identity(keys: jax.Array, images: jax.Array) -> jax.Array:
    """The augmentation that does nothing but to make the images float.

    Returns: [B, H, W, C].
    """
    return as_float(images)


def chain(*augmentations: Augmentation) -> Augmentation:
    """One augmentation after another, each with its own stream of every image's key.

    Returns: an augmentation.

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
    """The augmentation on a share of the images, drawn image by image. It must keep the images' shape.

    Returns: an augmentation.
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
        if len(images) == 1:  # alone, an image that is not chosen costs nothing
            return jax.lax.cond(chosen[0], augmentation, identity, keys, images)
        return jnp.where(per_image(chosen), augmentation(keys, images), images)

    return apply


def normalize(*, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Augmentation:
    """(x - mean) / std by channel; the last augmentation of a recipe. The defaults are ImageNet's.

    mean, std: one number per channel.

    Returns: an augmentation; its images are centred, no longer in [0, 1].
    """

    def apply(keys, images):
        images = as_float(images)
        shift, scale = (jnp.asarray(values, images.dtype) for values in (mean, std))
        if images.shape[-1] != len(shift):
            # Other than three channels have no published statistics: the average of the three stands in.
            shift, scale = shift.mean(), scale.mean()
        return (images - shift) / scale

    return apply
