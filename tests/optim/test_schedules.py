"""Schedules give the authors' numbers, and wrong settings are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import optim

# ---------------------------------------------------------------------------------------- schedules


def test_teacher_momentum_gives_byols_numbers():
    # deepmind-research byol/utils/schedules.py target_ema(k, base_ema=0.996, max_steps=40)
    ours = jax.vmap(optim.teacher_momentum(0.996, 40))(jnp.array([0, 1, 10, 20, 40, 42]))
    k = np.array([0, 1, 10, 20, 40, 40])
    np.testing.assert_allclose(ours, 1 - 0.004 * (np.cos(np.pi * k / 40) + 1) / 2, rtol=1e-6)
    np.testing.assert_allclose(ours[2], 0.99658579, rtol=1e-6)


def test_warmup_cosine_gives_simclrs_numbers():
    # google-research/simclr learning_rate_schedule: base 0.3, batch 64, 400 examples, 10 epochs, 2 of warm-up
    rate = optim.warmup_cosine(0.3 * 64 / 256, steps=63, warmup=12)
    official = {0: 0.0, 1: 0.00625, 11: 0.06875, 12: 0.075, 13: 0.07493, 29: 0.05625, 62: 0.00007, 63: 0.0}
    for step, value in official.items():
        assert float(rate(step)) == pytest.approx(value, abs=1e-5)


def test_warmup_cosine_gives_maes_numbers():
    # facebookresearch/mae util/lr_sched.py: lr 0.5, min_lr 0.01, 12 epochs of 5 steps, 3 of warm-up
    rate = optim.warmup_cosine(0.5, steps=60, warmup=15, end=0.01)
    official = {0: 0.0, 1: 0.03333, 15: 0.5, 16: 0.4994, 17: 0.49762, 57: 0.01535, 58: 0.01238, 59: 0.0106}
    for step, value in official.items():
        assert float(rate(step)) == pytest.approx(value, abs=1e-5)


def test_linear_gives_ijepas_momentum():
    # facebookresearch/ijepa src/train.py: ema from 0.996 to 1, scheduled over 1.25 times the run of 60 steps
    ours = optim.linear(0.996, 1.0, 75)
    assert float(ours(1)) == pytest.approx(0.99605, abs=1e-5) and float(ours(59)) == pytest.approx(
        0.99915, abs=1e-5
    )


def test_by_epoch_gives_mocos_numbers():
    # facebookresearch/moco adjust_learning_rate: lr 0.03, cos, 200 epochs; here of 3 steps
    rate = jax.vmap(optim.by_epoch(optim.cosine(0.03, 0.0, 600), 3))(jnp.array([0, 2, 3, 302, 599]))
    np.testing.assert_allclose(rate, [0.03, 0.03, 0.02999815, 0.015, 1.850e-6], rtol=1e-3)


def test_by_epoch_leaves_the_warmup_as_it_is_and_counts_from_where_it_is_told():
    line = optim.linear(0.0, 12.0, 12)
    moved = jax.vmap(optim.by_epoch(line, 4, after=2))(jnp.arange(12))
    assert moved.tolist() == [0, 1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8]
    assert jax.vmap(optim.by_epoch(line, 4, first=1))(jnp.arange(12)).tolist() == [4] * 4 + [8] * 4 + [12] * 4


@pytest.mark.parametrize(
    "schedule, last",
    [
        (optim.linear(0.04, 0.07, 5), 0.07),
        (optim.cosine(0.04, 0.4, 5), 0.4),
        (optim.teacher_momentum(0.9, 5), 1.0),
        (optim.warmup_cosine(1.0, steps=5, warmup=2, end=0.1), 0.1),
        (optim.warmup_cosine(1.0, steps=5, warmup=0, end=0.2), 0.2),
    ],
)
def test_schedules_stand_still_after_their_end_under_jit(schedule, last):
    values = jax.jit(jax.vmap(schedule))(jnp.arange(9))
    np.testing.assert_allclose(values[5:], last, rtol=1e-6)
    np.testing.assert_allclose(values, [schedule(step) for step in range(9)], rtol=1e-6)
    assert values.dtype == jnp.float32


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: optim.linear(0.0, 1.0, 0), "steps must be at least 1, got 0"),
        (lambda: optim.cosine(0.0, 1.0, -3), "steps must be at least 1, got -3"),
        (
            lambda: optim.warmup_cosine(1.0, steps=5, warmup=5),
            "warmup must be at least 0 and below steps = 5, got 5",
        ),
        (lambda: optim.by_epoch(optim.constant(1.0), 0), "by_epoch: steps must be at least 1, got 0"),
        (lambda: optim.teacher_momentum(1.5, 5), "base must lie in"),
        (lambda: optim.lars(0.1, momentum=1.0), "momentum must be in"),
        (lambda: optim.lars(0.1, weight_decay=-1.0), "weight_decay must be not negative"),
        (lambda: optim.adamw(0.1, b2=1.5), "b2 must be in"),
        (lambda: optim.layer_decay({"block_0": jnp.ones(2)}, 0.0), "rate must lie in"),
        (lambda: optim.layer_decay({"dense": jnp.ones(2)}, 0.5), "no path names a block.*found dense"),
        (lambda: optim.clip_by_parameter_norm(0.0), "max_norm must be positive"),
        (
            lambda: optim.freeze_during(3, lambda path: "head" in path).init({"body": jnp.ones(2)}),
            "holds none.*body",
        ),
    ],
)
def test_wrong_settings_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
