"""CPC's encoder: the patches of an image are encoded one by one, independently of each other."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.arrays.patches import overlapping_patches
from jssl.models.features import Features
from jssl.models.layers.norms import sample_norm


class Patchwise(nn.Module):
    """Encodes overlapping patches one by one: `tokens` are the patches' vectors, `cls` is their mean.

    Args:
        encoder: a module for one patch, without batch norm, by which patches would depend on each other.
        side: of a patch, in pixels.
        stride: from one patch to the next.
        augment: (key, patches [N, side, side, C]) -> patches, in training alone, when an rng "dropout" is
            given.
    References:
        CPC, arXiv:1807.03748
    """

    encoder: nn.Module
    side: int
    stride: int
    augment: Callable | None = None

    def grid(self, image_shape: tuple[int, ...]) -> tuple[int, int]:
        """Counts the patches, (rows, columns), of images of shape (..., H, W, C)."""
        rows, columns = ((length - self.side) // self.stride + 1 for length in image_shape[-3:-1])
        return rows, columns

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> Features:
        """Encodes images.

        Args:
            images: [B, H, W, C] floats.
            train: passed to the encoder.
        Returns:
            Features(cls [B, D], tokens [B, N, D])
        Raises:
            ValueError: for images smaller than a patch.
        """
        patches = overlapping_patches(images, self.side, self.stride)
        flat = patches.reshape(-1, *patches.shape[2:])
        if self.augment is not None and self.has_rng("dropout"):
            flat = self.augment(self.make_rng("dropout"), flat)
        tokens = self.encoder(flat, train=train).cls.reshape(*patches.shape[:2], -1)
        return Features(tokens.mean(axis=1), tokens)


def first_stages(network: nn.Module, stages: int = 3) -> nn.Module:
    """Takes the first stages of a ResNet, with norms that treat each sample by itself.

    Args:
        network: a `ResNet`.
        stages: the number of stages to keep.
    Returns:
        A `ResNet`.
    Raises:
        TypeError: for another network.
    References:
        CPC, arXiv:1807.03748, and v2, arXiv:1905.09272
    """
    if not hasattr(network, "depths") or not hasattr(network, "stem_width"):
        raise TypeError(
            f"patches are encoded by a ResNet, got {type(network).__name__}; choose such as resnet50"
        )
    return network.clone(depths=network.depths[:stages], widths=network.widths[:stages], norm=sample_norm)


def augmented_patches(key, patches, *, shift: int = 0, flip: float = 0.0, drop: float = 0.0) -> jax.Array:
    """Augments each patch by itself, so that neighbouring patches cannot be recognised by low-level
    statistics.

    Args:
        key: one key for all patches.
        patches: [N, side, side, C], normalised: 0 is the mean.
        shift: the patch is cropped at random by so many pixels and padded with the mean to its old size.
        flip: share of the patches that are flipped horizontally.
        drop: share of the patches that keep only one channel.
    Returns:
        [N, side, side, C].
    References:
        CPC, arXiv:1807.03748, and v2, arXiv:1905.09272
    """
    count, side, channels = len(patches), patches.shape[1], patches.shape[-1]
    place_key, flip_key, drop_key, channel_key = jax.random.split(key, 4)

    def where(key, share, changed):
        chosen = jax.random.uniform(key, (count, 1, 1, 1)) < share
        return jnp.where(chosen, changed, patches)

    if shift:
        places = jax.random.randint(place_key, (count, 2), 0, shift + 1)
        size = (side - shift, side - shift, channels)
        cut = jax.vmap(lambda patch, at: jax.lax.dynamic_slice(patch, (*at, 0), size))(patches, places)
        before = shift // 2
        edges = (before, shift - before)
        patches = jnp.pad(cut, ((0, 0), edges, edges, (0, 0)))
    if flip:
        patches = where(flip_key, flip, patches[:, :, ::-1])
    if drop:
        kept = jax.nn.one_hot(jax.random.randint(channel_key, (count,), 0, channels), channels)
        patches = where(drop_key, drop, patches * kept[:, None, None].astype(patches.dtype))
    return patches
