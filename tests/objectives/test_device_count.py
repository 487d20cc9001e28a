"""One device, a batch sharded under jit, shard_map and pmap: the same value and the same gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jssl.sharding import all_gather
from tests.objectives.cases import CASES

DEVICES, AXIS = 8, "data"


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def spec(case, name):
    return P(*[None] * case.batched[name], AXIS) if name in case.batched else P()


def encoded(case, params, arrays):
    """A stand-in for an encoder: the trained arrays, each feature scaled by a parameter."""
    return arrays | {name: arrays[name] * scale for name, scale in params.items()}


def gathered(case, arrays):
    """The arrays with the batch of all devices."""

    def gather(name, x):
        if name not in case.batched:
            return x
        axis = case.batched[name]
        return jnp.moveaxis(all_gather(jnp.moveaxis(x, axis, 0), AXIS), 0, axis)

    return {name: gather(name, x) for name, x in arrays.items()}


def on_one_device(case, params, arrays):
    return jax.jit(jax.value_and_grad(lambda p: jnp.mean(case.loss(**encoded(case, p, arrays)))))(params)


def under_jit(case, _, params, arrays):
    """The compiler divides the work; shardings are part of the types, as jax.make_mesh has it where nothing
    else is said. Those that are not are asked of whole methods.
    """
    mesh = jax.make_mesh((DEVICES,), (AXIS,), (AxisType.Explicit,))

    def value(params, arrays):
        return jnp.mean(case.loss(**encoded(case, params, arrays)))

    arrays = {name: jax.device_put(x, NamedSharding(mesh, spec(case, name))) for name, x in arrays.items()}
    return jax.jit(jax.value_and_grad(value))(params, arrays)


def local(case, params, arrays):
    def value(params):
        return jnp.mean(case.loss(**gathered(case, encoded(case, params, arrays))))

    return jax.lax.pmean(jax.value_and_grad(value)(params), AXIS)


def in_shard_map(case, mesh, params, arrays):
    """The gradient of a mapped loss, which jax checks to be the same on every device."""

    def value(params, arrays):
        return jax.lax.pmean(jnp.mean(case.loss(**gathered(case, encoded(case, params, arrays)))), AXIS)

    specs = {name: spec(case, name) for name in arrays}
    mapped = jax.shard_map(value, mesh=mesh, in_specs=(P(), specs), out_specs=P())
    return jax.jit(jax.value_and_grad(mapped))(params, arrays)


def in_pmap(case, mesh, params, arrays):
    axes = {name: case.batched.get(name) for name in arrays}
    split = {
        name: x if axes[name] is None else np.stack(np.split(x, DEVICES, axes[name]))
        for name, x in arrays.items()
    }
    axes = {name: None if axis is None else 0 for name, axis in axes.items()}
    results = jax.pmap(functools.partial(local, case), axis_name=AXIS, in_axes=(None, axes))(params, split)
    return jax.tree.map(lambda x: x[0], results)


def ways(case):
    """How a case is divided: in all ways, or, where no image's loss looks at another image, in one of either
    kind: by the compiler, and mapped.
    """
    apart = case.returns == "B" and case.least == 1
    return (under_jit, in_shard_map) if apart else (under_jit, in_shard_map, in_pmap)


@pytest.mark.parametrize("name", CASES)
def test_same_value_and_gradients(name):
    case, rng = CASES[name], np.random.default_rng(0)
    mesh = jax.make_mesh((DEVICES,), (AXIS,), (AxisType.Auto,))
    arrays = case.arrays(rng, 2 * DEVICES)
    factors = {key: arrays[key].shape[1:][-1:] for key in case.trained}  # one for each feature
    params = {key: np.asarray(rng.uniform(0.5, 2.0, shape)) for key, shape in factors.items()}
    value, slopes = on_one_device(case, params, arrays)
    for how in ways(case):
        other_value, other_slopes = how(case, mesh, params, arrays)
        np.testing.assert_allclose(other_value, value, rtol=1e-10, err_msg=how.__name__)
        for key, slope in slopes.items():
            np.testing.assert_allclose(other_slopes[key], slope, rtol=1e-8, atol=1e-10, err_msg=how.__name__)
            assert np.abs(slope).max() > 0
