"""Zero-shot classification by a run of images and captions, whose words are those of scenes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.catalog import load
from jssl.evaluate.protocols.unseen_pairs import class_prompts, embed_pairs
from jssl.run.families import Texts
from jssl.run.saved import open_run

Embedded = tuple[jax.Array, jax.Array]


def towers_of(directory: str) -> Callable[[str], Embedded | None]:
    """Makes what embeds test images, and captions of their classes, by a run's two towers.

    Args:
        directory: Of the run, which is opened when it is asked.
    Returns:
        data -> (images [M, D], captions [classes, T, D]); None for other data than scenes, and for a run
        without two towers.
    """

    def embedded(data: str) -> Embedded | None:
        kind, _, label = data.partition(":")
        run = open_run(directory) if kind == "scenes" else None
        if run is None or run.method.outputs is None or not isinstance(run.settings, Texts):
            return None
        test, texts = load(data, split="test"), class_prompts(label or "shape")
        flat = texts.reshape(-1, texts.shape[-1])
        seen, found = run.preprocessing(jnp.asarray(test.images)), []
        for at in range(0, len(seen), len(flat)):  # as many images as captions go through together
            rows = np.arange(at, at + len(flat)) % len(seen)
            found.append(embed_pairs(run.method, run.state, seen[rows], jnp.asarray(flat)))
        images = jnp.concatenate([images for images, _ in found])[: len(seen)]
        return images, found[0][1].reshape(*texts.shape[:2], -1)

    return embedded
