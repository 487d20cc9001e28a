"""The Swin Transformer: attention inside windows that shift from block to block.  arXiv:2103.14030"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.patches import check_images
from jssl.models.encoders.vit import PatchEmbed
from jssl.models.features import Features
from jssl.models.layers.dense import Dense
from jssl.models.layers.initializers import kernel_init, truncated_normal
from jssl.models.layers.norms import layer_norm
from jssl.models.layers.positions import Grid
from jssl.models.layers.transformer import Attention, Mlp, path_factors


class WindowBlock(nn.Module):
    """A pre-norm block whose attention stays inside windows, with a learned bias for each relative position.

    Args:
        heads: of the attention.
        window: the side of the windows for which the bias table is made.
        size: side of the windows here, at most `window`.
        shift: how far the windows are moved.
        mlp_ratio, norm, qkv_bias, kernel_init, mlp: as `Block`.
    """

    heads: int
    window: int
    size: int
    shift: int
    mlp_ratio: float = 4.0
    norm: Callable = partial(layer_norm, epsilon=1e-5)
    qkv_bias: bool = True
    kernel_init: Callable = kernel_init
    mlp: Callable[..., nn.Module] = Mlp

    @nn.compact
    def __call__(self, x: jax.Array, *, keep: jax.Array | None = None) -> jax.Array:
        """Applies the block.

        Args:
            x: [B, rows, columns, D].
            keep: [2, B], factors of the two branches (stochastic depth); None: 1.
        Returns:
            [B, rows, columns, D]
        """
        _, rows, columns, dim = x.shape
        keep = jnp.ones((2, 1)) if keep is None else keep
        keep = keep[..., None, None, None].astype(x.dtype)

        y = self.norm(name="norm1")(x)
        y = jnp.pad(y, ((0, 0), (0, -rows % self.size), (0, -columns % self.size), (0, 0)))
        grid = (y.shape[1], y.shape[2])
        y = _windows(jnp.roll(y, (-self.shift, -self.shift), (1, 2)), self.size)
        bias = self._bias(grid, len(y))
        attention = Attention(self.heads, self.qkv_bias, kernel_init=self.kernel_init, sown=None, name="attn")
        y = attention(y, bias=bias)
        y = jnp.roll(_unwindow(y, self.size, grid), (self.shift, self.shift), (1, 2))[:, :rows, :columns]
        x = x + keep[0] * y
        mlp = self.mlp(hidden=round(dim * self.mlp_ratio), kernel_init=self.kernel_init, name="mlp")
        return x + keep[1] * mlp(self.norm(name="norm2")(x))

    def _bias(self, grid: Grid, windows: int) -> jax.Array:
        """[1 or B * windows, heads, size^2, size^2]."""
        shape = ((2 * self.window - 1) ** 2, self.heads)
        table = self.param("relative_bias", truncated_normal(0.02), shape)
        bias = jnp.moveaxis(table[_relative_index(self.window, self.size)], -1, 0)[None].astype(jnp.float32)
        if not self.shift:
            return bias
        bias = bias + _shift_mask(grid, self.size, self.shift)[:, None]
        return jnp.tile(bias, (windows // len(bias), 1, 1, 1))


def _windows(x: jax.Array, size: int) -> jax.Array:
    """[B, rows, columns, D] -> [B * windows, size^2, D]."""
    batch, rows, columns, dim = x.shape
    x = x.reshape(batch, rows // size, size, columns // size, size, dim).swapaxes(2, 3)
    return x.reshape(-1, size * size, dim)


def _unwindow(x: jax.Array, size: int, grid: Grid) -> jax.Array:
    rows, columns = grid
    x = x.reshape(-1, rows // size, columns // size, size, size, x.shape[-1]).swapaxes(2, 3)
    return x.reshape(-1, rows, columns, x.shape[-1])


def _relative_index(window: int, size: int) -> np.ndarray:
    """[size^2, size^2]: the row of the table, made for `window`, that holds the offset from j to i."""
    places = np.indices((size, size)).reshape(2, -1).T
    offset = places[:, None] - places[None] + window - 1
    return offset[..., 0] * (2 * window - 1) + offset[..., 1]


def _shift_mask(grid: Grid, size: int, shift: int) -> np.ndarray:
    """[windows, size^2, size^2]: -100 between places that are neighbours only because of the cyclic shift."""
    region = [np.searchsorted([side - size, side - shift], np.arange(side), side="right") for side in grid]
    region = (3 * region[0][:, None] + region[1]).reshape(grid[0] // size, size, grid[1] // size, size)
    region = region.swapaxes(1, 2).reshape(-1, size * size)
    return np.where(region[:, :, None] != region[:, None], -100.0, 0.0).astype(np.float32)


class PatchMerging(nn.Module):
    """Merges four neighbouring tokens into one, twice as wide: norm, then a linear layer without bias."""

    norm: Callable
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        y = self.norm(name="norm")(jnp.concatenate(corners, axis=-1))
        return Dense(2 * x.shape[-1], use_bias=False, kernel_init=self.kernel_init, name="reduction")(y)


class Swin(nn.Module):
    """Stages of window attention, each half the resolution and twice the width of the one before.

    `cls` is the mean of the last stage's normalised tokens. The maps after each stage, [B, rows, columns, D],
    are sown as "stage0", "stage1" ...

    Args:
        patch: side of a first token in pixels.
        dim: width of the first stage.
        depths: blocks of each stage.
        heads: heads of each stage.
        window: side of a window in tokens, or one side per stage.
        mlp_ratio, norm, qkv_bias, kernel_init: as `Block`.
        positions: (grid, dim) -> [N, dim], added to the first tokens; None adds none.
        drop_path: the last block's rate of stochastic depth; acts when an rng "dropout" is given.
        mlp: as `Block`.
    """

    patch: int = 4
    dim: int = 96
    depths: Sequence[int] = (2, 2, 6, 2)
    heads: Sequence[int] = (3, 6, 12, 24)
    window: int | Sequence[int] = 7
    mlp_ratio: float = 4.0
    positions: Callable | None = None
    norm: Callable = partial(layer_norm, epsilon=1e-5)
    qkv_bias: bool = True
    kernel_init: Callable = kernel_init
    drop_path: float = 0.0
    mlp: Callable[..., nn.Module] = Mlp

    def grid(self, image_shape: tuple[int, ...]) -> Grid:
        """Counts the last stage's tokens, (rows, columns), of images of shape (..., H, W, C)."""
        side = self.patch * 2 ** (len(self.depths) - 1)
        return -(-image_shape[-3] // side), -(-image_shape[-2] // side)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False, mask: jax.Array | None = None) -> Features:
        """Encodes images.

        Args:
            images: [B, H, W, C] floats, H and W multiples of the patch; odd maps are padded before they are
                merged.
            train: changes nothing.
            mask: [B, N] bool over the tokens returned, or over the first, finer tokens; True becomes the mask
                token, a parameter from the first call on that passes a mask (SimMIM, arXiv:2111.09886).
        Returns:
            Features(cls [B, D], tokens [B, N, D])
        Raises:
            ValueError: for a wrong rank, dtype or size.
        """
        check_images(images, self.patch, "patch", floats=True)
        x = PatchEmbed(self.patch, self.dim, self.kernel_init, name="stem")(images)
        x = self.norm(name="norm_stem")(x)
        batch, rows, columns, dim = x.shape
        if mask is not None:
            token = self.param("mask_token", truncated_normal(0.02), (dim,))
            hidden = _over(mask, batch, (rows, columns), self.grid(images.shape))
            x = jnp.where(hidden[..., None], token.astype(x.dtype), x)
        if self.positions is not None:
            x = x + self.positions((rows, columns), dim).reshape(rows, columns, dim).astype(x.dtype)
        keep = None
        if self.drop_path and self.has_rng("dropout"):
            keep = path_factors(self.make_rng("dropout"), self.drop_path, sum(self.depths), batch)
        common = self.mlp_ratio, self.norm, self.qkv_bias, self.kernel_init, self.mlp
        first = 0
        for stage, (depth, heads) in enumerate(zip(self.depths, self.heads, strict=True)):
            x = PatchMerging(self.norm, self.kernel_init, name=f"merge{stage}")(x) if stage else x
            window = self.window if isinstance(self.window, int) else self.window[stage]
            whole = min(x.shape[1:3]) <= window  # one window covers the map: no shift
            size = min(window, *x.shape[1:3])
            for i in range(depth):
                shift = 0 if whole or i % 2 == 0 else window // 2
                block = WindowBlock(heads, window, size, shift, *common, name=f"stage{stage}_{i}")
                x = block(x, keep=None if keep is None else keep[first + i])
            first += depth
            self.sow("intermediates", f"stage{stage}", x)
        tokens = self.norm(name="norm")(x).reshape(batch, -1, x.shape[-1])
        return Features(tokens.mean(axis=1), tokens)


def _over(mask: jax.Array, batch: int, fine: Grid, coarse: Grid) -> jax.Array:
    """Resizes a mask [B, N] of the coarse or the fine grid to the fine grid: [B, rows, columns]."""
    for grid in (coarse, fine):
        if mask.shape == (batch, grid[0] * grid[1]) and mask.dtype == jnp.bool_:
            times = [-(-side // given) for side, given in zip(fine, grid, strict=True)]
            mask = mask.reshape(batch, *grid).repeat(times[0], axis=1).repeat(times[1], axis=2)
            return mask[:, : fine[0], : fine[1]]
    raise ValueError(
        f"mask must be bool [B, N] of the grid {coarse} or {fine}, got {mask.dtype} {mask.shape}"
    )
