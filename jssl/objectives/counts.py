"""Counting: the counts of an image equal the sum of its parts' counts.  arXiv:1708.06734"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check


def counting(whole, parts, other, *, margin: float = 10.0) -> jax.Array:
    """Computes the counting loss: the parts' counts add up to those of their image, and differ from another
    image's by a margin.

        |whole - sum(parts)|^2 + max(0, margin - |other - sum(parts)|^2)

    If all counts are 0, the loss is the margin.

    Args:
        whole: [B, D] counts of an image.
        parts: [B, N, D] counts of its parts.
        other: [B, D] counts of another image; gradients pass through all three.
        margin: the squared distance beyond which the other image adds nothing.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes.
    References:
        arXiv:1708.06734
    Examples:
        >>> counting(jnp.ones((1, 2)), jnp.ones((1, 4, 2)) / 4, jnp.zeros((1, 2))).tolist()
        [8.0]
    """
    whole, parts, other = check(whole=(whole, "B D"), parts=(parts, "B N D"), other=(other, "B D"))
    total = jnp.sum(parts, axis=1)
    near, far = (jnp.sum((x - total) ** 2, axis=-1) for x in (whole, other))
    return near + jnp.maximum(0, margin - far)
