"""Pretext tasks with an adversary: what is made of an image has to pass for real."""

import jax.numpy as jnp

from jssl import objectives
from jssl.methods.base import Method
from jssl.methods.frames.pretext import pretext
from jssl.models.masked.adversary import with_adversary
from jssl.models.masked.maps import MapDecoder, Squeezed
from jssl.models.network import with_heads
from jssl.objectives import stateless

MEAN_COLOR = tuple(2 * value / 255 - 1 for value in (117.0, 104.0, 123.0))  # in [-1, 1], the authors' order


def hollowed(keys, images, *, band: int = 0, color=MEAN_COLOR):
    """Cuts a hole of half an image's sides out of its middle.

    Args:
        keys: unused; nothing is drawn.
        images: [B, H, W, C], H and W multiples of 4.
        band: of the hole's border, so many pixels are left.
        color: [C], what it is filled with.
    Returns:
        (images with the hole, what was in it with its border [B, H / 2, W / 2, C]).
    Raises:
        ValueError: for other sides, or a border that leaves no hole.
    """
    rows, columns = images.shape[1:3]
    if rows % 4 or columns % 4 or not 0 <= 4 * band < min(rows, columns):
        raise ValueError(
            f"the middle of an image is cut out: its sides must be multiples of 4, and more than 4 times the "
            f"band of {band} pixels; got {rows} x {columns}"
        )
    middle = images[:, rows // 4 : -rows // 4, columns // 4 : -columns // 4]
    down, right = rows // 4 + band, columns // 4 + band
    fill = jnp.resize(jnp.asarray(color, images.dtype), (images.shape[-1],))
    return images.at[:, down:-down, right:-right].set(fill), middle


def context_encoder(
    encoder, *, decoder=None, squeezed=None, adversary=None, weight: float = 0.001, band: int = 0, border=10.0
) -> Method:
    """Fills the hole in an image's middle.

    Args:
        encoder: anything `network` takes.
        decoder: [B, n, d] -> [B, H / 2, W / 2, C], what fills it.
        squeezed: the encoder's tokens [B, N, D] -> [B, n, d]; `Squeezed` by default.
        adversary: images [B, H / 2, W / 2, C] -> [B] logits, such as `Judge`, for what looks sharp; None:
            what fills the hole is the mean of what could.
        weight: of passing for real, 1 - weight being that of the error.
        band: width of the hole's border that is left, in pixels.
        border: weight of errors there.
    Returns:
        A `Method`; views: one global one, in [-1, 1]. Metrics: `error`, and with an adversary `judgement` and
        `passing`.
    References:
        arXiv:1604.07379
    """

    def task(keys, images):
        given, middle = hollowed(keys, images, band=band)
        return (given if adversary is None else (given, middle)), {"middle": middle}

    def losses(outputs):
        seen, target = outputs.student, outputs.target["middle"]
        error = objectives.filled_hole(seen["middle"], target, band=band, weight=border)
        if adversary is None:
            return error, {}
        judged, passed = objectives.judgement(seen["real"], seen["made"]), objectives.passing(seen["passing"])
        metrics = {"error": error.mean(), "judgement": judged.mean(), "passing": passed.mean()}
        return (1 - weight) * error + weight * passed + judged, metrics

    decoder, squeezed = decoder or MapDecoder(3, last=jnp.tanh), squeezed or Squeezed(4000, 512)
    model = with_heads(encoder, squeezed=("tokens", squeezed), middle=("squeezed", decoder))
    model = model if adversary is None else with_adversary(model, adversary, makes="middle")
    return pretext(model, stateless(losses), transform=task)
