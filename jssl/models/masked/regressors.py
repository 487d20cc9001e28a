"""Regressors: predict the encoder's output for hidden patches from its output for visible ones."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.layers.attention import attend
from jssl.models.layers.initializers import xavier
from jssl.models.layers.norms import layer_norm
from jssl.models.layers.transformer import Mlp, path_factors


class CrossAttention(nn.Module):
    """Computes cross-attention, with separate inputs for queries, keys and values.

    Args:
        heads: of the attention.
        attend: as `Block`.
        kernel_init: of all kernels.
    """

    heads: int
    attend: Callable = attend
    kernel_init: Callable = xavier

    @nn.compact
    def __call__(self, query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        """Computes the attention.

        Args:
            query: [B, M, D].
            key, value: [B, N, D].
        Returns:
            [B, M, D]
        """
        dim = query.shape[-1]
        if dim % self.heads:
            raise ValueError(f"heads={self.heads} must divide the width {dim}")
        linear = partial(nn.Dense, dim, kernel_init=self.kernel_init)
        parts = linear(name="q")(query), linear(use_bias=False, name="k")(key), linear(name="v")(value)
        split = (x.reshape(*x.shape[:2], self.heads, -1) for x in parts)
        return linear(name="proj")(self.attend(*split).reshape(query.shape))


class RegressorBlock(nn.Module):
    """Updates the hidden patches' latents by attention to the visible patches and to these latents.

    x = x + s1 attention(norm(x + p), norm(all + positions), norm(all)); x = norm(x); x = x + s2 mlp(x).

    Args:
        heads, mlp_ratio, layer_scale, norm, attend, kernel_init: as `Block`.
    """

    heads: int
    mlp_ratio: float = 4.0
    layer_scale: float | None = 0.1
    norm: Callable = layer_norm
    attend: Callable = attend
    kernel_init: Callable = xavier

    @nn.compact
    def __call__(self, x, visible, places, *, keep=None) -> jax.Array:
        """Applies the block.

        Args:
            x: [B, m, D], the hidden patches' latents.
            visible: [B, n, D], the encoder's tokens.
            places: ([B, m, D], [B, n, D]), positions of both.
            keep: [2, B], the factor of each branch for each sample (stochastic depth).
        Returns:
            [B, m, D]
        """
        own, others = places

        def branch(index, y):
            if self.layer_scale is not None:
                scale = nn.initializers.constant(self.layer_scale)
                y = y * self.param(f"scale{index}", scale, (y.shape[-1],))
            return y if keep is None else y * keep[index - 1, :, None, None].astype(y.dtype)

        every = jnp.concatenate([visible, x], axis=1)
        where = jnp.concatenate([others, own], axis=1)
        asked, told = self.norm(name="norm_query")(x + own), self.norm(name="norm_key")(every + where)
        attention = CrossAttention(self.heads, self.attend, self.kernel_init, name="attn")
        x = x + branch(1, attention(asked, told, self.norm(name="norm_value")(every)))
        x = self.norm(name="norm")(x)
        mlp = Mlp(round(x.shape[-1] * self.mlp_ratio), kernel_init=self.kernel_init, name="mlp")
        return x + branch(2, mlp(x))


class LatentRegressor(nn.Module):
    """Predicts the latents of hidden patches from those of the visible ones, by cross-attention.
    arXiv:2202.03026

    Args:
        depth: blocks.
        heads, mlp_ratio, layer_scale, norm, attend, kernel_init: as `RegressorBlock`.
        drop_path: as `Transformer`.
        token_init: initial values of the mask token from which the hidden patches' latents start.
    """

    depth: int = 4
    heads: int = 12
    mlp_ratio: float = 4.0
    layer_scale: float | None = 0.1
    norm: Callable = layer_norm
    attend: Callable = attend
    kernel_init: Callable = xavier
    drop_path: float = 0.0
    token_init: Callable = nn.initializers.truncated_normal(0.02, lower=-1.0, upper=1.0)

    @nn.compact
    def __call__(self, visible: jax.Array, places: tuple[jax.Array, jax.Array]) -> jax.Array:
        """Predicts latents.

        Args:
            visible: [B, n, D].
            places: ([B, m, D], [B, n, D]), positions of the hidden and of the visible patches.
        Returns:
            [B, m, D], normalised.
        """
        token = self.param("mask_token", self.token_init, (visible.shape[-1],)).astype(visible.dtype)
        x = jnp.broadcast_to(token, places[0].shape)
        keep = [None] * self.depth
        if self.drop_path and self.has_rng("dropout"):
            keep = path_factors(self.make_rng("dropout"), self.drop_path, self.depth, len(x))
        sizes = self.heads, self.mlp_ratio, self.layer_scale, self.norm, self.attend, self.kernel_init
        for i in range(self.depth):
            x = RegressorBlock(*sizes, name=f"block_{i}")(x, visible, places, keep=keep[i])
        return self.norm(name="norm")(x)
