"""Images and captions on scenes: zero-shot accuracy on pairs of shape and color that training never
showed.
"""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.sources import scenes
from jssl.evaluate.protocols.zero_shot import zero_shot_classify
from jssl.methods.base import Method
from jssl.train import TrainState

TEMPLATES = [(2, 1, 0, 0), (4, 0, 1, 3), (0, 1, 2, 5), (1, 0, 3, 6)]
"""Position, size, texture and ground of a prompt."""


def prompts() -> np.ndarray:
    """Writes captions of every shape in every color, in several templates.

    Returns:
        Token ids [shapes * colors, T, L].
    """
    pairs = product(range(len(scenes.SHAPES)), range(len(scenes.COLORS)))
    rows = np.array([[(s, c, *template) for template in TEMPLATES] for s, c in pairs])
    tokens = scenes.caption_tokens(jnp.asarray(rows.reshape(-1, rows.shape[-1])))
    return np.asarray(tokens).reshape(*rows.shape[:2], -1)


def class_prompts(label: str) -> np.ndarray:
    """Writes eight captions for every class of scenes: those of eight scenes, with the class put in.

    Args:
        label: Which of the scenes' attributes is the class.
    Returns:
        Token ids [classes, 8, L].
    """
    column = scenes.ATTRIBUTES.index(label)
    classes = len(scenes.scenes(split="test", count=1, label=label).class_names)
    rows = scenes.attributes(jnp.arange(8), split="test")
    each = [rows.at[:, column].set(number) for number in range(classes)]
    return np.stack([scenes.caption_tokens(x) for x in each])


def embed_pairs(
    method: Method, state: TrainState, images: jax.Array, captions: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Embeds paired images and captions with a method's two towers.

    Args:
        method: One whose outputs hold "image" and "caption".
        state: Its train state.
        images: [B, H, W, C] as the evaluation view makes them.
        captions: [B, L] token ids.
    Returns:
        (images [B, D], captions [B, D]).
    Raises:
        ValueError: for a method without outputs, such as one that adds up several methods.
    """
    if method.outputs is None:
        raise ValueError("embed_pairs: a method of several objectives has no outputs to look at")
    views = {"global": images[None], "caption": captions, "index": jnp.arange(len(images))}
    outputs = jax.jit(method.outputs)(state.params, state.teacher, state.memory, views, jax.random.key(0))
    return outputs.student["image"], outputs.student["caption"]


def zero_shot_accuracy(method: Method, state: TrainState, view) -> dict[str, float]:
    """Measures zero-shot accuracy on 512 scenes whose pair of shape and color was never trained on.

    Args:
        method: One of images and captions.
        state: Its train state.
        view: The evaluation view.
    Returns:
        {"pair", "shape", "color": shares of scenes classified correctly}; chance is 1 in 80 for the pair.
    """
    unseen, texts = scenes.scenes(split="unseen", count=512), prompts()
    flat = jnp.asarray(texts.reshape(-1, texts.shape[-1]))
    images = view(jnp.asarray(unseen.images))
    rows = jnp.arange(len(flat)) % len(images)
    embedded, _ = embed_pairs(method, state, images, jnp.asarray(unseen.extras["caption"]))
    _, classes = embed_pairs(method, state, images[rows], flat)
    found = np.asarray(zero_shot_classify(embedded, classes.reshape(*texts.shape[:2], -1)).argmax(-1))
    shape = found // len(scenes.COLORS) == unseen.extras["attributes"][:, 0]
    color = found % len(scenes.COLORS) == unseen.extras["attributes"][:, 1]
    return {
        name: float(np.mean(x)) for name, x in (("pair", shape & color), ("shape", shape), ("color", color))
    }
