"""The type that every encoder returns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax


class Features(NamedTuple):
    """An image's representation.

    Args:
        cls: [B, D], features of the whole image: a class token, or the mean over positions if the network has
            none.
        tokens: [B, N, D], features of its parts in row-major order: patch tokens, or the positions of a
            feature map.
        inner: by name, the values that the layers have sown: a tuple of arrays with the batch first, in the
            order of the layers, or one array made from it. None without `network.apply(..., collect=names)`.
    """

    cls: jax.Array
    tokens: jax.Array
    inner: Mapping[str, Any] | None = None
