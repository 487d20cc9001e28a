"""The laws that every objective obeys, one table (cases.py) over all of them."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jssl import objectives as o
from tests.objectives.cases import CASES

EVERY = pytest.mark.parametrize("name", CASES)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def draw(case, batch, seed=0):
    return case.arrays(np.random.default_rng(seed), batch)


def is_float(x):
    return jnp.issubdtype(x.dtype, jnp.floating)


@functools.cache
def compiled(name):
    def mean(floats, rest):
        losses = CASES[name].loss(**floats, **rest)
        return jnp.mean(losses), losses

    return jax.jit(jax.value_and_grad(mean, has_aux=True))


def losses_and_gradients(name, arrays):
    """The losses and the gradients of their mean by every float."""
    floats = {name: x for name, x in arrays.items() if is_float(jnp.asarray(x))}
    rest = {name: x for name, x in arrays.items() if name not in floats}
    (_, losses), slopes = compiled(name)(floats, rest)
    return losses, slopes


def losses_of(name, arrays):
    return np.asarray(losses_and_gradients(name, arrays)[0])


@EVERY
def test_shape_and_precision(name):
    case = CASES[name]
    arrays = draw(case, 4)
    losses = losses_of(name, arrays)
    assert losses.shape == {"B": (4,), "2B": (8,), "": ()}[case.returns]
    assert losses.dtype == jnp.float64
    single = {key: x.astype(np.float32) if is_float(x) else x for key, x in arrays.items()}
    assert losses_of(name, single).dtype == jnp.float32
    np.testing.assert_allclose(losses_of(name, single), losses, rtol=2e-4, atol=2e-5)


@EVERY
@settings(max_examples=6, deadline=None)
@given(batch=st.sampled_from([1, 4, 5]), seed=st.integers(0, 99))
def test_permuting_the_batch_permutes_the_losses(name, batch, seed):
    with jax.enable_x64(True):
        case = CASES[name]
        batch = max(batch, case.least)
        arrays = draw(case, batch, seed)
        order = np.random.default_rng(seed).permutation(batch)
        moved = {
            key: np.take(x, order, case.batched[key]) if key in case.batched else x
            for key, x in arrays.items()
        }
        expected = losses_of(name, arrays)
        if case.returns:
            expected = expected.reshape(-1, batch)[:, order].reshape(-1)
        np.testing.assert_allclose(losses_of(name, moved), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.cosine])
def test_scaling_rows_leaves_cosine_losses_unchanged(name):
    case = CASES[name]
    arrays, rng = draw(case, 4), np.random.default_rng(1)
    scaled = {
        key: x * 10 ** rng.uniform(-4, 4, (*x.shape[:-1], 1)) if key in case.cosine else x
        for key, x in arrays.items()
    }
    np.testing.assert_allclose(losses_of(name, scaled), losses_of(name, arrays), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.optimum])
def test_known_optimum(name):
    case = CASES[name]
    best, value = case.optimum
    optimal, slopes = losses_and_gradients(name, best)
    np.testing.assert_allclose(optimal, value, atol=1e-8)
    for slope in slopes.values():
        np.testing.assert_allclose(slope, 0, atol=1e-4)
    rng = np.random.default_rng(0)
    moved = {key: x + 0.1 * rng.normal(size=x.shape) for key, x in best.items()}
    assert losses_of(name, moved).mean() > value + 1e-6


@EVERY
def test_gradients_are_those_of_finite_differences(name):
    case = CASES[name]
    arrays, rng, step = draw(case, 4), np.random.default_rng(1), 1e-6
    _, slopes = losses_and_gradients(name, arrays)
    for trained in set(case.trained) - set(case.partial):
        direction = rng.normal(size=arrays[trained].shape)
        ahead, behind = (
            np.mean(losses_of(name, arrays | {trained: arrays[trained] + sign * step * direction}))
            for sign in (1, -1)
        )
        expected = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(np.sum(slopes[trained] * direction), expected, rtol=1e-5, atol=1e-8)
        assert np.abs(slopes[trained]).max() > 0


@EVERY
def test_no_gradient_reaches_targets(name):
    case = CASES[name]
    _, slopes = losses_and_gradients(name, draw(case, 4))
    for key, slope in slopes.items():
        assert key in case.trained or not np.any(slope), f"a gradient reaches {key}"


def zeros(arrays, case):
    return {name: np.zeros_like(x) if is_float(x) and x.ndim > 1 else x for name, x in arrays.items()}


def one_zero_row(arrays, case):
    return {
        name: np.concatenate([np.zeros_like(x[:1]), x[1:]]) if is_float(x) and x.ndim > 1 else x
        for name, x in arrays.items()
    }


def identical_rows(arrays, case):
    return {
        name: np.broadcast_to(np.take(x, [0], case.batched[name]), x.shape) if name in case.batched else x
        for name, x in arrays.items()
    }


def half(arrays, case):
    return {name: jnp.asarray(x, jnp.bfloat16) if is_float(x) else x for name, x in arrays.items()}


def huge(arrays, case):
    return {name: 1e4 * x if is_float(x) and x.ndim > 1 else x for name, x in arrays.items()}


@EVERY
@pytest.mark.parametrize("made", [zeros, one_zero_row, identical_rows, half, huge])
def test_finite_value_and_gradient(name, made):
    case = CASES[name]
    arrays = {key: x.astype(np.float32) if is_float(x) else x for key, x in draw(case, 4).items()}
    arrays = made(arrays, case)
    losses, slopes = losses_and_gradients(name, arrays)
    assert np.isfinite(losses).all()
    for key, slope in slopes.items():
        assert np.isfinite(np.asarray(slope, np.float32)).all(), key
        assert slope.dtype == arrays[key].dtype


@EVERY
def test_bfloat16_is_computed_in_float32(name):
    case = CASES[name]
    rounded = half(draw(case, 4), case)
    single = {key: x.astype(jnp.float32) if is_float(x) else x for key, x in rounded.items()}
    losses = losses_of(name, rounded)
    assert losses.dtype == np.float32
    np.testing.assert_array_equal(losses, losses_of(name, single))


@pytest.mark.parametrize("name", [name for name in CASES if "mask" in name and "siamese" not in name])
def test_what_is_not_hidden_has_no_part_in_the_loss(name):
    arrays = draw(CASES[name], 4)
    shown = ~arrays["mask"]
    spoilt = {
        key: np.where(shown[..., None], np.nan, x) if is_float(x) and x.ndim == 3 else x
        for key, x in arrays.items()
    }
    chex.assert_trees_all_equal(losses_and_gradients(name, spoilt), losses_and_gradients(name, arrays))


@EVERY
def test_a_batch_of_one_is_finite_or_refused(name):
    case = CASES[name]
    if case.least > 1:
        with pytest.raises(ValueError, match="batch of at least 2"):
            case.loss(**draw(case, 1))
        return
    losses, slopes = losses_and_gradients(name, draw(case, 1))
    assert np.isfinite(losses).all() and all(np.isfinite(slope).all() for slope in slopes.values())


@EVERY
def test_wrong_shapes_are_refused_by_name(name):
    case = CASES[name]
    arrays = draw(case, 4)
    for wrong, x in arrays.items():
        with pytest.raises(
            ValueError, match=rf"{wrong} has shape \({', '.join(map(str, (1, *x.shape)))},?\)"
        ):
            case.loss(**arrays | {wrong: x[None]})
    for wrong, axis in list(case.batched.items())[1:]:
        with pytest.raises(ValueError, match=f"{wrong} has shape .*expected .*B = 4"):
            case.loss(**arrays | {wrong: np.take(arrays[wrong], [0, 1, 2], axis)})
    with pytest.raises(ValueError, match="no empty axis"):
        case.loss(
            **{
                name: np.take(x, np.zeros(0, int), case.batched[name]) if name in case.batched else x
                for name, x in arrays.items()
            }
        )


@EVERY
def test_wrong_types_are_refused_by_name(name):
    case = CASES[name]
    arrays = draw(case, 4)
    for wrong, x in arrays.items():
        other = x.astype(np.int32 if is_float(x) or x.dtype == bool else np.float32)
        with pytest.raises((TypeError, ValueError), match=f"{wrong} has .*dtype {other.dtype}"):
            case.loss(**arrays | {wrong: other})


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
@pytest.mark.parametrize("block_size", [None, 2])
def test_python_numbers_are_taken_in_the_precision_of_the_arrays(dtype, block_size):
    a, b = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)), dtype)
    for loss, bias in ((o.symmetric_info_nce, {}), (o.sigmoid_pairwise, {"logit_bias": -10})):
        whole = loss(a, b, logit_scale=10, block_size=block_size, **bias)
        assert whole.dtype == jnp.promote_types(dtype, jnp.float32)
        scale = jnp.asarray(10.0, whole.dtype)
        np.testing.assert_array_equal(whole, loss(a, b, logit_scale=scale, block_size=block_size, **bias))


EYE, ONE = np.eye(4), np.ones(1, bool)
BY_ID = {  # losses of one row of four by its id
    "instance_discrimination": lambda ids: o.instance_discrimination(EYE[:1], ids, EYE),
    "noise_contrast": lambda ids: o.noise_contrast(EYE[:1], ids, EYE, np.array([[1]]), normalizer=2.0),
    "assigned_cross_entropy": lambda ids: o.assigned_cross_entropy(EYE[:1], ids, EYE),
    "place_contrast": lambda ids: o.place_contrast(EYE[:1], EYE, ids),
    "proto_nce": lambda ids: o.proto_nce(EYE[:1], ids, EYE, np.ones(4), np.array([1, 2])),
    "masked_token_cross_entropy": lambda ids: o.masked_token_cross_entropy(
        EYE[:1, None], ids[None], ONE[None]
    ),
}


@pytest.mark.parametrize("name", BY_ID)
def test_an_id_that_is_not_there_gives_no_number(name):
    """Nor does -1 count from the end, as in NumPy; small integers are ids as others."""
    lost = {id: float(BY_ID[name](np.array([id], np.int8))[0]) for id in (-100, -4, -1, 0, 3, 4, 100)}
    assert [id for id, loss in lost.items() if np.isfinite(loss)] == [0, 3]
    assert lost[0] < lost[3]  # the row is EYE[0]
