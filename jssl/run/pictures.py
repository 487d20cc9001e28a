"""Figures of a method's own, for the report: what a ViT attends to, what a masked autoencoder fills in."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.augment.base import IMAGENET_MEAN, IMAGENET_STD
from jssl.methods.base import Method
from jssl.objectives import patchify, unpatchify
from jssl.run.experiment import Figure


def attention_figure(encoder, view, *, params=lambda state: state.params["encoder"]) -> tuple[Figure, ...]:
    """What a ViT's [CLS] token attends to, as an experiment's `figures`; none for other encoders.

    encoder: the Linen module. view: the evaluation view. params: state -> the encoder's parameters.
    """
    if not hasattr(encoder, "patch") or not getattr(encoder, "class_token", False):
        return ()

    def figure(state, images):
        from jssl.evaluate import figures
        from jssl.models import cls_attention

        seen = view(images[:6])
        attention = jax.jit(partial(cls_attention, encoder))({"params": params(state)}, seen)
        drawn = figures.attention_maps(_shown(seen), np.asarray(attention), encoder.grid(seen.shape))
        caption = "What the class token attends to, in the last block: the mean over heads, and single heads."
        return [(caption, figures.png(drawn))]

    return (figure,)


def reconstruction_figure(
    method: Method, view, *, patch: int, normalized: bool = False
) -> tuple[Figure, ...]:
    """Masked, reconstructed and original images, as an experiment's `figures`.

    method: one whose outputs hold a prediction of pixels, "patch" [V, B, N, P * P * C]. view: the evaluation view.
    patch: side P. normalized: predictions are of pixels normalised within each patch, and are given back its statistics.
    """

    def figure(state, images):
        from jssl.evaluate import figures

        seen = view(jnp.asarray(images[:8]))
        views = {"global": seen[None], "index": jnp.arange(len(seen))}
        outputs = jax.jit(method.outputs)(state.params, state.teacher, state.memory, views, jax.random.key(0))
        predicted, target = outputs.student["patch"][0], patchify(seen, patch)
        if normalized:
            mean, variance = target.mean(-1, keepdims=True), target.var(-1, keepdims=True, ddof=1)
            predicted = predicted * jnp.sqrt(variance + 1e-6) + mean
        filled = unpatchify(predicted, patch, channels=seen.shape[-1])
        grid = seen.shape[1] // patch, seen.shape[2] // patch
        drawn = figures.reconstructions(_shown(seen), np.asarray(outputs.mask[0]), _shown(filled), grid)
        return [("Patches hidden, filled in by the network, and as they were.", figures.png(drawn))]

    return (figure,)


def _shown(images):
    """Images as they were before the evaluation view normalised them."""
    return np.clip(np.asarray(images) * np.asarray(IMAGENET_STD) + np.asarray(IMAGENET_MEAN), 0, 1)
