"""Figures of particular methods for the report, such as a ViT's attention and a masked autoencoder's
reconstructions.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.programs import used_seldom
from jssl.data.augment.base import Statistics
from jssl.data.sources import scenes
from jssl.evaluate.protocols.unseen_pairs import embed_pairs, zero_shot_accuracy
from jssl.evaluate.protocols.zero_shot import zero_shot_classify
from jssl.methods.base import Method
from jssl.methods.colors import colored
from jssl.methods.pretext import predicted_rotations
from jssl.objectives import patchify, unpatchify
from jssl.run.settings.experiment import Figure


def attention_figure(
    method: Method, encoder, view, *, normalized: Statistics | None = None
) -> tuple[Figure, ...]:
    """Makes the figure of the attention of a ViT's [CLS] token, as an experiment's `figures`; none for other
    encoders.

    Args:
        method: The network that its `encoder` selects is shown: the student or the teacher.
        encoder: The Linen module.
        view: The evaluation view.
        normalized: What it normalises with, by default ImageNet's statistics.
    Returns:
        Figures, at most one.
    """
    if not hasattr(encoder, "patch") or not getattr(encoder, "class_token", False):
        return ()

    def figure(state, images):
        from jssl.evaluate import figures
        from jssl.models import cls_attention

        @used_seldom
        def attended(variables, images):
            seen = view(images)
            return seen, cls_attention(encoder, variables, seen)

        variables = method.encoder(state.params, state.teacher, state.memory)
        seen, attention = attended(variables, images[:6])
        drawn = figures.attention_maps(
            figures.unnormalized(seen, normalized), np.asarray(attention), encoder.grid(seen.shape)
        )
        caption = "What the class token attends to, in the last block: the mean over heads, and single heads."
        return [(caption, drawn)]

    return (figure,)


def masks_figure(
    method: Method, encoder, view, *, normalized: Statistics | None = None
) -> tuple[Figure, ...]:
    """Makes the figure of several ways to hide patches, side by side, as an experiment's `figures`.

    Args:
        method: The attention is that of the network that its `encoder` selects.
        encoder: The Linen module, a ViT with a class token.
        view: The evaluation view.
        normalized: What the view normalises with, by default ImageNet's statistics.
    Returns:
        One figure.
    """

    def figure(state, images):
        from jssl.evaluate import figures
        from jssl.evaluate.analysis import masks_of_all
        from jssl.models import cls_attention

        seen = view(jnp.asarray(images[:8]))
        variables = method.encoder(state.params, state.teacher, state.memory)
        attended = used_seldom(lambda *given: cls_attention(encoder, *given).mean(1))
        attention = attended(variables, seen)
        grid = encoder.grid(seen.shape)
        hidden = masks_of_all(attention, grid)
        drawn = figures.mask_gallery(figures.unnormalized(seen, normalized), hidden, grid)
        caption = "What is left of images by several ways to hide their patches."
        return [(caption, drawn)]

    return (figure,)


def _of_a_few(method, view, state, images):
    """The first six images as the network sees them, and the method's outputs for them."""
    seen = view(jnp.asarray(images[:6]))
    views = {"global": seen[None], "index": jnp.arange(len(seen))}
    given = state.params, state.teacher, state.memory, views, jax.random.key(0)
    return seen, used_seldom(method.outputs)(*given)


def reconstruction_figure(
    method: Method, view, *, patch: int, standardized: bool = False, normalized: Statistics | None = None
) -> tuple[Figure, ...]:
    """Makes the figure of masked, reconstructed and original images, as an experiment's `figures`.

    Args:
        method: One whose outputs hold a prediction of pixels, "patch" [V, B, N, P * P * C].
        view: The evaluation view.
        patch: Side P.
        standardized: Whether the method predicts pixels normalised within each patch; the figure undoes it
            with the patch's statistics.
        normalized: What the view normalises with, by default ImageNet's statistics.
    Returns:
        One figure.
    """

    def figure(state, images):
        from jssl.evaluate import figures

        seen, outputs = _of_a_few(method, view, state, images)
        predicted, target = outputs.student["patch"][0], patchify(seen, patch)
        if standardized:
            mean, variance = target.mean(-1, keepdims=True), target.var(-1, keepdims=True, ddof=1)
            predicted = predicted * jnp.sqrt(variance + 1e-6) + mean
        grid = seen.shape[1] // patch, seen.shape[2] // patch
        filled = unpatchify(predicted, patch, channels=seen.shape[-1], grid=grid)
        images, filled = (figures.unnormalized(one, normalized) for one in (seen, filled))
        drawn = figures.reconstructions(images, np.asarray(outputs.mask[0]), filled, grid)
        return [("Patches hidden, filled in by the network, and as they were.", drawn)]

    return (figure,)


