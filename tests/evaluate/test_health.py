import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.evaluate import diagnose, embedding_health, gradient_health, pair_health, rank_me, teacher_health


def healthy(rows=64, width=16):
    return np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)


def figures(z=None, probabilities=None):
    metrics = {}
    if z is not None:
        metrics |= jax.jit(embedding_health)(z)
    if probabilities is not None:
        metrics |= jax.jit(teacher_health)(probabilities)
    assert all(value.shape == () for value in metrics.values())
    return {name: float(value) for name, value in metrics.items()}


def test_a_healthy_batch_has_no_diagnosis():
    p = jax.nn.softmax(10 * healthy(64, 32))
    metrics = figures(healthy(), p)
    metrics |= {"alignment": 0.3, "gradient_norm": 1.2, "loss": 4.0}
    assert diagnose(metrics) == []


@pytest.mark.parametrize(
    "z, probabilities, words",
    [
        (np.ones((64, 16)), None, "collapsed to a point"),
        (np.ones((64, 1)) * np.linspace(1, 2, 16), None, "collapsed to a point"),
        (np.outer(np.linspace(-1, 1, 64), np.ones(100)), None, "collapsed to a few directions"),
        (np.outer(np.linspace(-1, 1, 40), np.ones(20)), None, "collapsed to one direction"),
        (np.pad(healthy(), ((0, 0), (0, 30))), None, "65% of the dimensions are dead"),
        (np.full((4, 4), np.nan), None, "feature_std is nan: not finite"),
        (
            None,
            np.full((64, 32), 1 / 32),
            "teacher entropy is log K .*collapsed to uniform; check temperatures",
        ),
        (None, np.eye(32)[np.zeros(64, int)], "uses 1.0 prototypes: collapsed to one"),
    ],
)
def test_each_collapse_is_named(z, probabilities, words):
    found = diagnose(figures(z, probabilities))
    assert any(re.search(words, sentence) for sentence in found), found
    assert "nan" not in words or not any("collapsed" in sentence for sentence in found)


def test_other_failures_are_named():
    assert "unrelated" in diagnose({"alignment": 2.0})[0]
    assert "nothing is learned" in diagnose({"gradient_norm": 0.0})[0]
    assert diagnose({"gradient_norm": float("inf")})[0].startswith("gradient_norm is inf: not finite")
    assert diagnose({"projection_std": float("nan")})[0].startswith("projection_std is nan: not finite")


def test_the_figures_of_known_batches():
    orthogonal = figures(np.eye(8))
    assert orthogonal["effective_rank"] == pytest.approx(8, abs=0.01)
    assert orthogonal["rank_share"] == pytest.approx(1, abs=0.01)
    assert orthogonal["uniformity"] == pytest.approx(-4.0, abs=1e-4)
    teacher = figures(None, np.eye(4)[[0, 0, 1, 1]])
    assert teacher["teacher_entropy"] == 0.0 and teacher["prototypes_used"] == pytest.approx(2.0, rel=1e-5)
    assert float(pair_health(healthy(), -healthy())["alignment"]) == pytest.approx(4.0, rel=1e-5)


@pytest.mark.parametrize("rows, width", [(30, 100), (100, 30)])
def test_the_cheap_rank_is_rank_me(rows, width):
    z = healthy(rows, width) * np.geomspace(1, 0.03, width, dtype=np.float32)
    np.testing.assert_allclose(embedding_health(z)["effective_rank"], rank_me(z), rtol=1e-3)
    line = np.outer(np.linspace(-1, 1, rows), np.ones(width))
    np.testing.assert_allclose(embedding_health(line)["effective_rank"], 1.0, rtol=1e-3)


def test_only_the_first_rows_are_looked_at_and_no_gradient_flows():
    z = jnp.concatenate([healthy(), jnp.full((8, 16), 1e6)])
    for name, value in embedding_health(healthy()).items():
        np.testing.assert_allclose(embedding_health(z, rows=64)[name], value, rtol=1e-5)
    gradient = jax.grad(lambda z: sum(embedding_health(z).values()) + pair_health(z, 2 * z)["alignment"])(z)
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_gradient_norm_of_half_precision_does_not_overflow():
    gradients = {"a": jnp.full((1000,), 3e4, jnp.float16)}
    np.testing.assert_allclose(gradient_health(gradients)["gradient_norm"], 3e4 * np.sqrt(1000), rtol=1e-2)
