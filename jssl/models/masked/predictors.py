"""Predictors of the features of hidden patches from those of visible ones."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.layers.attention import attend
from jssl.models.layers.dense import Dense
from jssl.models.layers.initializers import kernel_init, truncated_normal
from jssl.models.layers.norms import layer_norm
from jssl.models.layers.positions import Grid, sincos_positions
from jssl.models.layers.transformer import Block, Transformer, absent_bias


class Predictor(nn.Module):
    """I-JEPA's predictor: a transformer on context tokens and on mask tokens with the positions to predict.
    arXiv:2301.08243

    Args:
        dim, depth, heads: the inner sizes.
        positions: (grid, dim, prefix=) -> [N, dim].
        mlp_ratio, norm, attend, kernel_init: as `Block`.
        scan, remat: as `Transformer`.
    """

    dim: int = 384
    depth: int = 6
    heads: int = 12
    mlp_ratio: float = 4.0
    positions: Callable = sincos_positions
    norm: Callable = layer_norm
    qkv_bias: bool = True
    attend: Callable = attend
    kernel_init: Callable = kernel_init
    scan: bool = False
    remat: Callable | None = None

    @nn.compact
    def __call__(
        self,
        context: jax.Array,
        visible: jax.Array,
        targets: jax.Array,
        grid: Grid,
        *,
        train: bool = False,
        present: tuple[jax.Array, jax.Array] | None = None,
    ) -> jax.Array:
        """Predicts the tokens of each target block, independently of the other blocks.

        Args:
            context: [B, n, D] encoded tokens.
            visible: [B, n] int, their places.
            targets: [M, B, m] int, the places of M blocks.
            grid: (rows, columns) of all patches.
            train: changes nothing.
            present: ([B, n], [M, B, m]) bool, False for padding, which no token attends to; None: all are
                real.
        Returns:
            [M, B, m, D]
        """
        blocks, batch, wanted = targets.shape
        x = Dense(self.dim, kernel_init=self.kernel_init, name="embed")(context)
        table = self.positions(grid, self.dim).astype(x.dtype)
        mask_token = self.param("mask_token", truncated_normal(0.02), (self.dim,)).astype(x.dtype)
        queries = (mask_token + table[targets]).reshape(blocks * batch, wanted, self.dim)
        x = jnp.concatenate([jnp.tile(x + table[visible], (blocks, 1, 1)), queries], axis=1)
        bias = None
        if present is not None:
            seen, asked = jnp.tile(present[0], (blocks, 1)), present[1].reshape(-1, wanted)
            bias = absent_bias(jnp.concatenate([seen, asked], axis=1))
        block = partial(Block, self.heads, self.mlp_ratio, norm=self.norm, qkv_bias=self.qkv_bias)
        block = partial(block, attend=self.attend, kernel_init=self.kernel_init)
        x = Transformer(self.depth, block, scan=self.scan, remat=self.remat, name="blocks")(x, bias=bias)
        x = self.norm(name="norm")(x[:, -wanted:])
        x = Dense(context.shape[-1], kernel_init=self.kernel_init, name="predict")(x)
        return x.reshape(blocks, batch, wanted, -1)
