"""Attention pooling: a learned query gathers tokens into one vector."""

from collections.abc import Callable

import flax.linen as nn
import jax

from jssl.models.layers.attention import attend
from jssl.models.layers.dense import Dense
from jssl.models.layers.initializers import xavier
from jssl.models.layers.transformer import Mlp, kernel_init, layer_norm


class AttentionPool(nn.Module):
    """SigLIP's pooling: a learned query attends to all tokens, then x + mlp(norm(x)): [B, N, D] -> [B, D].

    Args:
        heads: Of the attention.
        hidden: Width of the mlp.
        mlp: A factory, `mlp(hidden=..., name=...)`.
        norm: A factory, `norm(name=...)`.
        attend, kernel_init: As `Block`.
    References:
        arXiv:2303.15343
    """

    heads: int
    hidden: int
    mlp: Callable[..., nn.Module] = Mlp
    norm: Callable[..., nn.Module] = layer_norm
    attend: Callable = attend
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        batch, _, dim = tokens.shape
        probe = self.param("probe", xavier, (1, dim))
        qkv = InProjection(dim, self.kernel_init, name="attn")
        query, key, value = qkv(probe.astype(tokens.dtype)[None], tokens)
        query, key, value = (
            x.reshape(*x.shape[:2], self.heads, dim // self.heads) for x in (query, key, value)
        )
        query = query.repeat(batch, axis=0)
        x = self.attend(query, key, value).reshape(batch, dim)
        x = Dense(dim, kernel_init=self.kernel_init, name="proj")(x)
        mlp = self.mlp(hidden=self.hidden, kernel_init=self.kernel_init, name="mlp")
        return x + mlp(self.norm(name="norm")(x))


class InProjection(nn.Module):
    """Computes queries from one array, keys and values from another, by one matrix [D, 3 D]."""

    dim: int
    kernel_init: Callable = kernel_init

    @nn.compact
    def __call__(self, asking: jax.Array, asked: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        kernel = self.param("kernel", self.kernel_init, (self.dim, 3 * self.dim)).astype(asked.dtype)
        bias = self.param("bias", nn.initializers.zeros, (3 * self.dim,)).astype(asked.dtype)
        query = asking @ kernel[:, : self.dim] + bias[: self.dim]
        keys = asked @ kernel[:, self.dim :] + bias[self.dim :]
        return query, keys[..., : self.dim], keys[..., self.dim :]
