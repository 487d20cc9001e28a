"""Embeds images and captions with the two towers of a run whose vocabulary is that of scenes."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.catalog import load
from jssl.evaluate.protocols.unseen_pairs import class_prompts, embed_pairs
from jssl.run.saved import open_run
from jssl.run.settings.families import Texts

PAIRS = 256  # that go through the towers together
TEMPLATES = (  # the seven that CLIP's authors chose for ImageNet
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)


class Embedded(NamedTuple):
    """The embeddings of a data set by two towers; None for those that cannot be computed.

    Attributes:
        images: [M, D] test images.
        prompts: [classes, T, D] captions of the classes.
        captions: [M, D] the images' own captions.
    """

    images: jax.Array | None
    prompts: jax.Array | None
    captions: jax.Array | None


def towers_of(directory: str) -> Callable[[str], Embedded | None]:
    """Makes the function that embeds test images, and captions of their classes, by a run's two towers.

    Args:
        directory: Of the run, which is opened at each call.
    Returns:
        data -> `Embedded`; None for other data than scenes, and for a run without two towers.
    """

    def embedded(data: str) -> Embedded | None:
        kind, _, label = data.partition(":")
        run = open_run(directory) if kind == "scenes" else None
        if run is None or run.method.outputs is None or not isinstance(run.settings, Texts):
            return None
        test, texts = load(data, split="test"), class_prompts(label or "shape")
        seen, own = run.preprocessing(jnp.asarray(test.images)), jnp.asarray(test.extras["caption"])
        flat = jnp.asarray(texts.reshape(-1, texts.shape[-1]))
        parts = [slice(at, at + PAIRS) for at in range(0, len(seen), PAIRS)]
        pairs = [embed_pairs(run.method, run.state, seen[part], own[part]) for part in parts]
        images, captions = (jnp.concatenate(rows) for rows in zip(*pairs, strict=True))
        _, found = embed_pairs(run.method, run.state, seen[np.arange(len(flat)) % len(seen)], flat)
        return Embedded(images, found.reshape(*texts.shape[:2], -1), captions)

    return embedded
