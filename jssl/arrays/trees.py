"""Paths of the leaves of a pytree."""


def names(path) -> tuple[str, ...]:
    """The names along a path of `jax.tree_util`, whatever containers it leads through.

    Returns: one string per level: dictionary keys, attributes or indices.

    >>> import jax
    >>> jax.tree_util.tree_map_with_path(lambda path, leaf: names(path), {"dense": {"kernel": 1.0}})
    {'dense': {'kernel': ('dense', 'kernel')}}
    """
    return tuple(
        str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry)))) for entry in path
    )
