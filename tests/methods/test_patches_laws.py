"""CPC: contexts see no row below them, patches are encoded one by one, and targets are those some rows on."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import methods, models
from jssl import objectives as o
from jssl.arrays.patches import overlapping_patches
from jssl.methods.patches import EVERYWHERE
from tests.law_toys import patchwise, small_resnet

SIDE, DIM = 4, 5


def predicted(turns, tokens):
    module = models.RowPredictions((1, 2), turns, dim=3, hidden=6, blocks=2)
    variables = module.init(jax.random.key(0), tokens)
    return lambda tokens: module.apply(variables, tokens)


@pytest.mark.parametrize("turns", EVERYWHERE.values(), ids=EVERYWHERE)
def test_a_context_sees_the_rows_before_it_and_its_own(turns):
    tokens = jax.random.normal(jax.random.key(1), (1, SIDE**2, DIM))
    apply = predicted(turns, tokens)
    slopes = jax.jacobian(lambda x: apply(x)[0, 0].sum((1, 2)))(tokens)[:, 0]  # [rows, N, D]
    slopes = np.asarray(slopes).reshape(SIDE, SIDE, SIDE, DIM)
    slopes = np.abs(np.rot90(slopes, turns, axes=(1, 2))).max((2, 3))  # [row predicted from, row seen]
    assert (slopes[np.triu_indices(SIDE, 1)] == 0).all()
    assert (np.diag(slopes) > 0).all() and (np.diag(slopes, -1) > 0).all()


@pytest.mark.parametrize("norm, apart", [(models.sample_norm, True), (models.batch_norm, False)])
def test_patches_know_nothing_of_each_other_but_with_batch_norm(norm, apart):
    encoder = models.Patchwise(small_resnet(depths=(1,), widths=(8,), norm=norm), side=4, stride=4)
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    variables = jax.jit(encoder.init)(jax.random.key(1), images)
    changed = images.at[0, 4:, 4:].add(1.0)
    before, after = (
        encoder.apply(variables, x, train=True, mutable=["batch_stats"])[0].tokens for x in (images, changed)
    )
    moved = np.abs(before - after).max(-1) > 1e-5
    assert moved[0, 3]
    assert np.array_equal(moved, [[0, 0, 0, 1], [0, 0, 0, 0]]) == apart
    assert encoder.grid(images.shape) == (2, 2)


def test_overlapping_patches_are_squares_of_the_image():
    images = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))
    patches = overlapping_patches(images, 7, 3)
    assert patches.shape == (2, 16, 7, 7, 3)
    np.testing.assert_array_equal(patches[1, 6], images[1, 3:10, 6:13])
    with pytest.raises(ValueError, match="at least the patches' 17 pixels"):
        overlapping_patches(images, 17, 3)


def contrast(predictions, targets, offsets, scale=1.0):
    objective = o.contrastive_prediction({"down": 0}, offsets=offsets, scale=scale)
    outputs = o.Outputs({"down": predictions[None], "target": targets[None]})
    return objective.apply((), outputs, 0)


def test_the_loss_of_noise_is_that_of_all_candidates_and_a_copy_at_its_offset_has_none():
    batch, rng = 6, np.random.default_rng(0)
    targets = jnp.asarray(rng.normal(size=(batch, SIDE**2, 32)), jnp.float32)
    noise = 1e-3 * jnp.asarray(rng.normal(size=(batch, 1, SIDE, SIDE, 32)), jnp.float32)
    np.testing.assert_allclose(contrast(noise, targets, (2,))[0], np.log(batch * SIDE**2), atol=1e-2)
    grid = targets.reshape(batch, SIDE, SIDE, 32)
    copied = jnp.roll(grid, -2, axis=1)[:, None]  # row r has what lies in row r + 2
    right, wrong = contrast(copied, targets, (2,)), contrast(copied, targets, (1,))
    assert right[0] < 1e-3 and right[2]["accuracy"] == 1
    assert wrong[0] > 5 and wrong[2]["accuracy"] == 0
    with pytest.raises(ValueError, match="offsets are .4,., expected 1 to 3 for a grid of 4 rows"):
        contrast(copied, targets, (4,))


WAYS = {"down": (1, 0), "left": (0, -1), "up": (-1, 0), "right": (0, 1)}


@pytest.mark.parametrize("way", EVERYWHERE)
def test_a_direction_is_where_its_name_says(way):
    """A copy of the patch that lies next that way has no loss in that direction, and one in the others."""
    grid = np.random.default_rng(0).normal(size=(3, SIDE, SIDE, 32)).astype(np.float32)
    copied = np.roll(grid, [-step for step in WAYS[way]], axis=(1, 2))

    def loss(turns):
        objective = o.contrastive_prediction({"there": turns}, offsets=(1,), scale=1.0)
        predictions = np.rot90(copied, turns, axes=(1, 2))[:, None]
        outputs = o.Outputs({"there": predictions[None], "target": grid.reshape(1, 3, SIDE**2, 32)})
        return float(objective.apply((), outputs, 0)[0])

    losses = {name: loss(turns) for name, turns in EVERYWHERE.items()}
    assert losses.pop(way) < 1e-3 and min(losses.values()) > 5


def test_four_directions_have_contexts_of_their_own():
    images = jax.random.normal(jax.random.key(0), (1, 2, 16, 16, 3))
    both = {
        name: make(patchwise(), offsets=(2,), dim=4, hidden=4, blocks=1)
        for name, make in (("cpc", methods.cpc), ("cpc_v2", methods.cpc_v2))
    }
    params = {
        name: jax.jit(method.init)(jax.random.key(1), {"global": images})[0] for name, method in both.items()
    }
    assert set(params["cpc"]) == {"encoder", "down", "target"}
    assert set(params["cpc_v2"]) == {"encoder", "down", "left", "up", "right", "target"}
    sideways = images[:, :, :, ::-1]  # mirrored: left and right change places, down sees other columns alone

    def slopes(name):
        def loss(params):
            return both[name].loss(params, None, memory, {"global": sideways}, jax.random.key(2), 0)[0]

        memory = both[name].init(jax.random.key(1), {"global": images})[1]
        return {
            part: bool(np.any([np.any(x) for x in jax.tree.leaves(g)]))
            for part, g in jax.jit(jax.grad(loss))(params[name]).items()
        }

    assert all(slopes("cpc_v2").values()) and all(slopes("cpc").values())


def test_each_patch_is_changed_by_itself_and_only_in_training():
    patches = jax.random.normal(jax.random.key(0), (64, 6, 6, 3))
    change = partial(models.augmented_patches, jax.random.key(1), patches)
    np.testing.assert_array_equal(change(), patches)
    grey = np.asarray(change(drop=0.5))
    alive = (np.abs(grey).max((1, 2)) > 0).sum(1)
    assert set(alive) == {1, 3} and 10 < (alive == 1).sum() < 54
    flipped = np.asarray(change(flip=0.5))
    mirrored = (flipped == np.asarray(patches[:, :, ::-1])).all((1, 2, 3))
    assert 10 < mirrored.sum() < 54 and (mirrored | (flipped == patches).all((1, 2, 3))).all()
    shifted = np.asarray(change(shift=2))
    assert (shifted[:, 0] == 0).all() and (shifted[:, -1] == 0).all() and (shifted[:, 1:-1, 1:-1] != 0).all()

    class Mean(nn.Module):
        @nn.compact
        def __call__(self, x, *, train=False):
            return models.Features(x.mean((1, 2)), x.reshape(len(x), -1, 3))

    encoder = models.Patchwise(Mean(), 6, 6, partial(models.augmented_patches, drop=1.0))
    images = jnp.ones((1, 12, 12, 3))
    np.testing.assert_array_equal(encoder.apply({}, images).tokens, 1)
    drawn = encoder.apply({}, images, train=True, rngs={"dropout": jax.random.key(0)}).tokens
    np.testing.assert_array_equal(drawn.sum(-1), 1)
