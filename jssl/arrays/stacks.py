"""Parameters of a row of like blocks in their two forms: a subtree for each block, or one whose arrays are
stacked.

{"block_0": {"kernel": [D, K]}, "block_1": {"kernel": [D, K]}}    one by one
{"stacked": {"kernel": [2, D, K]}}                                stacked, as a scanned transformer keeps them
"""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jssl.arrays.trees import names

STACKED = "stacked"
_BLOCK = re.compile(r"block_\d+")


def is_stacked(path: tuple[str, ...]) -> bool:
    """Tells whether a leaf is stacked: its first axis counts blocks.

    Args:
        path: the names along its path, as `jssl.arrays.trees.names` gives them.

    >>> is_stacked(("blocks", "stacked", "mlp", "kernel")), is_stacked(("blocks", "block_3", "mlp", "kernel"))
    (True, False)
    """
    return STACKED in path


def stack_blocks(tree: Any) -> Any:
    """Stacks the blocks of a tree: every {"block_0", "block_1", ...} becomes {"stacked"}.

    Args:
        tree: a pytree of arrays, or of whatever `jnp.stack` takes.
    Returns:
        The same tree with stacked blocks; what has none stays.

    >>> stack_blocks({"blocks": {"block_0": jnp.zeros(3), "block_1": jnp.ones(3)}})["blocks"]["stacked"].shape
    (2, 3)
    """

    def stack(node):
        if not _has_blocks(node):
            return node
        blocks = [node[f"block_{i}"] for i in range(len(node))]
        return {STACKED: jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)}

    return jax.tree.map(stack, tree, is_leaf=_has_blocks)


def unstack_blocks(tree: Any) -> Any:
    """Takes stacked blocks apart: every {"stacked"} becomes {"block_0", "block_1", ...}.

    Args:
        tree: a pytree of arrays.
    Returns:
        The same tree with a subtree for each block; what has no stack stays.

    >>> sorted(unstack_blocks({"blocks": {"stacked": jnp.zeros((2, 3))}})["blocks"])
    ['block_0', 'block_1']
    """

    def unstack(node):
        if not _has_stack(node):
            return node
        stacked = node[STACKED]
        depth = len(jax.tree.leaves(stacked)[0])
        return {f"block_{i}": jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(depth)}

    return jax.tree.map(unstack, tree, is_leaf=_has_stack)


def in_form_of(tree: Any, like: Any) -> Any:
    """Brings the blocks of a tree into the form, stacked or one by one, that another tree keeps them in.

    Args:
        tree: nested dictionaries of arrays, such as published weights.
        like: nested dictionaries of which some have the same paths, such as a network's own parameters.
    Returns:
        The tree; what `like` does not have stays as it is.

    >>> blocks = {"block_0": jnp.zeros(3), "block_1": jnp.ones(3)}
    >>> in_form_of(blocks, {"stacked": jnp.zeros((2, 3))})["stacked"].shape
    (2, 3)
    """
    if _has_blocks(tree) and _has_stack(like):
        return stack_blocks(tree)
    if _has_stack(tree) and _has_blocks(like):
        return unstack_blocks(tree)
    if isinstance(tree, dict) and isinstance(like, dict):
        return {name: in_form_of(value, like.get(name)) for name, value in tree.items()}
    return tree


def map_layers(function: Callable[..., jax.Array], tree: Any, *rest: Any) -> Any:
    """Maps over leaves as `jax.tree.map` does, and over each block of a stacked leaf by itself.

    Args:
        function: arrays of one layer, a leaf of each tree -> an array.
        tree, rest: pytrees of arrays of the same structure.
    Returns:
        A pytree of the same structure.

    >>> scaled = map_layers(lambda x: x / x.max(), {"stacked": jnp.array([[1.0, 2.0], [4.0, 8.0]])})
    >>> scaled["stacked"].tolist()
    [[0.5, 1.0], [0.5, 1.0]]
    """

    def apply(path, *leaves):
        return (jax.vmap(function) if is_stacked(names(path)) else function)(*leaves)

    return jax.tree_util.tree_map_with_path(apply, tree, *rest)


def _has_stack(node) -> bool:
    return isinstance(node, dict) and set(node) == {STACKED}


def _has_blocks(node) -> bool:
    return isinstance(node, dict) and bool(node) and all(map(_BLOCK.fullmatch, node))
