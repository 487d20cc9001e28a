"""Leaves of a pytree by their paths."""

from typing import Any

import jax
import jax.numpy as jnp


def names(path) -> tuple[str, ...]:
    """Lists the names along a path of `jax.tree_util`, for any kinds of containers.

    Args:
        path: the path of a leaf.
    Returns:
        One string per level: dictionary keys, attributes or indices.
    Examples:
        >>> jax.tree_util.tree_map_with_path(lambda path, leaf: names(path), {"dense": {"kernel": 1.0}})
        {'dense': {'kernel': ('dense', 'kernel')}}
    """
    return tuple(
        str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry)))) for entry in path
    )


def by_path(tree: Any) -> dict[tuple[str, ...], Any]:
    """Lists the leaves of a tree by their paths.

    Args:
        tree: any pytree.
    Returns:
        {names along the path: leaf}, in the order of the leaves.
    Examples:
        >>> by_path({"dense": {"kernel": 1.0, "bias": 2.0}})
        {('dense', 'bias'): 2.0, ('dense', 'kernel'): 1.0}
    """
    return {names(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def overlay(tree: Any, given: Any) -> Any:
    """Replaces the arrays of a tree by given ones with the same paths; the others stay.

    Args:
        tree: a pytree of arrays.
        given: a pytree with some of its paths.
    Returns:
        The tree with copies of the given arrays, cast to the tree's own dtypes.
    Raises:
        ValueError: for an array of another shape, or with a path that the tree does not have.
    Examples:
        >>> overlay({"a": jnp.zeros(2), "b": jnp.zeros(1)}, {"b": jnp.ones(1)})["b"].tolist()
        [1.0]
    """
    left = by_path(given)

    def lay(path, leaf):
        new = left.pop(names(path), None)
        if new is None:
            return leaf
        if jnp.shape(new) != jnp.shape(leaf):
            raise ValueError(
                f"{'/'.join(names(path))} is given with shape {jnp.shape(new)}, expected {jnp.shape(leaf)}"
            )
        return jnp.array(new, leaf.dtype, copy=True)

    result = jax.tree_util.tree_map_with_path(lay, tree)
    if left:
        there = sorted(map("/".join, by_path(tree)))
        raise ValueError(
            f"{'/'.join(next(iter(left)))} is given, but there is no such array; there are {_some(there)}"
        )
    return result


def cast(tree: Any, dtype: Any) -> Any:
    """Casts floating arrays; scalars, such as learned temperatures, stay as they are.

    Args:
        tree: a pytree of arrays.
        dtype: None changes nothing.
    Returns:
        The tree.
    """
    if dtype is None:
        return tree

    def one(x):
        return x.astype(dtype) if x.ndim and jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(one, tree)


def _some(found: list[str]) -> str:
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
