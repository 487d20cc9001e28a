import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.models import Swin
from jssl.models.encoders.swin import _relative_index, _shift_mask, _unwindow, _windows

KEY = jax.random.key(0)
IMAGES = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
TINY = Swin(2, 8, (2, 1), (2, 2), window=4)


@pytest.fixture(scope="module")
def swin():
    variables = jax.jit(TINY.init)(KEY, IMAGES, mask=jnp.ones((2, 16), bool))
    return jax.jit(TINY.apply), variables


def test_shapes_and_grid(swin):
    apply, variables = swin
    features = apply(variables, IMAGES)
    assert features.cls.shape == (2, 16) and features.tokens.shape == (2, 16, 16)
    assert TINY.grid(IMAGES.shape) == (4, 4)
    np.testing.assert_allclose(features.tokens.mean(1), features.cls, rtol=1e-5, atol=1e-6)


def test_windows_are_undone():
    x = jax.random.normal(KEY, (2, 8, 4, 3))
    assert _windows(x, 4).shape == (4, 16, 3)
    np.testing.assert_array_equal(_unwindow(_windows(x, 4), 4, (8, 4)), x)
    np.testing.assert_array_equal(_windows(x, 4)[1, 0], x[0, 4, 0])


def test_relative_index_of_a_smaller_window_uses_the_same_offsets():
    large, small = _relative_index(4, 4), _relative_index(4, 2)
    assert large[0, 0] == small[0, 0] == (7 * 7 - 1) // 2
    assert small[0, 1] == large[0, 1] and small[0, 2] == large[0, 4]


def test_shift_mask_separates_what_the_roll_brought_together():
    mask = _shift_mask((8, 8), 4, 2)
    assert mask.shape == (4, 16, 16) and set(np.unique(mask)) == {-100.0, 0.0}
    assert (mask[0] == 0).all()  # the first window holds true neighbours only
    assert (mask[-1] == 0).sum() == 4 * 4 * 4  # the last one holds four strangers of four places each


def test_mask_of_tokens_equals_mask_of_patches(swin):
    apply, variables = swin
    coarse = jax.random.bernoulli(KEY, 0.5, (2, 16))
    fine = coarse.reshape(2, 4, 4).repeat(2, 1).repeat(2, 2).reshape(2, 64)
    a, b = (apply(variables, IMAGES, mask=mask) for mask in (coarse, fine))
    np.testing.assert_array_equal(a.tokens, b.tokens)
    hidden = coarse.reshape(2, 4, 4).repeat(4, 1).repeat(4, 2)[..., None]
    np.testing.assert_array_equal(
        apply(variables, jnp.where(hidden, 9.0, IMAGES), mask=coarse).tokens, a.tokens
    )
    assert jnp.abs(a.tokens - apply(variables, IMAGES).tokens).max() > 1e-3


def test_other_sizes_are_padded_to_whole_windows(swin):
    apply, variables = swin
    features = apply(variables, jnp.concatenate([IMAGES, IMAGES[:, :12]], axis=1)[:, :, :12])
    assert features.tokens.shape == (2, 7 * 3, 16) and jnp.isfinite(features.tokens).all()


def test_bfloat16_and_drop_path(swin):
    _, variables = swin
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), variables)
    out = jax.eval_shape(TINY.apply, half, IMAGES.astype(jnp.bfloat16))
    assert out.cls.dtype == out.tokens.dtype == jnp.bfloat16
    dropping = jax.jit(TINY.clone(drop_path=0.5).apply)
    np.testing.assert_array_equal(dropping(variables, IMAGES).cls, jax.jit(TINY.apply)(variables, IMAGES).cls)
    dropped = dropping(variables, IMAGES, rngs={"dropout": KEY})
    assert jnp.abs(dropped.cls - dropping(variables, IMAGES).cls).max() > 1e-4


def test_wrong_inputs_are_named(swin):
    _, variables = swin
    with pytest.raises(ValueError, match="not divisible by"):
        TINY.apply(variables, IMAGES[:, :13])
    with pytest.raises(ValueError, match="mask must be bool"):
        TINY.apply(variables, IMAGES, mask=jnp.ones((2, 5), bool))
