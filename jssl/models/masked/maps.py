"""Decoders of maps: tokens on a grid, made finer step by step."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from jssl.models.layers.norms import batch_norm


class MapDecoder(nn.Module):
    """Turns the tokens of a square grid into a finer map, [B, N, D] -> [B, h, w, out].

    Args:
        out: channels of the map.
        widths: channels of the layers; each doubles the map's sides.
        norm: after each of them.
        last: of the map, such as `jnp.tanh`; None: nothing.
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
            ValueError: for tokens of no square grid.
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
    """Squeezes all of an image's tokens into one vector and makes a few of it, [B, N, D] -> [B, n, out].

    So what is decoded of them comes from the whole image.

    Args:
        width: of the vector.
        out: width of the tokens that are made.
        side: of their square grid, n = side * side.
        norm: after both layers.
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
