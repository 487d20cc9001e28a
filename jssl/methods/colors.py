"""Colorization: an image's colors are predicted from its lightness."""

import jax
import jax.numpy as jnp

from jssl.arrays.lab import lab_to_rgb, rgb_to_lab
from jssl.methods.base import Method
from jssl.methods.frames.pretext import pretext
from jssl.models.encoders.lightness import Lightness
from jssl.models.headed import with_heads
from jssl.models.masked.maps import MapDecoder
from jssl.models.network import network
from jssl.objectives.colorization import AB_BINS, annealed_mean, rare_colors


def true_colors(keys, images):
    """Takes an image's own colors for the label.

    Args:
        keys: unused; nothing is drawn.
        images: [B, H, W, 3] in [0, 1].
    Returns:
        (images, {"color": [B, H, W, 2]}), a and b of Lab.
    """
    return images, {"color": rgb_to_lab(images)[..., 1:]}


def colorization(encoder, *, decoder=None, bins=AB_BINS, **weighting) -> Method:
    """Predicts the colors of an image from its lightness.

    Args:
        encoder: a Linen module; it is wrapped in `Lightness` unless it is one.
        decoder: [B, N, D] -> [B, h, w, Q] logits of the bins; one layer by default, on the encoder's grid.
        bins: [Q, 2], colors a, b.
        weighting: as for `rare_colors`: mix, neighbours, sigma, grey.
    Returns:
        A `Method`; views: one global one, of colors in [0, 1]. Its features are computed without colors.
    References:
        arXiv:1603.08511
    """
    encoder = encoder if isinstance(encoder, Lightness) else Lightness(encoder)
    model = with_heads(encoder, color=("tokens", decoder or MapDecoder(len(bins))))
    return pretext(model, rare_colors(bins=bins, **weighting), transform=true_colors)


def colored(
    method: Method, state, images, *, decoder=None, bins=AB_BINS, temperature: float = 0.38
) -> tuple[jax.Array, jax.Array]:
    """Gives images the colors that a trained network predicts.

    Args:
        method, state: of `colorization` and training.
        images: [B, H, W, 3] in [0, 1].
        decoder, bins: as given to `colorization`.
        temperature: as for `annealed_mean`.
    Returns:
        (the images without colors, the images with predicted colors), [B, H, W, 3] in [0, 1].
    """
    tokens = method.features(state.params, state.teacher, state.memory, images).tokens
    own = state.params["color"], state.memory["statistics"]["color"]
    logits, _ = network(decoder or MapDecoder(len(bins))).apply(*own, tokens)
    ab = annealed_mean(logits, bins, temperature=temperature)
    lightness = rgb_to_lab(images)[..., :1]
    ab = jax.image.resize(ab, (*images.shape[:3], 2), "bilinear")
    grey = jnp.concatenate([lightness, jnp.zeros_like(ab)], axis=-1)
    return lab_to_rgb(grey), lab_to_rgb(jnp.concatenate([lightness, ab], axis=-1))
