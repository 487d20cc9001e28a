"""Counts add up: over an image's quarters, and nowhere else."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods, models, objectives
from jssl.data.augment.tiles import halved
from jssl.methods.puzzles import scaled_and_cut
from jssl.models.layers.convolution import Conv
from tests.methods import toys

SIDE = 24
KEYS = jax.random.split(jax.random.key(0), 32)
WHERE = jnp.broadcast_to(
    jnp.asarray(np.mgrid[:SIDE, :SIDE].transpose(1, 2, 0), jnp.float32), (32, SIDE, SIDE, 2)
)


def test_quarters_are_all_of_the_image_and_the_copy_is_the_image():
    images = jax.random.normal(jax.random.key(1), (32, SIDE, SIDE, 3))
    parts, _ = scaled_and_cut(KEYS, images)
    assert parts.shape == (32, 5, 12, 12, 3)
    np.testing.assert_allclose(parts[:, 1:].sum((1, 2, 3)), images.sum((1, 2)), rtol=1e-4, atol=1e-4)
    rows = jnp.concatenate([jnp.concatenate([parts[:, i], parts[:, i + 1]], 2) for i in (1, 3)], 1)
    np.testing.assert_array_equal(rows, images)


def test_the_copy_is_made_in_four_ways_that_leave_pixels_where_they_are():
    inside = halved(KEYS, WHERE)[:, 3:-3, 3:-3]
    middle = 2 * np.mgrid[3:9, 3:9].transpose(1, 2, 0) + 0.5
    np.testing.assert_allclose(inside, np.broadcast_to(middle, inside.shape), atol=1e-3)
    assert np.abs(WHERE[:, ::2, ::2][:, 3:-3, 3:-3] - middle).min() == 0.5  # every second pixel would not do
    dot = jnp.zeros((32, SIDE, SIDE, 1)).at[:, 11, 11].set(1.0)
    ways = {tuple(np.round(np.ravel(one), 4)) for one in np.asarray(halved(KEYS, dot))}
    assert len(ways) == 4  # a detector of one way's blur would tell copies from quarters
    with pytest.raises(ValueError, match="images of even sides are halved, got 5 x 4"):
        halved(KEYS[:1], jnp.ones((1, 5, 4, 3)))


def test_counting_nothing_costs_the_margin():
    nothing = jnp.zeros((3, 5))
    np.testing.assert_array_equal(objectives.counting(nothing, jnp.zeros((3, 4, 5)), nothing), 10.0)


def test_an_image_is_not_its_own_other():
    whole, part = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 4, 5)), jnp.float32)
    losses = objectives.counting(whole, jnp.stack([part] * 4, 1), whole)
    assert np.all(losses >= 10.0)  # the terms cancel: at least the margin is left
    method = methods.counting(toys.Mlp((8,)), head=models.count_head(4, hidden=8))
    one = {"global": jnp.ones((1, 1, 8, 8, 3)), "index": jnp.arange(1)}
    with pytest.raises(ValueError, match="got a batch of 1"):
        params, memory = jax.jit(method.init)(jax.random.key(0), one)
        method.loss(params, None, memory, one, jax.random.key(0), 0)


def test_another_image_beyond_the_margin_has_no_gradient():
    whole, parts = jnp.ones((2, 3)), jnp.ones((2, 4, 3))
    slope = jax.grad(lambda other: objectives.counting(whole, parts, other).sum())
    other = jnp.array([[4.0, 4.0, 5.0], [9.0, 9.0, 9.0]])
    assert np.any(slope(other)[0] != 0) and np.all(slope(other)[1] == 0)


class Summed(nn.Module):
    """Images [B, H, W, C] -> [B, D], a sum over places."""

    @nn.compact
    def __call__(self, images):
        x = nn.relu(Conv(16, (3, 3))(images))
        return nn.relu(Conv(16, (3, 3))(x)).sum((1, 2)) / 16


def discs(step, *, size=32):
    """Images with up to eight discs of any size, and how many."""
    rng = np.random.default_rng(step)
    number = rng.integers(0, 9, size)
    place, radius = rng.uniform(1, SIDE - 1, (size, 8, 2, 1, 1)), rng.uniform(1.0, 3.0, (size, 8, 1, 1))
    inside = np.hypot(*(np.mgrid[:SIDE, :SIDE] - place).swapaxes(0, 2).swapaxes(1, 2)) < radius
    drawn = np.any(inside & (np.arange(8) < number[:, None])[..., None, None], axis=1)
    images = jnp.asarray(drawn[..., None], jnp.float32)
    return {"image": images, "index": jnp.arange(size), "number": number}


def test_discs_are_counted():
    method = methods.counting(Summed(), head=models.count_head(8, layers=1))
    views, held_out = toys.noisy(1, noise=0.01), discs(10_000, size=128)
    before, after = (
        toys.trained(method, optax.adam(3e-3), views, lambda step: {**discs(step), "number": 0}, steps=steps)
        for steps in (0, 200)
    )

    @jax.jit
    def counted(state):
        seen = {"global": held_out["image"][None], "index": held_out["index"]}
        outputs = method.outputs(state.params, state.teacher, state.memory, seen, jax.random.key(0))
        counts = outputs.student["count"]
        return counts[:, 0], counts[:, 1:].sum(1)

    def unlike(state):
        whole, parts = map(np.asarray, counted(state))
        return np.mean((whole - parts) ** 2) / np.mean((whole - np.roll(parts, 1, 0)) ** 2)

    def order(state):
        ranks = np.argsort(np.argsort(counted(state)[0], axis=0), axis=0)
        known = np.argsort(np.argsort(held_out["number"]))
        return np.nanmax([np.corrcoef(rank, known)[0, 1] for rank in ranks.T])

    assert unlike(after) < 0.2 < unlike(before)
    assert order(after) > 0.8


def test_a_feature_that_adds_up_costs_nothing_and_its_square_does():
    """How dark an image is, in pixels of which one of the copy is four; Lanczos' kernel adds up nearly."""
    dark = jnp.pad(jax.random.uniform(jax.random.key(3), (32, 16, 16, 1)), ((0, 0), (4, 4), (4, 4), (0, 0)))
    parts, _ = scaled_and_cut(KEYS, 1 - dark)
    counts = jnp.sum(1 - parts, axis=(2, 3)) * jnp.array([4.0, 1, 1, 1, 1])[:, None]
    costs = [objectives.counting(x[:, 0], x[:, 1:], x[:, 0] + 100) for x in (counts, counts**2 / 100)]
    assert np.max(costs[0]) < 0.1 and np.mean(costs[0] < 1e-6) > 0.5 and np.all(costs[1] > 100)
