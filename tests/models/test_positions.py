import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.models import (
    LearnedPositions,
    RelativePositionBias,
    antialiased_bicubic,
    bicubic,
    bilinear,
    dino_bicubic,
    rotary_angles,
    sincos_positions,
    sincos_positions_rows_first,
)

KEY = jax.random.key(0)
FITS = [bicubic, dino_bicubic, antialiased_bicubic, bilinear]


def test_bicubic_is_torchs():
    """The first row of ONNX's published example of a = -0.75 with half-pixel centres: 4x4 to 8x8."""
    got = bicubic(jnp.arange(1.0, 17).reshape(4, 4, 1), (8, 8))[0, :, 0]
    want = [0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375]
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_constants_stay_constant_and_sizes_need_not_be_square(fit):
    got = fit(jnp.full((4, 6, 3), 2.5), (7, 3))
    assert got.shape == (7, 3, 3)
    np.testing.assert_allclose(got, 2.5, rtol=1e-5)


@pytest.mark.parametrize("fit", [bicubic, antialiased_bicubic, bilinear])
def test_its_own_size_is_the_identity(fit):
    table = jax.random.normal(KEY, (4, 6, 3))
    np.testing.assert_allclose(fit(table, (4, 6)), table, atol=1e-6)


def test_the_four_ways_differ():
    table = jax.random.normal(KEY, (6, 6, 1))
    results = [fit(table, (4, 4)) for fit in FITS]
    for i, a in enumerate(results):
        for b in results[:i]:
            assert jnp.abs(a - b).max() > 1e-2


def test_dinos_offset_shifts_the_samples():
    ramp = jnp.arange(20.0).reshape(20, 1, 1) * jnp.ones((1, 20, 1))
    got = dino_bicubic(ramp, (10, 10))[6:9, 0, 0]
    np.testing.assert_allclose(
        got, (np.arange(6, 9) + 0.5) * 20 / 10.1 - 0.5, atol=0.04
    )  # a = -0.75 bends a line
    assert jnp.abs(got - bicubic(ramp, (10, 10))[6:9, 0, 0]).min() > 0.08


def test_learned_positions_take_the_first_grid_and_never_move_the_prefix():
    module = LearnedPositions()
    variables = module.init(KEY, (4, 2), 8, prefix=1)
    assert variables["params"]["table"].shape == (4, 2, 8) and variables["params"]["prefix"].shape == (1, 8)
    native, other = (module.apply(variables, grid, 8, prefix=1) for grid in ((4, 2), (6, 6)))
    assert native.shape == (9, 8) and other.shape == (37, 8)
    np.testing.assert_array_equal(native[1:].reshape(4, 2, 8), variables["params"]["table"])
    np.testing.assert_array_equal(native[0], other[0])


def test_sincos_order_and_prefix():
    table = sincos_positions((2, 3), 8, prefix=1)
    assert table.shape == (7, 8)
    np.testing.assert_array_equal(table[0], 0)
    np.testing.assert_array_equal(table[1, :4], table[4, :4])  # same column: the first half agrees
    np.testing.assert_array_equal(table[1, 4:], table[2, 4:])  # same row: the second half agrees
    rows_first = sincos_positions_rows_first((2, 3), 8, prefix=1)
    np.testing.assert_array_equal(rows_first, jnp.concatenate([table[:, 4:], table[:, :4]], axis=1))


def test_sincos_can_be_interpolated_from_its_native_grid():
    native = sincos_positions((8, 8), 16)
    np.testing.assert_array_equal(sincos_positions((8, 8), 16, native=(8, 8)), native)
    got = sincos_positions((4, 4), 16, native=(8, 8))
    np.testing.assert_allclose(got, bicubic(native.reshape(8, 8, 16), (4, 4)).reshape(16, 16), atol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_relative_bias_depends_on_the_offset_only(shared):
    module = RelativePositionBias(shared=shared)
    variables = module.init(KEY, (2, 3), 4, 5, prefix=1)
    bias = module.apply(variables, (2, 3), 4, 5, prefix=1)
    assert bias.shape == ((1, 4, 7, 7) if shared else (5, 1, 4, 7, 7))
    patches = bias[..., 1:, 1:]
    np.testing.assert_array_equal(patches[..., 0, 1], patches[..., 4, 5])  # one column to the right
    assert jnp.abs(patches[..., 0, 1] - patches[..., 1, 0]).max() > 0
    assert jnp.abs(bias[..., 0, 1] - bias[..., 1, 0]).max() > 0  # class to patch is not patch to class
    np.testing.assert_array_equal(bias[..., 0, 1], bias[..., 0, 6])
    assert module.apply(variables, (4, 4), 4, 5, prefix=1).shape[-1] == 17


def test_rotary_angles_of_the_image_centre_vanish():
    angles = rotary_angles((3, 5), 8)
    assert angles.shape == (15, 8)
    np.testing.assert_allclose(angles[7], 0, atol=1e-6)
    np.testing.assert_array_equal(angles[:, :4], angles[:, 4:])
    np.testing.assert_allclose(angles[0], -angles[-1], rtol=1e-5)
