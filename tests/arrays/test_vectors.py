"""Inner products are those of float32, on accelerators by three products of bfloat16 parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import objectives
from jssl.arrays.vectors import similarity, unit
from jssl.objectives import contrastive
from tests.objectives.golden_numbers import load


def in_three(a, b):
    """a b^T as an accelerator adds it up: the parts of a and b that bfloat16 holds, and what is left."""

    def parts(x):
        x = x.astype(jnp.float32)
        high = jax.lax.reduce_precision(x, 8, 7)
        return high, jax.lax.reduce_precision(x - high, 8, 7)

    (a, rest_a), (b, rest_b) = parts(a), parts(b)
    return a @ b.T + (a @ rest_b.T + rest_a @ b.T)


@jax.custom_vjp
def similar(a, b):
    return in_three(a, b)


similar.defvjp(
    lambda a, b: (similar(a, b), (a, b)),
    lambda saved, slope: (in_three(slope, saved[1].T), in_three(slope.T, saved[0].T)),
)


@pytest.mark.parametrize("platform, algorithm", [("cpu", False), ("cuda", True), ("tpu", True)])
def test_accelerators_multiply_three_times(platform, algorithm):
    def lowered(dtype):
        rows = jax.ShapeDtypeStruct((3, 4), dtype)
        slopes = jax.jit(jax.value_and_grad(lambda a, b: similarity(a, b).sum(), (0, 1)))
        return slopes.trace(rows, rows).lower(lowering_platforms=(platform,)).as_text()

    text = lowered(jnp.float32)
    assert text.count("num_primitive_operations = 3") == 3 * algorithm  # the product and both gradients
    assert text.count("HIGHEST") == (0 if algorithm else 6)
    with jax.enable_x64(True):
        assert "num_primitive_operations" not in lowered(jnp.float64)


def test_three_products_are_as_near_as_said():
    a, b = np.asarray(unit(jax.random.normal(jax.random.key(0), (2, 300, 128))), np.float64)
    error = np.abs(np.asarray(in_three(a, b), np.float64) - a @ b.T)
    assert 1e-9 < error.max() < 3e-5
    assert np.abs(np.asarray(similarity(*map(jnp.float32, (a, b))), np.float64) - a @ b.T).max() < 1e-6


def test_nt_xent_by_three_products_gives_the_authors_numbers(monkeypatch):
    monkeypatch.setattr(contrastive, "similarity", similar)
    case = load("nt_xent")
    rows = [jnp.float32(x) for x in (case.in_z0, case.in_z1)]

    def loss(a, b):
        return jnp.mean(objectives.nt_xent(a, b, temperature=case.hp_temperature))

    value, slopes = jax.value_and_grad(loss, (0, 1))(*rows)
    np.testing.assert_allclose(value, case.out_loss, rtol=1e-4)
    for slope, want in zip(slopes, (case.grad_z0, case.grad_z1), strict=True):
        assert np.abs(slope - want).max() < 1e-4 * np.abs(want).max()
