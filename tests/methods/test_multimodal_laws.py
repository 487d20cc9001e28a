"""CLIP tells pairs of shape and color that it never saw together."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods
from jssl.data.sources import scenes
from jssl.evaluate.protocols.unseen_pairs import embed_pairs, zero_shot_accuracy
from tests.methods import toys


class Reader(nn.Module):
    """Tokens [B, L] -> [B, D], the words at their places."""

    @nn.compact
    def __call__(self, tokens):
        return nn.Embed(len(scenes.WORDS), 16)(tokens).reshape(len(tokens), -1)


def view(images):
    return jnp.asarray(images, jnp.float32)[:, ::2, ::2] / 127.5 - 1


def views(key, batch):
    return {"global": view(batch["image"])[None], "caption": batch["caption"], "index": batch["index"]}


def alike(source, *, size):
    """step -> a batch of scenes of one position and ground, which leave more to tell apart by shape and
    color.
    """
    images, captions = jnp.asarray(source.images), jnp.asarray(source.extras["caption"])
    _, kind = np.unique(source.extras["attributes"][:, [2, 5]], axis=0, return_inverse=True)

    def batch_of(step):
        rng = np.random.default_rng(step)
        rows = rng.choice(np.flatnonzero(kind == rng.integers(kind.max() + 1)), size)
        return {"image": images[rows], "caption": captions[rows], "index": jnp.asarray(rows, jnp.int32)}

    return batch_of


def test_zero_shot_on_pairs_never_seen_together_is_far_above_chance():
    method, batch_of = (
        methods.clip(toys.Convolutions((24, 48), 128), Reader(), dim=64),
        alike(scenes.scenes(), size=128),
    )
    before, after = (
        zero_shot_accuracy(method, toys.trained(method, optax.adam(3e-3), views, batch_of, steps=steps), view)
        for steps in (0, 600)
    )
    pairs = len(scenes.SHAPES) * len(scenes.COLORS)
    assert before["pair"] < 5 / pairs and after["pair"] > 10 / pairs, (before, after)
    assert after["color"] > 0.8 and after["shape"] > 0.15, after


def test_pairs_are_embedded_by_a_method_with_outputs_alone():
    method = methods.clip(toys.Convolutions((24, 48), 128), Reader(), dim=64)._replace(outputs=None)
    with pytest.raises(ValueError, match="embed_pairs: a method of several objectives has no outputs"):
        embed_pairs(method, None, jnp.zeros((2, 8, 8, 3)), jnp.zeros((2, 4), int))