def rotation_figure(method: Method, view) -> tuple[Figure, ...]:
    """Makes the figure of images in their four rotations, as an experiment's `figures`.

    Args:
        method: `jssl.methods.rotation`.
        view: The evaluation view.
    Returns:
        One figure; its caption says how many rotations are predicted correctly.
    """

    def figure(state, images):
        from jssl.evaluate import figures

        guesses = np.asarray(predicted_rotations(method, state, view(jnp.asarray(images))))
        told = 100 * np.mean(guesses == np.arange(4)[:, None])
        caption = (
            "Whether the network tells by how much images were turned; blue: it does, dashed orange: it does "
            f"not. Of {len(images)} images {told:.1f} % of the rotations are told right."
        )
        return [(caption, figures.turned_gallery(images[:8], guesses[:, :8]))]

    return (figure,)


def color_figure(method: Method, view, decoder, *, temperature: float = 0.38) -> tuple[Figure, ...]:
    """Makes the figure of images without color, with that predicted, and with their own, as an experiment's
    `figures`.

    Args:
        method: `jssl.methods.colorization`.
        view: The evaluation view, of colors in [0, 1].
        decoder: The method's.
        temperature: Of the predicted colors, 0.38 in the paper.
    Returns:
        One figure.
    """

    def figure(state, images):
        from jssl.evaluate import figures

        seen = view(jnp.asarray(images[:8]))
        how = dict(decoder=decoder, temperature=temperature)
        grey, guessed = used_seldom(lambda state, seen: colored(method, state, seen, **how))(state, seen)
        drawn = figures.colored_gallery(grey, guessed, seen)
        return [
            (
                "Images without color, in the colors that the network predicts, and in their own.",
                drawn,
            )
        ]

    return (figure,)


def hole_figure(method: Method, view, *, normalized: Statistics | None = None) -> tuple[Figure, ...]:
    """Makes the figure of images with a hole in their middle, filled in, and whole, as an experiment's
    `figures`.

    Args:
        method: `jssl.methods.context_encoder`.
        view: The evaluation view.
        normalized: What the view normalises with, by default ImageNet's statistics.
    Returns:
        One figure.
    """

    def figure(state, images):
        from jssl.evaluate import figures

        seen, outputs = _of_a_few(method, view, state, images)
        middle = outputs.student["middle"]
        down, right = seen.shape[1] // 4, seen.shape[2] // 4
        filled = seen.at[:, down:-down, right:-right].set(middle.astype(seen.dtype))
        hidden = np.zeros((len(seen), 4, 4), bool)
        hidden[:, 1:3, 1:3] = True
        shown = (figures.unnormalized(one, normalized) for one in (seen, filled))
        drawn = figures.reconstructions(next(shown), hidden.reshape(len(seen), -1), next(shown), (4, 4))
        return [("Images with a hole, filled in by the network, and as they were.", drawn)]

    return (figure,)


def caption_figure(method: Method, view) -> tuple[Figure, ...]:
    """Makes the figure of unseen scenes against their captions, as an experiment's `figures`.

    Args:
        method: One of images and captions, trained on scenes.
        view: The evaluation view.
    Returns:
        One figure; its caption says the zero-shot accuracy.
    """

    def figure(state, images):
        from jssl.evaluate import figures

        unseen = scenes.scenes(split="unseen", count=8)
        seen, tokens = view(jnp.asarray(unseen.images)), jnp.asarray(unseen.extras["caption"])
        a, b = embed_pairs(method, state, seen, tokens)
        captions = [scenes.caption(row) for row in unseen.extras["attributes"]]
        drawn = figures.caption_similarities(unseen.images, captions, zero_shot_classify(a, b[:, None]))
        accuracy = zero_shot_accuracy(method, state, view)
        told = ", ".join(f"{name} {100 * value:.0f} %" for name, value in accuracy.items())
        caption = (
            "Cosines of unseen scenes with captions. Zero-shot on pairs of shape and color never trained on"
        )
        return [(f"{caption}: {told}.", drawn)]

    return (figure,)
