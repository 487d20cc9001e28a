"""Decoders from tokens on a grid to maps of higher resolution."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from jssl.models.layers.norms import batch_norm


class MapDecoder(nn.Module):
    """Decodes the tokens of a square grid to a map of higher resolution, [B, N, D] -> [B, h, w, out].

    Args:
        out: channels of the map.
        widths: channels of the layers; each doubles the map's sides.
        norm: the norm after each of them.
        last: a function applied to the map, such as `jnp.tanh`; None: none.
    """

    out: int
    widths: Sequence[int] = ()
    norm: Callable = batch_norm
    last: Callable | None = None

    @nn.compact
    def __call__(self, tokens: jax.Array, *, train: bool = False) -> jax.Array:
        """Decodes tokens.

        Args:
            tokens: [B, N, D], row by row.
            train: whether norms use the batch's statistics and update the running ones.
        Returns:
            [B, h, w, out].
        Raises:
            ValueError: for tokens that do not form a square grid.
        """
        side = math.isqrt(tokens.shape[1])
        if side * side != tokens.shape[1]:
            raise ValueError(f"a map is decoded of a square grid of tokens, got {tokens.shape[1]} tokens")
        x = tokens.reshape(len(tokens), side, side, tokens.shape[-1])
        for width in self.widths:
            x = nn.ConvTranspose(width, (4, 4), strides=(2, 2), use_bias=False)(x)
            x = nn.relu(self.norm(use_running_average=not train)(x))
        x = nn.Dense(self.out)(x)
        return x if self.last is None else self.last(x)


class Squeezed(nn.Module):
    """Compresses all of an image's tokens into one vector and makes a few tokens from it, [B, N, D] ->
    [B, n, out].

    So an output decoded from these tokens depends on the whole image.

    Args:
        width: width of the vector.
        out: width of the tokens that are made.
        side: of their square grid, n = side * side.
        norm: the norm after both layers.
    References:
        arXiv:1604.07379
    """

    width: int
    out: int
    side: int = 4
    norm: Callable = batch_norm

    @nn.compact
    def __call__(self, tokens: jax.Array, *, train: bool = False) -> jax.Array:
        x = nn.Dense(self.width)(tokens.reshape(len(tokens), -1))
        x = nn.leaky_relu(self.norm(use_running_average=not train)(x), 0.2)
        x = nn.Dense(self.side * self.side * self.out)(x).reshape(len(x), -1, self.out)
        return nn.relu(self.norm(use_running_average=not train)(x))
