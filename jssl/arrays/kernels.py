"""Makes a GPU's compiler fuse many small updates into a few kernels."""

from typing import Any

import jax
import jax.numpy as jnp


def vectors_together(tree: Any) -> Any:
    """Lets a GPU update all vectors of one shape, such as biases and scales, by a few kernels.

    XLA fuses the updates of arrays of one shape if they read a common array. So the same array of zeros is
    added to all vectors of one shape, behind a barrier that hides from the compiler that it is zero. On other
    platforms nothing is done.

    Args:
        tree: a pytree of arrays, such as gradients.
    Returns:
        The same values.
    Examples:
        >>> vectors_together({"bias": jnp.ones(3), "kernel": jnp.ones((2, 3))})["bias"].tolist()
        [1.0, 1.0, 1.0]
    """
    leaves, structure = jax.tree.flatten(tree)
    vectors = {i: x for i, x in enumerate(leaves) if x.ndim == 1}
    vectors = jax.lax.platform_dependent(vectors, cuda=_with_zeros, default=lambda same: same)
    return jax.tree.unflatten(structure, [vectors.get(i, x) for i, x in enumerate(leaves)])


def _with_zeros(vectors: dict[int, jax.Array]) -> dict[int, jax.Array]:
    kinds = dict.fromkeys((x.shape, x.dtype) for x in vectors.values())  # in one order on every host
    zeros = {kind: jax.lax.optimization_barrier(jnp.zeros(*kind)) for kind in kinds}
    return {i: x + zeros[x.shape, x.dtype] for i, x in vectors.items()}
