"""Raw pixels as features: the baseline for learned representations."""

import flax.linen as nn
import jax

from jssl.arrays.patches import patchify
from jssl.models.features import Features


class Pixels(nn.Module):
    """Returns the pixels of images as features, resized to at most side x side. It has no parameters.

    Args:
        side: the largest number of rows and columns.
        patch: side of the patches at full size that are the tokens; None: one token, the whole image.
    Examples:
        >>> import jax.numpy as jnp
        >>> Pixels(side=4).apply({}, jnp.ones((2, 8, 8, 3))).cls.shape
        (2, 48)
    """

    side: int = 32
    patch: int | None = None

    @nn.compact
    def __call__(self, images: jax.Array) -> Features:
        count, height, width, channels = images.shape
        size = count, min(height, self.side), min(width, self.side), channels
        small = images if images.shape == size else jax.image.resize(images, size, "linear")
        flat = small.reshape(count, -1)
        return Features(flat, patchify(images, self.patch) if self.patch else flat[:, None])
