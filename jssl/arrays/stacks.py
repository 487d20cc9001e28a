"""The two forms of the parameters of equal blocks: one subtree for each block, or one subtree of stacked
arrays.

{"block_0": {"kernel": [D, K]}, "block_1": {"kernel": [D, K]}}    one by one
{"stacked": {"kernel": [2, D, K]}}                                stacked, as a scanned transformer keeps them
"""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.trees import names

STACKED = "stacked"
BY_BLOCK = ("tables", "classes")  # relative positions: a table per block, side by side along the last axis
_BLOCK = re.compile(r"block_\d+")


def is_stacked(path: tuple[str, ...]) -> bool:
    """Tells whether a leaf is stacked: its first axis counts blocks.

    Args:
        path: the names along its path, as `jssl.arrays.trees.names` gives them.
    Examples:
        >>> is_stacked(("blocks", "stacked", "kernel")), is_stacked(("blocks", "block_3", "kernel"))
        (True, False)
    """
    return STACKED in path


def stack_blocks(tree: Any) -> Any:
    """Stacks the blocks of a tree: every {"block_0", "block_1", ...} becomes {"stacked"}.

    Args:
        tree: a pytree of arrays, or of whatever `jnp.stack` takes.
    Returns:
        The same tree with stacked blocks; subtrees without blocks stay as they are.
    Examples:
        >>> blocks = {"block_0": jnp.zeros(3), "block_1": jnp.ones(3)}
        >>> stack_blocks({"blocks": blocks})["blocks"]["stacked"].shape
        (2, 3)
    """

    def stack(node):
        if not _has_blocks(node):
            return node
        blocks = [node[f"block_{i}"] for i in range(len(node))]
        return {STACKED: jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)}

    return jax.tree.map(stack, tree, is_leaf=_has_blocks)


def unstack_blocks(tree: Any) -> Any:
    """Unstacks the blocks of a tree: every {"stacked"} becomes {"block_0", "block_1", ...}.

    Args:
        tree: a pytree of arrays.
    Returns:
        The same tree with a subtree for each block; subtrees without a stack stay as they are.
    Examples:
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
    """Stacks or unstacks the blocks of a tree, so that they have the same form as in another tree.

    Args:
        tree: nested dictionaries of arrays, such as published weights.
        like: nested dictionaries of which some have the same paths, such as a network's own parameters.
    Returns:
        The tree; what `like` does not have stays as it is.
    Examples:
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


def squares_of_layers(tree: Any) -> Any:
    """Sums the squares of each layer: of each leaf, and of each block of a stacked leaf by itself.

    On accelerators one kernel sums all layers of one shape. They are stacked along a new axis, not
    concatenated, so that sharded arrays stay sharded.

    Args:
        tree: a pytree of arrays; sums are in float32 at least.
    Returns:
        A tree of the same structure: one number for each leaf, and for a stacked leaf one for each block,
        [L, 1, ...].
    Examples:
        >>> squares_of_layers({"a": jnp.array([3.0, 4.0]), "stacked": jnp.ones((2, 3))})["stacked"].tolist()
        [[3.0], [3.0]]
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    stacked = [is_stacked(names(path)) for path, _ in leaves]
    rows = [leaf if many else leaf[None] for (_, leaf), many in zip(leaves, stacked, strict=True)]

    # on a CPU stacking would only add a copy
    sums = jax.lax.platform_dependent(rows, cpu=_one_by_one, default=_by_shape)
    shaped = [
        x.reshape(-1, *(1,) * (row.ndim - 1)) if many else x[0]
        for x, row, many in zip(sums, rows, stacked, strict=True)
    ]
    return jax.tree.unflatten(structure, shaped)


def _one_by_one(rows: list[jax.Array]) -> list[jax.Array]:
    """Arrays [L, ...] -> the sums of squares of their rows, [L] each."""
    return [_squares(x) for x in rows]


def _by_shape(rows: list[jax.Array]) -> list[jax.Array]:
    """As `_one_by_one`, for all rows of one shape at once."""
    alike: dict[Any, list[int]] = {}
    for i, x in enumerate(rows):
        alike.setdefault((x.shape[1:], x.dtype), []).append(i)
    sums: dict[int, jax.Array] = {}
    for group in alike.values():
        ends = np.cumsum([len(rows[i]) for i in group])
        together = _squares(jnp.concatenate([rows[i] for i in group]))
        sums |= dict(zip(group, jnp.split(together, ends[:-1]), strict=True))
    return [sums[i] for i in range(len(rows))]


def _squares(x: jax.Array) -> jax.Array:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return jnp.sum(wide * wide, axis=tuple(range(1, x.ndim)))


def _has_stack(node) -> bool:
    return isinstance(node, dict) and set(node) == {STACKED}


def _has_blocks(node) -> bool:
    return isinstance(node, dict) and bool(node) and all(map(_BLOCK.fullmatch, node))
