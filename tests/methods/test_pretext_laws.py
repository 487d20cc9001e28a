"""A network learns to tell by how much held-out images were turned."""

import jax
import jax.numpy as jnp
import optax

from jssl import methods
from jssl.data.sources import scenes
from jssl.methods.pretext import predicted_rotations
from tests.methods import toys

SIDE = 16


def test_rotation_is_told_on_images_never_trained_on():
    train, test = (scenes.scenes(split=split, side=SIDE, count=512) for split in ("train", "test"))
    images = {"train": as_seen(train.images), "test": as_seen(test.images)}

    def batch_of(step):
        rows = jax.random.randint(jax.random.key(step), (32,), 0, len(train))
        return {"image": images["train"][rows], "index": rows}

    method = methods.rotation(toys.Convolutions((16, 32), 64))  # a scene's light falls from one side
    views = toys.noisy(1, noise=0.05)
    before, after = (
        toys.trained(method, optax.adam(3e-3), views, batch_of, steps=steps) for steps in (0, 150)
    )
    right = [
        predicted_rotations(method, state, images["test"]) == jnp.arange(4)[:, None]
        for state in (before, after)
    ]
    assert right[1].shape == (4, 512)
    assert jnp.mean(right[0]) < 0.5 and jnp.mean(right[1]) > 0.8
    assert jnp.all(right[1].mean(1) > 0.7)  # in every rotation


def as_seen(images):
    return jnp.asarray(images, jnp.float32) / 127.5 - 1
