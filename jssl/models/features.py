"""What every encoder returns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax


class Features(NamedTuple):
    """An image's representation.

    Args:
        cls: [B, D], the whole image: a class token, or the mean over positions where a network has none.
        tokens: [B, N, D], its parts in row-major order: patch tokens, or the positions of a feature map.
        inner: by name what the layers have sown, a tuple with the batch first in each, in the order of the
            layers, or an array that was made of it; None where nobody asked (`network.apply(...,
            collect=names)`).
    """

    cls: jax.Array
    tokens: jax.Array
    inner: Mapping[str, Any] | None = None
