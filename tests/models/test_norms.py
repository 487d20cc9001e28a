"""Batch norm has Flax's values, statistics and gradients, and sums both of its reductions in one pass."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import ModifyScopeVariableError
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jssl.models.layers.norms import batch_norm

SETTINGS = {  # of the module, shape of the inputs
    "maps": ({}, (4, 5, 3, 6)),
    "rows": ({}, (16, 6)),
    "no bias": (dict(use_bias=False), (16, 6)),
    "plain": (dict(use_bias=False, use_scale=False), (4, 5, 6)),
    "epsilon": (dict(epsilon=0.5), (16, 6)),
}


def draw(name, dtype=jnp.float32):
    settings, shape = SETTINGS[name]
    ours = batch_norm(use_running_average=False, **settings)
    flax = nn.BatchNorm(use_running_average=False, **{"momentum": 0.9, "epsilon": 1e-5} | settings)
    keys = jax.random.split(jax.random.key(0), 4)
    x = 1.5 + 2 * jax.random.normal(keys[0], shape, dtype)
    variables = dict(flax.init(keys[1], x))
    variables["params"] = {
        name: 1 + jax.random.normal(keys[2], value.shape).astype(dtype)
        for name, value in variables.get("params", {}).items()
    }
    return ours, flax, variables, x, jax.random.normal(keys[3], shape, dtype)


def run(module, variables, x):
    def apply(params, x):
        return module.apply(variables | {"params": params}, x, mutable=["batch_stats"])

    return jax.vjp(apply, variables["params"], x)


@pytest.mark.parametrize("name", SETTINGS)
def test_values_statistics_and_gradients_are_flaxs(name):
    ours, flax, variables, x, slope = draw(name)
    assert jax.tree.structure(ours.init(jax.random.key(0), x)) == jax.tree.structure(
        flax.init(jax.random.key(0), x)
    )
    results, pulls = zip(*(run(module, variables, x) for module in (ours, flax)), strict=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), *results)
    # the statistics have a gradient, too, though nothing here asks for it
    slopes = slope, jax.tree.map(lambda x: 1 + jnp.arange(x.size, dtype=x.dtype), results[1][1])
    some, others = (pull(slopes) for pull in pulls)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), some, others)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(some))


def test_a_constant_channel_has_flaxs_gradient():
    ours, flax, variables, x, slope = draw("rows")
    (_, moved), pull = run(ours, variables, x.at[..., 0].set(0.75))
    _, flaxs = run(flax, variables, x.at[..., 0].set(0.75))
    slopes = slope, jax.tree.map(jnp.zeros_like, moved)
    got, want = pull(slopes)[1], flaxs(slopes)[1]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)
    assert np.abs(got[:, 0]).max() > 100  # divided by the root of epsilon


def test_groups_have_statistics_of_their_own_as_flaxs():
    ours, flax, variables, x, _ = draw("rows")

    def slopes(module):
        def loss(params, part):
            y, moved = module.apply(variables | {"params": params}, part, mutable=["batch_stats"])
            return jnp.sum(y**3), moved

        each = jax.vmap(jax.value_and_grad(loss, (0, 1), has_aux=True), (None, 0))
        return each(variables["params"], x.reshape(4, 4, -1))

    got, want = slopes(ours), slopes(flax)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), got, want)


def test_running_statistics_and_masks_are_flaxs():
    ours, flax, variables, x, _ = draw("rows")
    seen = jnp.arange(16)[:, None] < 9
    for settings in (dict(use_running_average=True), dict(use_running_average=False, mask=seen)):
        got, want = (
            module.clone(use_running_average=None).apply(variables, x, mutable=["batch_stats"], **settings)
            for module in (ours, flax)
        )
        jax.tree.map(np.testing.assert_array_equal, got, want)
    with pytest.raises(ModifyScopeVariableError):
        ours.apply(variables, x)


def test_statistics_of_bfloat16_are_float32():
    ours, flax, variables, x, slope = draw("maps", jnp.bfloat16)
    (y, moved), pull = run(ours, variables, x)
    (want, want_moved), _ = run(flax, variables, x)
    assert y.dtype == want.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), want.astype(jnp.float32), rtol=8e-3)
    for name, statistic in moved["batch_stats"].items():
        assert statistic.dtype == jnp.float32
        np.testing.assert_allclose(statistic, want_moved["batch_stats"][name], rtol=1e-6, atol=1e-6)
    params, of_x = pull((slope, jax.tree.map(jnp.zeros_like, moved)))
    assert {leaf.dtype for leaf in jax.tree.leaves((params, of_x))} == {jnp.dtype(jnp.bfloat16)}
    # as in float32, up to the rounding of the result
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), (variables, x))
    (_, moved), pull = run(ours, *wide)
    _, expected = pull((slope.astype(jnp.float32), jax.tree.map(jnp.zeros_like, moved)))
    np.testing.assert_allclose(of_x.astype(jnp.float32), expected, rtol=1e-2, atol=1e-2)


def test_a_batch_spread_over_devices_has_one_set_of_statistics():
    ours, _, variables, x, _ = draw("rows")
    mesh = jax.make_mesh((8,), ("data",), (AxisType.Auto,))
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))

    def loss(params, x):
        y, moved = ours.apply(variables | {"params": params}, x, mutable=["batch_stats"])
        return jnp.sum(y**3), moved

    slope = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    text = slope.lower(variables["params"], spread).compile().as_text()
    assert "all-reduce" in text and not re.search("all-gather|all-to-all|collective-permute", text)
    got, want = slope(variables["params"], spread), slope(variables["params"], x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)


def test_the_gradient_sums_over_the_data_twice_and_flaxs_more_often():
    ours, flax, variables, x, slope = draw("maps")

    def sums(module):
        def pulled(x):
            (_, moved), pull = run(module, variables, x)
            return pull((slope, jax.tree.map(jnp.zeros_like, moved)))

        return jax.jit(pulled).lower(x).as_text().count("stablehlo.reduce(")

    assert sums(ours) == 4 < sums(flax)  # two of them the statistics'
