"""Stacked blocks and blocks one by one are the same parameters, for optimizers too."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jssl import optim
from jssl.arrays.stacks import (
    _by_shape,
    _one_by_one,
    in_form_of,
    squares_of_layers,
    stack_blocks,
    unstack_blocks,
)

BLOCKS = {
    f"block_{i}": {"kernel": jnp.full((2, 3), float(i)), "bias": jnp.full(3, 10.0 + i)} for i in range(11)
}
TREE = {"stem": {"kernel": jnp.ones((4, 2))}, "blocks": BLOCKS, "norm": {"scale": jnp.ones(2)}}


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_stacking_keeps_the_order_of_the_blocks_and_is_undone():
    stacked = stack_blocks(TREE)
    assert set(stacked["blocks"]) == {"stacked"}
    np.testing.assert_array_equal(stacked["blocks"]["stacked"]["kernel"][:, 0, 0], np.arange(11))
    same(unstack_blocks(stacked), TREE)
    same(stack_blocks(stacked), stacked)
    same(unstack_blocks(TREE), TREE)


def test_the_state_of_an_optimizer_is_stacked_like_its_parameters():
    adam = optax.adam(0.1)
    same(stack_blocks(adam.init(TREE)), adam.init(stack_blocks(TREE)))


def test_a_tree_takes_the_form_of_another():
    stacked, part = stack_blocks(TREE), {"encoder": {"blocks": BLOCKS}}
    same(in_form_of(TREE, stacked), stacked)
    same(in_form_of(stacked, TREE), TREE)
    same(in_form_of(part, {"encoder": stacked, "head": {}}), {"encoder": {"blocks": stacked["blocks"]}})
    same(in_form_of(part, {"encoder": TREE}), part)
    same(in_form_of(part, {"other": stacked}), part)


def test_squares_are_summed_layer_by_layer():
    def squares(tree):
        return jax.tree.map(lambda x: jnp.sum(x.astype(jnp.float32) ** 2), tree)

    same(squares_of_layers(TREE), squares(TREE))
    of_stack = squares_of_layers(stack_blocks(TREE))["blocks"]["stacked"]
    assert of_stack["kernel"].shape == (11, 1, 1) and of_stack["bias"].shape == (11, 1)
    same(jax.tree.map(jnp.ravel, of_stack), stack_blocks(squares(TREE))["blocks"]["stacked"])
    assert squares_of_layers({"a": jnp.full(4, 300.0, jnp.float16)})["a"] == 360_000  # beyond float16
    assert squares_of_layers({}) == {}


def test_squares_by_shape_are_those_one_by_one():
    keys = jax.random.split(jax.random.key(0), 6)
    shapes = [(1, 4, 3), (2, 4, 3), (1, 5), (1, 4, 3), (3,), (1, 4, 3)]
    rows = [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]
    rows[-1] = rows[-1].astype(jnp.bfloat16)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), _by_shape(rows), _one_by_one(rows))


def test_squares_by_shape_bring_no_parts_of_arrays_together():
    mesh = jax.make_mesh((8,), ("fsdp",), (AxisType.Auto,))
    spread = NamedSharding(mesh, PartitionSpec(None, "fsdp"))
    rows = [jax.device_put(jnp.full((1, 16, 3), float(i)), spread) for i in range(4)]
    text = jax.jit(_by_shape).lower(rows).compile().as_text()
    assert "all-reduce" in text and not re.search("all-gather|all-to-all|collective-permute", text)
    assert [float(x[0]) for x in jax.jit(_by_shape)(rows)] == [48.0 * i * i for i in range(4)]


def test_an_accelerator_sums_up_each_shape_by_one_program():
    lowered = jax.jit(squares_of_layers).trace(TREE).lower(lowering_platforms=("cuda",)).as_text()
    shapes = {x.shape for x in jax.tree.leaves(TREE)}
    assert lowered.count("stablehlo.reduce(") == len(shapes) < len(jax.tree.leaves(TREE))


@pytest.mark.parametrize("transform", ["clip", "layer decay"])
def test_optimizers_treat_stacked_blocks_one_by_one(transform):
    def updated(params):
        made = {
            "clip": lambda: optim.clip_by_parameter_norm(3.0),
            "layer decay": lambda: optim.scale_updates(optim.layer_decay(params, 0.75)),
        }[transform]()
        return made.update(params, made.init(params), params)[0]

    want, got = updated(TREE), unstack_blocks(updated(stack_blocks(TREE)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), want, got)
    assert not np.allclose(want["blocks"]["block_9"]["kernel"], TREE["blocks"]["block_9"]["kernel"])
