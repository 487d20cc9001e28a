"""Pretext tasks with a discriminator, which tells generated images from real ones."""

from functools import partial

import jax
import jax.numpy as jnp

from jssl import objectives
from jssl.arrays.keys import uniform
from jssl.methods.base import Method
from jssl.methods.frames.pretext import pretext
from jssl.methods.frames.siamese import siamese
from jssl.models.headed import with_heads
from jssl.models.heads import linear_head
from jssl.models.masked.adversary import with_adversary
from jssl.models.masked.maps import MapDecoder, Squeezed
from jssl.objectives import stateless

MEAN_COLOR = tuple(2 * value / 255 - 1 for value in (117.0, 104.0, 123.0))  # in [-1, 1], the authors' order


def hollowed(keys, images, *, band: int = 0):
    """Cuts a hole of half an image's sides out of its middle, and fills it with `MEAN_COLOR`.

    Args:
        keys: unused; nothing is drawn.
        images: [B, H, W, C], H and W multiples of 4.
        band: width in pixels of the hole's border that is left.
    Returns:
        (images with the hole, the original content of the hole with its border [B, H / 2, W / 2, C]).
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
    fill = jnp.resize(jnp.asarray(MEAN_COLOR, images.dtype), (images.shape[-1],))
    return images.at[:, down:-down, right:-right].set(fill), middle


def context_encoder(
    encoder, *, decoder=None, squeezed=None, adversary=None, weight: float = 0.001, band: int = 0, border=10.0
) -> Method:
    """Fills the hole in an image's middle.

    Args:
        encoder: anything `network` takes.
        decoder: [B, n, d] -> [B, H / 2, W / 2, C], the filled hole.
        squeezed: the encoder's tokens [B, N, D] -> [B, n, d]; `Squeezed` by default.
        adversary: images [B, H / 2, W / 2, C] -> [B] logits, a discriminator such as `Judge`, which makes the
            result sharper; None: the error alone is minimised, which predicts the mean of all possible
            contents.
        weight: weight of the generator's adversarial loss; the error has 1 - weight. At 0 there is no
            adversary.
        band: width of the hole's border that is left, in pixels.
        border: weight of errors there.
    Returns:
        A `Method`; views: one global one, in [-1, 1]. Metrics: `error`; `trivial`, the error of the batch's
        mean color; and with an adversary `judgement` and `passing`.
    References:
        arXiv:1604.07379
    """
    adversary = adversary if weight else None

    def cut(keys, images):
        given, middle = hollowed(keys, images, band=band)
        return (given if adversary is None else (given, middle)), {"middle": middle}

    def losses(outputs):
        seen, target = outputs.student, outputs.target["middle"]
        mean = jnp.broadcast_to(target.mean((0, 1, 2)), target.shape)
        error, trivial = (
            objectives.filled_hole(filling, target, band=band, weight=border)
            for filling in (seen["middle"], mean)
        )
        metrics = {"error": error.mean(), "trivial": trivial.mean()}
        if adversary is None:
            return error, metrics
        judged, passed = objectives.judgement(seen["real"], seen["made"]), objectives.passing(seen["passing"])
        metrics |= {"judgement": judged.mean(), "passing": passed.mean()}
        return (1 - weight) * error + weight * passed + judged, metrics

    decoder, squeezed = decoder or MapDecoder(3, last=jnp.tanh), squeezed or Squeezed(4000, 512)
    model = with_heads(encoder, squeezed=("tokens", squeezed), middle=("squeezed", decoder))
    model = model if adversary is None else with_adversary(model, adversary, makes="middle")
    return pretext(model, stateless(losses), transform=cut)


def autoencoder(module, *, error: float = 30.0) -> Method:
    """Learns to put images together again: the first stage of `spot_artifacts`.

    Args:
        module: an `AutoEncoder`.
        error: weight of the error, relative to the optimizer's weight decay.
    Returns:
        A `Method`; views: one global one, in [-1, 1].
    References:
        arXiv:1806.05024
    """

    def losses(outputs):
        return error * objectives.image_error(outputs.student["image"][0], outputs.views["global"][0])

    return siamese(module, stateless(losses))


def dropped(keys, images, *, sides: int, keep: float):
    """Draws which points of an image's map stay undamaged.

    Args:
        keys: [B].
        images: [B, H, W, C].
        sides: the image's side divided by the map's.
        keep: share of the points that stay.
    Returns:
        ((images, [B, h, w, 1] 1 where kept), {"kept": the same, "image": images}).
    """
    shape = (images.shape[1] // sides, images.shape[2] // sides, 1)
    kept = (uniform(keys, shape=shape) < keep).astype(images.dtype)
    return (images, kept), {"kept": kept, "image": images}


def spot_artifacts(
    encoder, maker, *, sides: int, keep: float = 0.3, error: float = 30.0, where: float = 0.1
) -> Method:
    """Classifies decoded images by whether the auto-encoder's map was damaged and repaired in between.

    The maker's loss is the sum of its adversarial loss (`passing`) and of the error. The authors' code also
    adds the adversary's loss, whose gradient has the opposite direction, so that their maker is trained
    towards an adversary that cannot decide.

    Args:
        encoder: anything `network` takes; its features are evaluated.
        maker: the network that `artifacts` makes from a frozen auto-encoder.
        sides: an image's side divided by that of the auto-encoder's map.
        keep: share of the map's points that are not damaged.
        error: weight of the error in undamaged places, for the maker.
        where: weight of the loss for predicting which points were damaged.
    Returns:
        A `Method`; views: one global one, in [-1, 1]. Metrics: `accuracy` of the classification, `judgement`,
        `where`, `passing` and `error`.
    References:
        arXiv:1806.05024
    """

    def losses(outputs):
        known, made, passing = (outputs.student[name] for name in ("real", "made", "passing"))
        kept, images = outputs.target["kept"], outputs.target["image"]
        verdicts = [x["verdict"][:, 0] for x in (known, made)]
        whole = objectives.where_kept(known["where"][..., 0], jnp.ones_like(kept))
        terms = {
            "judgement": 0.5 * objectives.judgement(*verdicts),
            "where": where * 0.5 * (whole + objectives.where_kept(made["where"][..., 0], kept)),
            "passing": 0.5 * objectives.passing(passing["verdict"][:, 0]),
            "error": error * objectives.error_where(outputs.student["image"], images, kept),
        }
        right = 0.5 * (jnp.mean(verdicts[0] > 0) + jnp.mean(verdicts[1] <= 0))
        told = {"accuracy": right, "chance": jnp.asarray(0.5)}
        return sum(terms.values()), told | jax.tree.map(jnp.mean, terms)

    adversary = with_heads(encoder, verdict=linear_head(1), where=("tokens", linear_head(1)))
    model = with_adversary(maker, adversary, makes="image", real="clean", evaluated=True)
    return pretext(model, stateless(losses), transform=partial(dropped, sides=sides, keep=keep))
