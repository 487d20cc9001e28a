"""What every encoder returns."""

from typing import NamedTuple

import jax


class Features(NamedTuple):
    """An image's representation.

    cls:    [B, D] the whole image: a class token, or the mean over positions where a network has none.
    tokens: [B, N, D] its parts in row-major order: patch tokens, or the positions of a feature map.
    """

    cls: jax.Array
    tokens: jax.Array
