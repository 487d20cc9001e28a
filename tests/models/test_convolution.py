"""Convolutions have jax's values and gradients, in an order of axes that the platform runs well."""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jssl.models.layers.convolution import Conv, convolution, max_pool

NUMBERS = ("NHWC", "HWIO", "NHWC")
SHAPES = {  # x, kernel, strides, padding
    "3x3": ((2, 6, 6, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1))),
    "3x3, stride 2": ((2, 6, 6, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1))),
    "3x3, stride 2, odd": ((2, 7, 5, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1))),
    "3x3, stride 2, SAME": ((2, 6, 6, 3), (3, 3, 3, 4), (2, 2), "SAME"),
    "3x3, VALID, rows alone stride": ((2, 6, 7, 3), (3, 3, 3, 4), (2, 1), "VALID"),
    "1x1": ((2, 5, 5, 3), (1, 1, 3, 4), (1, 1), ((0, 0), (0, 0))),
    "1x1, stride 2": ((2, 5, 6, 3), (1, 1, 3, 4), (2, 2), "SAME"),
    "7x7, stride 2": ((2, 9, 9, 3), (7, 7, 3, 4), (2, 2), ((3, 3), (3, 3))),
    "more padding than the kernel": ((1, 3, 3, 2), (2, 2, 2, 2), (1, 1), ((3, 0), (0, 2))),
}


def draw(name, dtype=jnp.float32):
    shape, kernel, strides, padding = SHAPES[name]
    keys = jax.random.split(jax.random.key(0), 3)
    x, kernel = (
        jax.random.normal(key, size, dtype) for key, size in zip(keys, (shape, kernel), strict=False)
    )
    plain = partial(
        lax.conv_general_dilated, window_strides=strides, padding=padding, dimension_numbers=NUMBERS
    )
    gradient = jax.random.normal(keys[2], jax.eval_shape(plain, x, kernel).shape, dtype)
    return plain, partial(convolution, strides=strides, padding=padding), (x, kernel), gradient


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients_are_those_of_jax(name, dtype):
    plain, ours, inputs, gradient = draw(name, dtype)
    want, got = (
        jax.jit(lambda *inputs, f=f: (f(*inputs), jax.vjp(f, *inputs)[1](gradient)))(*inputs)
        for f in (plain, ours)
    )
    for a, b in zip(jax.tree.leaves(want), jax.tree.leaves(got), strict=True):
        assert a.dtype == b.dtype == dtype and a.shape == b.shape
        tolerance = 1e-5 if dtype == jnp.float32 else 2e-2
        scale = np.abs(np.asarray(a, np.float32)).max()
        np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(b, np.float32), atol=tolerance * scale
        )


def test_one_spatial_axis_dilation_and_groups():
    x, kernel = jax.random.normal(jax.random.key(0), (2, 8, 4)), jnp.ones((3, 4, 4))
    numbers = ("NHC", "HIO", "NHC")
    want = jax.grad(
        lambda k: jnp.sum(lax.conv_general_dilated(x, k, (2,), "SAME", dimension_numbers=numbers) ** 2)
    )(kernel)
    got = jax.grad(lambda k: jnp.sum(convolution(x, k, (2,), "SAME") ** 2))(kernel)
    np.testing.assert_allclose(want, got, rtol=1e-5)
    for settings in (dict(kernel_dilation=2), dict(feature_group_count=2), dict(input_dilation=2)):
        plain, ours = (make(4, (3,), padding=1, **settings) for make in (nn.Conv, Conv))
        params = plain.init(jax.random.key(1), x)
        np.testing.assert_array_equal(plain.apply(params, x), ours.apply(params, x))


@pytest.mark.parametrize("name", ["3x3", "3x3, stride 2"])
def test_mapped_and_repeated_gradients_are_those_of_jax(name):
    plain, ours, (x, kernel), gradient = draw(name)
    xs, kernels, gradients = (jnp.stack([a, a[::-1]]) for a in (x, kernel, gradient))

    def mapped(f, axes):
        pull = lambda x, kernel, gradient: jax.vjp(f, x, kernel)[1](gradient)  # noqa: E731
        return jax.vmap(pull, axes)(xs, kernels if axes[1] == 0 else kernel, gradients)

    for axes in ((0, None, 0), (0, 0, 0)):
        want, got = mapped(plain, axes), mapped(ours, axes)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), want, got)

    def second(f):
        slope = jax.grad(lambda k: jnp.sum(f(x, k) ** 3))
        return jax.grad(lambda k: jnp.sum(slope(k) ** 2))(kernel)

    np.testing.assert_allclose(second(plain), second(ours), rtol=1e-3)


