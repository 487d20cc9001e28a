"""Modules for a ViT that reads films: tubelets for patches, and VideoMAE's positions.  arXiv:2203.12602"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jssl.models.layers.dense import Dense
from jssl.models.layers.transformer import Block, Transformer, kernel_init, layer_norm

Grid3 = tuple[int, int, int]  # tubelets in time, rows, columns


class TubeletEmbed(nn.Module):
    """Cuts a film into tubelets and projects each: [B, T, H, W, C] -> [B, T/t, H/P, W/P, D].

    Args:
        patch: Side of a tubelet in pixels.
        dim: Width of a token.
        tubelet: Frames of a tubelet.
    """

    patch: int
    dim: int
    kernel_init: Callable = kernel_init
    tubelet: int = 2

    def grid(self, film_shape: tuple[int, ...]) -> Grid3:
        """(tubelets in time, rows, columns) of films of shape (..., T, H, W, C)."""
        time, height, width = film_shape[-4:-1]
        return time // self.tubelet, height // self.patch, width // self.patch

    def check(self, films: jax.Array) -> None:
        """Raises a ValueError for films that cannot be cut into tubelets."""
        if films.ndim != 5 or not jnp.issubdtype(films.dtype, jnp.floating):
            raise ValueError(f"films must be floats [B, T, H, W, C], got {films.dtype} {films.shape}")
        sides = dict(zip(("frames", "height", "width"), films.shape[1:4], strict=True))
        whole = dict(frames=self.tubelet, height=self.patch, width=self.patch)
        for name, side in sides.items():
            if side % whole[name]:
                raise ValueError(f"films of {side} {name} do not divide into tubelets of {whole[name]}")

    @nn.compact
    def __call__(self, films: jax.Array, *, train: bool = False) -> jax.Array:
        (time, rows, columns), t, p = self.grid(films.shape), self.tubelet, self.patch
        x = films.reshape(-1, time, t, rows, p, columns, p, films.shape[-1])
        x = x.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, time, rows, columns, t * p * p * films.shape[-1])
        return Dense(self.dim, kernel_init=self.kernel_init, name="proj")(x)


def sinusoid_positions(grid: tuple[int, ...], dim: int, *, prefix: int = 0) -> jax.Array:
    """Computes VideoMAE's table of positions over the flattened (time, row, column) index: sines at even
    features, cosines at odd ones.

    Args:
        grid: Tokens along each axis.
        dim: Width of a token.
        prefix: The number of tokens before the tubelets, which get zeros.
    Returns:
        [prefix + N, dim] float32.
    """
    place = np.arange(np.prod(grid))[:, None]
    angle = place / 10000 ** (2 * (np.arange(dim) // 2) / dim)
    table = np.where(np.arange(dim) % 2 == 0, np.sin(angle), np.cos(angle))
    return jnp.pad(jnp.asarray(table, jnp.float32), ((prefix, 0), (0, 0)))


class TubeletDecoder(nn.Module):
    """VideoMAE's decoder: predicts the hidden tubelets from the visible tokens and mask tokens, each with its
    position.

    Args:
        out: Size of a tubelet, frames * side * side * channels.
        dim, depth, heads, mlp_ratio: The sizes.
        norm: The norm in the blocks; `last_norm` is the one after them.
    """

    out: int
    dim: int = 384
    depth: int = 4
    heads: int = 6
    mlp_ratio: float = 4.0
    mlp: Callable[..., nn.Module] | None = None
    norm: Callable[..., nn.Module] = layer_norm
    last_norm: Callable[..., nn.Module] = layer_norm
    qkv_bias: bool | tuple[bool, bool, bool] = (True, False, True)
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(
        self,
        tokens: jax.Array,
        visible: jax.Array,
        hidden: jax.Array,
        grid: tuple[int, ...],
        *,
        train: bool = False,
    ) -> jax.Array:
        """Predicts the hidden tubelets.

        Args:
            tokens: [B, n, D], encoded.
            visible: [B, n] int, their places.
            hidden: [B, m] int, the places to predict.
            grid: Of all tubelets.
        Returns:
            [B, m, out].
        """
        x = Dense(self.dim, use_bias=False, kernel_init=self.kernel_init, name="embed")(tokens)
        mask_token = self.param("mask_token", nn.initializers.normal(0.02), (self.dim,)).astype(x.dtype)
        table = sinusoid_positions(grid, self.dim).astype(x.dtype)
        x = jnp.concatenate([x + table[visible], mask_token + table[hidden]], axis=1)
        sizes: dict[str, Any] = {} if self.mlp is None else {"mlp": self.mlp}
        block = partial(
            Block,
            self.heads,
            self.mlp_ratio,
            norm=self.norm,
            qkv_bias=self.qkv_bias,
            kernel_init=self.kernel_init,
            **sizes,
        )
        x = Transformer(self.depth, block, name="blocks")(x)
        x = self.last_norm(name="norm")(x[:, -hidden.shape[1] :])
        return Dense(self.out, kernel_init=self.kernel_init, name="predict")(x)
