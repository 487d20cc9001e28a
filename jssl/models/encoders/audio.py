"""Patches for a ViT that reads sound: overlapping patches of a spectrogram.  arXiv:2104.01778"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.layers.positions import Grid
from jssl.models.layers.transformer import kernel_init


class SpectrogramEmbed(nn.Module):
    """Cuts a spectrogram into overlapping patches, frequency before time: [B, T, M] -> [B, rows, columns, D].

    Args:
        patch: Side of a patch, in bins and in frames.
        dim: Width of a token.
        stride: (in bins, in frames) between patches; None: the patch.
    """

    patch: int
    dim: int
    kernel_init: Callable = kernel_init
    stride: tuple[int, int] | None = None

    def grid(self, shape: tuple[int, ...]) -> Grid:
        """(rows of bins, columns of frames) of spectrograms of shape (..., T, M)."""
        steps = self.stride or (self.patch, self.patch)
        bins, frames = shape[-1], shape[-2]
        return (bins - self.patch) // steps[0] + 1, (frames - self.patch) // steps[1] + 1

    def check(self, spectrograms: jax.Array) -> None:
        """Raises a ValueError for anything but a spectrogram, or one smaller than a patch."""
        if spectrograms.ndim != 3 or not jnp.issubdtype(spectrograms.dtype, jnp.floating):
            given = f"{spectrograms.dtype} {spectrograms.shape}"
            raise ValueError(f"spectrograms must be floats [B, frames, bins], got {given}")
        if min(spectrograms.shape[1:]) < self.patch:
            raise ValueError(
                f"spectrograms of {spectrograms.shape[1]} frames and {spectrograms.shape[2]} bins "
                f"are smaller than a patch of {self.patch}"
            )

    @nn.compact
    def __call__(self, spectrograms: jax.Array, *, train: bool = False) -> jax.Array:
        steps, side = self.stride or (self.patch, self.patch), (self.patch, self.patch)
        x = spectrograms.swapaxes(1, 2)[..., None]
        return nn.Conv(self.dim, side, steps, "VALID", kernel_init=self.kernel_init, name="proj")(x)
