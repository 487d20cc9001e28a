"""Gradient caching: losses of a large batch through an encoder that only fits a small one."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jssl.arrays.blocks import from_blocks, in_blocks
from jssl.arrays.checks import check_positive


def microbatched(encode: Callable, *, block_size: int) -> Callable:
    """Makes an encoder that processes its batch in blocks, and recomputes their activations in the backward
    pass instead of keeping them.

    Outputs and gradients equal those of encode(params, inputs) if rows do not influence each other. (With
    batch normalisation they do. Pass dropout keys among the inputs, one per row.) It needs memory for the
    activations of one block and for the outputs of all blocks. Blocks interleave rows, so that a sharded
    batch keeps every device busy.

    Args:
        encode: (params, inputs) -> outputs, pytrees of arrays with the batch as leading axis.
        block_size: the most rows encoded at a time; it need not divide the batch.
    Returns:
        (params, inputs) -> outputs.
    References:
        GradCache, arXiv:2101.06983
    Examples:
        >>> import jax.numpy as jnp
        >>> encode = microbatched(lambda w, x: x @ w, block_size=2)
        >>> encode(jnp.eye(3), jnp.ones((5, 3))).shape
        (5, 3)
    """

    def blockwise(params, inputs):
        sizes = {len(leaf) for leaf in jax.tree.leaves(inputs)}
        if len(sizes) != 1:
            raise ValueError(f"inputs have leading axes of {sorted(sizes)}, expected arrays of one batch")
        (size,) = sizes
        check_positive(block_size=block_size)
        short = -size % -(-size // block_size)  # padded with real rows: some encoders have no gradient at 0
        filled = jax.tree.map(lambda x: jnp.concatenate([x, x[:short]]) if short else x, inputs)
        blocks = jax.tree.map(lambda x: in_blocks(x, block_size), filled)
        outputs = jax.lax.map(jax.checkpoint(lambda block: encode(params, block)), blocks)
        return jax.tree.map(lambda x: from_blocks(x, size), outputs)

    return blockwise


def cached_gradients(loss: Callable, encode: Callable, *, block_size: int, has_aux: bool = False) -> Callable:
    """Makes a function that computes a loss over the whole batch and its exact gradients, in the memory of
    one block.

    First, every block is encoded and only the embeddings are kept. Then the gradient of the loss by each
    embedding is computed. Then every block is encoded again and its part of the parameters' gradient is added
    up.

    Args:
        loss: (embeddings) -> scalar, or (scalar, auxiliary) with has_aux.
        encode: (params, inputs) -> embeddings, pytrees with the batch as leading axis, rows independent.
        block_size: rows encoded at a time; need not divide the batch.
        has_aux: whether the loss returns auxiliary values too.
    Returns:
        (params, inputs) -> (value, gradients by params), as `jax.value_and_grad` of loss(encode(params,
        inputs)).
    References:
        GradCache, arXiv:2101.06983
    Examples:
        >>> import jax.numpy as jnp
        >>> gradients = cached_gradients(lambda z: jnp.sum(z) ** 2, lambda w, x: w * x, block_size=2)
        >>> value, slope = gradients(jnp.array(2.0), jnp.arange(3.0))
        >>> float(value), float(slope)
        (36.0, 36.0)
    """
    encode = microbatched(encode, block_size=block_size)
    return jax.value_and_grad(lambda params, inputs: loss(encode(params, inputs)), has_aux=has_aux)
