"""An encoder that sees how light an image is, and not its colors."""

import flax.linen as nn
import jax

from jssl.arrays.lab import rgb_to_lab
from jssl.models.features import Features


class Lightness(nn.Module):
    """Encodes the lightness of images, one channel in [-1, 1].

    Args:
        encoder: Linen module of images with one channel.
    """

    encoder: nn.Module

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> Features:
        """Encodes images.

        Args:
            images: [B, H, W, 3] in [0, 1].
            train: as the encoder has it.
        Returns:
            The encoder's `Features`.
        Raises:
            ValueError: for images without three channels.
        """
        lightness = rgb_to_lab(images)[..., :1] / 50 - 1
        return self.encoder(lightness.astype(images.dtype), train=train)
