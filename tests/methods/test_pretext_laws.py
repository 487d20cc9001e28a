"""A network tells by how much held-out images were turned; a task is asked as a network is evaluated."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods
from jssl.data.sources import scenes
from jssl.methods.frames.pretext import pretext
from jssl.methods.pretext import predicted_rotations
from jssl.objectives import stateless
from tests.law_table import TABLE
from tests.law_toys import batch
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
    rest = after.params, None, after.memory, images["test"], jnp.arange(512)
    asked = jax.jit(method.task)(*rest)
    np.testing.assert_allclose(asked["accuracy"], right[1].mean(), atol=1e-6)
    assert asked["chance"] == 0.25


def as_seen(images):
    return jnp.asarray(images, jnp.float32) / 127.5 - 1


@pytest.mark.parametrize(
    "name", ["rotation", "context_prediction", "jigsaw", "jigsaw_pp", "counting", "spot_artifacts"]
)
def test_a_task_says_what_a_guess_reaches(name):
    """A network as it is drawn is not far above it."""
    method, views = TABLE[name].make(), TABLE[name].views(jax.random.key(0), batch())

    @jax.jit
    def asked(views):
        params, memory = method.init(jax.random.key(1), views)
        return method.task(params, None, memory, views["global"][0], views["index"])

    told = asked(views)
    chance = {"rotation": 1 / 4, "context_prediction": 1 / 8, "jigsaw": 1 / 4, "jigsaw_pp": 1 / 4}
    assert told["chance"] == chance.get(name, 1 / 2) and 0 <= told["accuracy"] <= 1


class Normed(nn.Module):
    """Images -> their mean, normalised by the batch in training, half of it dropped."""

    @nn.compact
    def __call__(self, images, *, train=False):
        mean = images.mean((1, 2))
        return nn.Dropout(0.5, deterministic=not train)(nn.BatchNorm(use_running_average=not train)(mean))


def test_a_task_is_asked_in_evaluation_mode_with_the_same_draws():
    def shifted(keys, images):
        drawn = jax.vmap(lambda key: jax.random.uniform(key))(keys)
        return images + drawn[:, None, None, None], {"drawn": drawn}

    def losses(outputs):
        seen, drawn = outputs.student["cls"], outputs.target["drawn"]
        return seen, {"size": jnp.mean(seen**2), "drawn": drawn.mean()}

    method = pretext(Normed(), stateless(losses), transform=shifted)
    images = 5 + jax.random.normal(jax.random.key(0), (6, 4, 4, 3))
    params, memory = jax.jit(method.init)(jax.random.key(1), {"global": images[None], "index": jnp.arange(6)})
    rest = params, None, memory
    whole, again = (method.task(*rest, images, jnp.arange(6)) for _ in range(2))
    assert whole == again and whole["size"] > 10  # training would have normalised it to 1
    halves = [method.task(*rest, images[rows], rows) for rows in jnp.arange(6).reshape(2, 3)]
    for name in whole:  # each image by itself, with a draw of its own
        np.testing.assert_allclose(np.mean([half[name] for half in halves]), whole[name], rtol=1e-5)
    assert halves[0]["drawn"] != halves[1]["drawn"]
