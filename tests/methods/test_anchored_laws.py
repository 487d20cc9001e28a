"""What DINOv3 adds to DINOv2: Gram anchoring, an earlier teacher, rotary positions that move."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods, models, objectives
from tests.methods import toys
from tests.methods.balanced import BALANCED, MASKING, VIT, started


@pytest.fixture(scope="module")
def anchors():
    """Three steps of DINOv3 whose Gram weight is 0 at the first, and whose anchor is renewed after the
    second."""
    method = methods.dinov3(
        VIT,
        **BALANCED,
        masking=MASKING,
        gram_weight=lambda step: 2.0 * (step > 0),
        refreshed=lambda step: step == 1,
    )
    batches = [toys.batch(i, side=16) for i in range(3)]
    return toys.record(method, optax.sgd(0.1), toys.noisy(2, crops=1), batches), batches


def test_without_gram_weight_the_step_is_dinov2s(anchors):
    (states, figures), batches = anchors
    plain = methods.dinov2(VIT, **BALANCED, masking=MASKING)
    (first, second), (metrics,) = toys.record(plain, optax.sgd(0.1), toys.noisy(2, crops=1), batches[:1])
    jax.tree.map(np.testing.assert_array_equal, first.params, states[0].params)
    assert float(metrics["loss"]) == float(figures[0]["loss"])
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), second.params, states[1].params)
    gram = figures[1]["loss"] - figures[1]["image"] - figures[1]["patch"] / 2 - 0.1 * figures[1]["koleo"]
    assert float(gram) == pytest.approx(2 * float(figures[1]["gram"]), rel=1e-3) and gram > 1e-4


def test_the_anchor_stands_still_until_it_is_renewed(anchors):
    (states, _), _ = anchors
    anchor, mean = ([s.teacher[part]["encoder"] for s in states] for part in ("anchor", "mean"))
    for now, expected in ((1, mean[0]), (2, mean[2]), (3, mean[2])):
        jax.tree.map(np.testing.assert_array_equal, anchor[now], expected)
    assert optax.tree.norm(optax.tree.sub(mean[3], mean[2])) > 1e-4


def test_gram_sees_angles_between_patches_alone():
    a, b = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    turn = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (4, 4)))[0]
    scales = jnp.linspace(0.5, 3, 5)[:, None]
    loss = objectives.gram_anchor(a, b)
    np.testing.assert_allclose(objectives.gram_anchor(a, a @ turn), 0, atol=1e-6)
    np.testing.assert_allclose(objectives.gram_anchor(scales * a @ turn, b), loss, atol=1e-5)
    np.testing.assert_allclose(objectives.gram_anchor(a[:, ::-1], b[:, ::-1]), loss, atol=1e-6)
    assert np.all(loss > 0.01) and not np.any(jax.grad(lambda t: objectives.gram_anchor(a, t).sum())(b))


def test_a_larger_crop_for_the_anchor_is_brought_to_the_students_grid():
    """Features that are linear in the place are, sampled twice as finely, the same ones."""
    method = methods.dinov3(VIT, **BALANCED, masking=MASKING)
    batch = toys.batch(side=16)
    views = {"global": jnp.stack([batch["image"]] * 2), "index": batch["index"]}
    _, arguments = started(method, views | {"anchor": jnp.zeros((2, 8, 32, 32, 3))})
    outputs = jax.jit(method.outputs)(*arguments[:-1])
    assert outputs.target["anchor"].shape == outputs.student["tokens"].shape == (2, 8, 16, 16)


def test_rotary_positions_move_in_training_alone():
    moving = models.MovingRotary(shift=0.5, jitter=1.5, rescale=2.0)
    still = moving.apply({}, (3, 5), 8)
    np.testing.assert_array_equal(still, models.rotary_angles((3, 5), 8))
    draw = jax.vmap(lambda key: moving.apply({}, (3, 5), 8, rngs={"dropout": key}))
    drawn = np.asarray(jax.jit(draw)(jax.random.split(jax.random.key(0), 500)))[:, :, :4] / (2 * np.pi)
    rows = drawn[:, [0, 10], 0]  # the slowest frequency but for none: coordinates themselves
    factor = (rows[:, 1] - rows[:, 0]) / (4 / 3)
    assert 1 / 3 < factor.min() < 0.5 and 2 < factor.max() < 3
    shift = rows.mean(1) / factor
    assert -0.5 <= shift.min() < -0.45 and 0.45 < shift.max() <= 0.5
