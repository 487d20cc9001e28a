import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.evaluate import (
    alignment,
    alpha_req,
    dead_dimensions,
    feature_std,
    lidar,
    rank_correlation,
    rank_me,
    uniformity,
)
from tests.objectives.golden_numbers import load, near, tangent


def sphere(rows, width, seed=0):
    z = np.random.default_rng(seed).normal(size=(rows, width))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_alignment_and_uniformity_over_pairs():
    x, y = sphere(10, 6), sphere(10, 6, seed=1)
    assert float(alignment(3 * x, 2 * y)) == pytest.approx(np.mean(np.sum((x - y) ** 2, 1)), rel=1e-5)
    pairs = [np.exp(-2 * np.sum((x[i] - x[j]) ** 2)) for i in range(10) for j in range(i)]
    assert float(uniformity(5 * x)) == pytest.approx(np.log(np.mean(pairs)), rel=1e-5)


def test_alignment_and_uniformity_are_those_of_the_authors_code():
    golden = load("align_uniform")
    x, y = golden.in_x, golden.in_y
    assert golden.hp_align_alpha == 2
    with jax.enable_x64(True):
        near(alignment(x, y), golden.out_align)
        near(uniformity(x, t=golden.hp_uniform_t), golden.out_uniform_x)
        of_x, of_y = jax.grad(alignment, (0, 1))(x, y)
        near(of_x, tangent(golden.grad_x_align, x))
        near(of_y, tangent(golden.grad_y_align, y))
        slope = jax.grad(lambda x: uniformity(x, t=golden.hp_uniform_t))(x)
        near(slope, tangent(golden.grad_x_uniform, x))


def test_gradients_are_finite_where_embeddings_coincide_or_vanish():
    for z in (jnp.ones((4, 3)), jnp.zeros((4, 3))):
        assert jnp.all(jnp.isfinite(jax.grad(uniformity)(z)))
        assert jnp.all(jnp.isfinite(jax.grad(alignment)(z, z)))


def test_embeddings_that_vanish_coincide():
    assert float(uniformity(jnp.zeros((4, 3)))) == 0
    half = jnp.array([[0.0, 0.0], [0.0, 3.0]])
    assert float(uniformity(half)) == pytest.approx(-2) and float(alignment(half, half[::-1])) == 1


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_rank_me_counts_directions_of_equal_size(rank):
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    z = basis[:, :rank] @ np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0][:rank]
    assert float(rank_me(7 * z)) == pytest.approx(rank, abs=0.01)


def test_rank_me_follows_the_papers_formula():
    z = np.random.default_rng(0).normal(size=(30, 7)) * np.arange(1, 8)
    s = np.linalg.svd(z, compute_uv=False)
    p = s / s.sum() + 1e-7
    assert float(rank_me(z)) == pytest.approx(np.exp(-np.sum(p * np.log(p))), rel=1e-4)
    assert float(rank_me(np.zeros((5, 3)))) == pytest.approx(1.0, abs=1e-4)


def test_feature_std_is_one_on_the_sphere_and_zero_at_a_point():
    assert float(feature_std(sphere(2000, 64))) == pytest.approx(1.0, abs=0.02)
    assert float(feature_std(np.outer(np.arange(1, 9), np.ones(5)))) == pytest.approx(0.0, abs=1e-5)


def test_dead_dimensions_are_counted_whatever_their_value():
    z = np.random.default_rng(0).normal(size=(50, 4))
    assert float(dead_dimensions(z)) == 0.0
    assert float(dead_dimensions(np.concatenate([z, np.full((50, 4), 123.4)], axis=1))) == 0.5
    assert float(dead_dimensions(np.full((50, 4), 0.1))) == 1.0


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: alignment(jnp.ones((2, 3)), jnp.ones((3, 3))), r"z_b has shape \(3, 3\)"),
        (lambda: uniformity(jnp.ones((1, 3))), "batch of at least 2"),
        (lambda: rank_me(jnp.ones(3)), r"z has shape \(3,\)"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_alpha_req_is_the_exponent_of_a_power_law():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(400, 60)))[0]
    q = np.linalg.qr(q - q.mean(0))[0]  # centred columns, orthogonal
    for alpha in (0.5, 1.5):
        z = q * np.arange(1, 61) ** (-alpha / 2)
        assert float(alpha_req(100 * z + 3)) == pytest.approx(alpha, abs=0.01)
    assert np.isfinite(float(alpha_req(np.eye(4))))


def test_lidar_counts_directions_that_tell_images_apart():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(200, 1, 8)) * np.array([9.0] * 3 + [0.0] * 5)  # three directions of images
    noise = 0.3 * rng.normal(size=(200, 10, 8))
    assert float(lidar(images + noise)) == pytest.approx(3, abs=0.3)
    loud = np.array([30.0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3])  # views hide one of them
    assert float(lidar(images + loud * noise)) < 2.3
    with pytest.raises(ValueError, match="views has shape .* at least 2 for views of an image"):
        lidar(images)


def test_lidar_is_the_rank_of_scipys_generalised_eigenvalues():
    from scipy.linalg import eigh

    z = np.random.default_rng(0).normal(size=(30, 5, 6)) + np.random.default_rng(1).normal(size=(30, 1, 6))
    means = z.mean(1)
    apart = (z - means[:, None]).reshape(-1, 6)
    within = apart.T @ apart / len(apart) + 1e-4 * np.eye(6)
    values = eigh(np.cov(means, rowvar=False, bias=True), within, eigvals_only=True)
    p = values / values.sum() + 1e-7
    assert float(lidar(z)) == pytest.approx(np.exp(-np.sum(p * np.log(p))), rel=1e-4)


def test_rank_correlation_is_scipys():
    from scipy.stats import spearmanr

    a, b = np.array([1.0, 2.0, 2.0, 5.0, 4.0]), np.array([0.3, 0.1, 0.4, 0.4, 0.9])
    assert float(rank_correlation(a, b)) == pytest.approx(spearmanr(a, b).statistic, abs=1e-6)