@pytest.mark.parametrize("name", ["3x3", "3x3, stride 2", "1x1, stride 2"])
def test_inside_a_loop_every_convolution_of_a_cpu_is_in_the_plain_order(name):
    plain, ours, (x, kernel), _ = draw(name)

    def orders(f):
        slope = jax.grad(lambda x, kernel: jnp.sum(f(x, kernel) ** 2), (0, 1))
        loop = jax.jit(lambda xs, kernel: lax.map(lambda x: slope(x, kernel), xs))
        text = loop.lower(jnp.stack([x, x]), kernel).compile().as_text()
        return set(re.findall(r"dim_labels=(\S+?),? ", text))

    assert orders(ours) == {"b01f_01io->b01f"}
    assert orders(plain) != {"b01f_01io->b01f"}


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_platforms_have_the_gradients_of_jax(platform):
    plain, ours, inputs, _ = draw("3x3, stride 2")

    def convolutions(f):
        traced = jax.jit(jax.grad(lambda *inputs: jnp.sum(f(*inputs) ** 2), (0, 1))).trace(*inputs)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        return re.findall(r"stablehlo.convolution.*dim_numbers = (.*?) \{", text)

    assert len(convolutions(ours)) == 3
    assert convolutions(ours) == convolutions(plain)


@pytest.mark.parametrize("axis", [AxisType.Auto, AxisType.Explicit])
def test_a_batch_spread_over_devices_stays_where_it_is(axis):
    _, ours, (x, kernel), _ = draw("3x3, stride 2")
    mesh = jax.make_mesh((8,), ("data",), (axis,))
    spread = NamedSharding(mesh, PartitionSpec("data"))
    x = jax.device_put(jnp.tile(x, (8, 1, 1, 1)), spread)
    kernel = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
    slope = jax.jit(jax.grad(lambda x, kernel: jnp.sum(ours(x, kernel) ** 2), (0, 1)))
    text = slope.lower(x, kernel).compile().as_text()
    assert "all-reduce" in text
    assert not re.search("all-gather|all-to-all|collective-permute|conditional", text)
    by_input, by_kernel = slope(x, kernel)
    assert by_input.sharding.is_equivalent_to(spread, 4)
    alone = jax.grad(lambda x, kernel: jnp.sum(ours(x, kernel) ** 2), 1)
    alone = alone(*(jnp.asarray(np.asarray(a)) for a in (x, kernel)))
    np.testing.assert_allclose(alone, by_kernel, rtol=1e-4, atol=1e-4)


POOLS = {  # x, window, strides, padding
    "3x3, stride 2": ((2, 8, 6, 3), (3, 3), (2, 2), ((1, 1), (1, 1))),
    "odd, SAME": ((2, 7, 5, 3), (3, 3), (2, 2), "SAME"),
    "apart, some left over": ((2, 7, 9, 3), (2, 2), (3, 2), "VALID"),
    "one axis": ((2, 9, 3), (4,), (1,), ((2, 0),)),
}


@pytest.mark.parametrize("name", POOLS)
def test_max_pool_has_the_values_and_gradients_of_flax(name):
    shape, *settings = POOLS[name]
    whole = jax.random.randint(jax.random.key(0), shape, 0, 4).astype(jnp.float32)  # with many ties
    for x in (whole, jax.random.normal(jax.random.key(1), shape), whole.astype(jnp.bfloat16)):
        want, pull = jax.vjp(lambda x: nn.max_pool(x, *settings), x)
        got, ours = jax.vjp(lambda x: max_pool(x, *settings), x)
        np.testing.assert_array_equal(want, got)
        gradient = jax.random.randint(jax.random.key(2), want.shape, 1, 9).astype(x.dtype)
        np.testing.assert_array_equal(pull(gradient)[0], ours(gradient)[0])


def test_max_pool_has_no_scatter():
    x = jnp.ones((1, 8, 8, 2))
    slope = jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x, (3, 3), (2, 2), "SAME") ** 2)))
    assert "scatter" not in slope.lower(x).as_text()
