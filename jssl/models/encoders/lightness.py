"""An encoder that is given the lightness of an image, without its colors."""

import flax.linen as nn
import jax

from jssl.arrays.lab import rgb_to_lab
from jssl.models.features import Features


class Lightness(nn.Module):
    """Encodes the lightness of images, one channel in [-1, 1].

    Args:
        encoder: a Linen module for images with one channel.
    """

    encoder: nn.Module

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> Features:
        """Encodes images.

        Args:
            images: [B, H, W, 3] in [0, 1].
            train: passed to the encoder.
        Returns:
            The encoder's `Features`.
        Raises:
            ValueError: for images without three channels.
        """
        lightness = rgb_to_lab(images)[..., :1] / 50 - 1
        return self.encoder(lightness.astype(images.dtype), train=train)
