"""The pixels themselves as features: what every learned representation stands beside."""

import flax.linen as nn
import jax

from jssl.arrays.patches import patchify
from jssl.models.features import Features


class Pixels(nn.Module):
    """Encodes images by their own numbers, first made no larger than side x side. It has no parameters.

    Args:
        side: the most rows and columns.
        patch: side of the patches that are its tokens, at full size; none: one token, the whole.

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
