import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jssl.models.layers.dense import Dense, product_of_rows


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 0, 5), (2, 3, 4, 5)])
def test_it_is_flax_dense(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    ours, theirs = Dense(7), nn.Dense(7)
    variables = theirs.init(jax.random.key(1), x)
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(1), x)) == jax.tree.map(jnp.shape, variables)

    def loss(variables, x, module):
        return jnp.sum(jnp.sin(module.apply(variables, x)))

    np.testing.assert_allclose(ours.apply(variables, x), theirs.apply(variables, x), rtol=1e-6, atol=1e-6)
    for mine, other in zip(
        *(jax.tree.leaves(jax.grad(loss, argnums=(0, 1))(variables, x, module)) for module in (ours, theirs)),
        strict=True,
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [AxisType.Auto, AxisType.Explicit])
def test_rows_spread_over_devices(axis):
    mesh = jax.make_mesh((4, 2), ("data", "fsdp"), (axis, axis))
    x, kernel = (jax.random.normal(jax.random.key(n), shape) for n, shape in enumerate([(8, 3, 4), (4, 6)]))
    with jax.set_mesh(mesh):
        spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec(("data", "fsdp"))))
        found = jax.jit(product_of_rows)(spread, kernel)
        assert found.sharding.shard_shape(found.shape) == (1, 3, 6)
    np.testing.assert_allclose(found, x @ kernel, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_tokens_moves_no_batch():
    """On a CPU. flax's does: each copy of the tokens costs as much as half the product."""
    x = jnp.ones((8, 65, 32))
    moved = re.compile(r"f32\[(?:\d+,)*(?:520|65)(?:,\d+)*\]\S* (?:transpose|copy)\(")

    def program(module):
        variables = module.init(jax.random.key(0), x)
        step = jax.jit(jax.grad(lambda variables: jnp.sum(jnp.sin(module.apply(variables, x)))))
        return step.lower(variables).compile().as_text()

    assert moved.search(program(nn.Dense(48))) and not moved.search(program(Dense(48)))
