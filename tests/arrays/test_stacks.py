"""Stacked blocks and blocks one by one are the same parameters, for optimizers too."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import optim
from jssl.arrays.stacks import in_form_of, map_layers, stack_blocks, unstack_blocks

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


def test_layers_are_mapped_by_themselves():
    norm = lambda tree: map_layers(jnp.linalg.norm, tree)  # noqa: E731
    vectors = jax.tree.map(jnp.ravel, TREE)
    stacked = stack_blocks(vectors)
    np.testing.assert_allclose(
        norm(stacked)["blocks"]["stacked"]["kernel"],
        stack_blocks(norm(vectors))["blocks"]["stacked"]["kernel"],
    )


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
