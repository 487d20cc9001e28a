"""Images and captions on scenes: zero-shot accuracy on pairs of shape and color that training never showed."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.sources import scenes
from jssl.evaluate import zero_shot_classify
from jssl.methods.base import Method
from jssl.run.experiment import Figure
from jssl.train import TrainState

TEMPLATES = [
    (2, 1, 0, 0),
    (4, 0, 1, 3),
    (0, 1, 2, 5),
    (1, 0, 3, 6),
]  # position, size, texture and ground of a prompt


def prompts() -> np.ndarray:
    """Captions of every shape in every color, in several templates: token ids [shapes * colors, T, L]."""
    pairs = product(range(len(scenes.SHAPES)), range(len(scenes.COLORS)))
    rows = np.array([[(s, c, *template) for template in TEMPLATES] for s, c in pairs])
    return np.asarray(scenes.caption_tokens(jnp.asarray(rows.reshape(-1, rows.shape[-1])))).reshape(
        *rows.shape[:2], -1
    )


def embed(
    method: Method, state: TrainState, images: jax.Array, captions: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Both towers' embeddings of paired images [B, H, W, C] and captions [B, L]."""
    views = {"global": images[None], "caption": captions, "index": jnp.arange(len(images))}
    outputs = jax.jit(method.outputs)(state.params, state.teacher, state.memory, views, jax.random.key(0))
    return outputs.student["image"], outputs.student["caption"]


def zero_shot_accuracy(method: Method, state: TrainState, view, *, count: int = 512) -> dict[str, float]:
    """Zero-shot accuracy on scenes whose pair of shape and color was never trained on; chance is 1 in 80 for the pair.

    view: the evaluation view. count: scenes.

    Returns: {"pair", "shape", "color": shares of scenes told right}.
    """
    unseen, texts = scenes.scenes(split="unseen", count=count), prompts()
    flat = jnp.asarray(texts.reshape(-1, texts.shape[-1]))
    rows = jnp.arange(len(flat)) % count
    images = view(jnp.asarray(unseen.images))
    embedded, _ = embed(method, state, images, jnp.asarray(unseen.extras["caption"]))
    _, classes = embed(method, state, images[rows], flat)
    found = np.asarray(zero_shot_classify(embedded, classes.reshape(*texts.shape[:2], -1)).argmax(-1))
    shape, color = found // len(scenes.COLORS), found % len(scenes.COLORS)
    right_shape, right_color = (
        np.equal(a, b) for a, b in zip((shape, color), unseen.extras["attributes"].T, strict=False)
    )
    return {
        name: float(np.mean(r))
        for name, r in {"pair": right_shape & right_color, "shape": right_shape, "color": right_color}.items()
    }


def caption_figure(method: Method, view) -> tuple[Figure, ...]:
    """Unseen scenes against their captions, as an experiment's `figures`; the caption says the zero-shot accuracy."""

    def figure(state, images):
        import matplotlib.pyplot as plt

        from jssl.evaluate import figures

        unseen = scenes.scenes(split="unseen", count=8)
        a, b = embed(method, state, view(jnp.asarray(unseen.images)), jnp.asarray(unseen.extras["caption"]))
        drawn, axes = plt.subplots(2, 8, figsize=(11, 5.2), height_ratios=[1, 2.6])
        for ax, image in zip(axes[0], unseen.images, strict=True):
            ax.imshow(image)
            ax.axis("off")
        for ax in axes[1]:
            ax.remove()
        ax = drawn.add_subplot(2, 1, 2)
        cosines = zero_shot_classify(a, b[:, None])
        ax.imshow(np.asarray(cosines).T, cmap="magma", aspect="auto")
        ax.set_yticks(range(8), [scenes.caption(row) for row in unseen.extras["attributes"]], fontsize=7)
        ax.set_xticks([])
        drawn.tight_layout()
        accuracy = zero_shot_accuracy(method, state, view)
        told = ", ".join(f"{name} {100 * value:.0f} %" for name, value in accuracy.items())
        caption = f"Cosines of unseen scenes with captions. Zero-shot on pairs of shape and color never trained on: {told}."
        return [(caption, figures.png(drawn))]

    return (figure,)
