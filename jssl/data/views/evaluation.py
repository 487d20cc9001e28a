"""The view of an image that probes use."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jssl.arrays.keys import sample_keys
from jssl.data.augment.base import IMAGENET, chain, normalize
from jssl.data.augment.crop import center_crop
from jssl.data.views.compose import SMALL, Images


def evaluation_view(
    size: int,
    *,
    fraction: float | None = None,
    mean: Sequence[float] = IMAGENET.mean,
    std: Sequence[float] = IMAGENET.std,
) -> Callable[[Images], jax.Array]:
    """Makes the view that probes use: the central square, resized and normalised.

    Args:
        size: the side of the result.
        fraction: how much of the shorter side is kept; by default 224 / 256, the usual resize to 256 and crop
            of 224, and all of it for images under 64 pixels.
        mean: one number per channel.
        std: likewise.
    Returns:
        A function, images uint8 [B, H, W, C] or `Canvas` -> float [B, size, size, C].
    """
    fraction = fraction or (1.0 if size < SMALL else 224 / 256)
    view = chain(center_crop(size=size, fraction=fraction, method="bicubic"), normalize(mean=mean, std=std))

    def apply(images):
        count = len(jax.tree.leaves(images)[0])
        return view(sample_keys(jax.random.key(0), jnp.arange(count)), images)

    return apply
