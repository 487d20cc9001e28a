"""CLIP's text transformer and its learned logit scale.  arXiv:2103.00020"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.features import Features
from jssl.models.layers.attention import attend
from jssl.models.layers.initializers import kernel_init, xavier
from jssl.models.layers.norms import layer_norm
from jssl.models.layers.transformer import Block, Mlp, Transformer


def largest_id(tokens: jax.Array) -> jax.Array:
    """Finds the place of the largest id in each text, which is the end token in CLIP's and our vocabularies:
    [B, L] -> [B].
    """
    return jnp.argmax(tokens, axis=-1)


def last_place(tokens: jax.Array) -> jax.Array:
    """Takes the last place, padding or not (SigLIP): [B, L] -> [B]."""
    return jnp.full(tokens.shape[0], tokens.shape[1] - 1)


def start_place(tokens: jax.Array) -> jax.Array:
    """Takes the first place (FLIP): [B, L] -> [B]."""
    return jnp.zeros(tokens.shape[0], jnp.int32)


def first_place(tokens: jax.Array, *, of: int) -> jax.Array:
    """Finds the first place of an id in each text, 0 if there is none: [B, L] -> [B]."""
    return jnp.argmax(tokens == of, axis=-1)


class TextTransformer(nn.Module):
    """Encodes token ids as features: `cls` is the token at the end of the text, after the final norm.

    Args:
        vocabulary: number of ids.
        length: the most tokens of a text.
        dim, depth, heads: the sizes.
        end: (ids [B, L]) -> [B], the place of the token that represents the text.
        causal: whether every token attends only to itself and those before it, so that padding after the end
            changes nothing.
        mlp_ratio, mlp, norm, layer_scale, attend, kernel_init: as `Block`; CLIP has `partial(Mlp,
            activation=quick_gelu)` and `clip_text_init(depth)`.
        scan, remat: as `Transformer`.
        embed_init, position_init: initial embeddings of tokens and of positions, by default CLIP's.
    """

    vocabulary: int
    length: int = 77
    dim: int = 512
    depth: int = 12
    heads: int = 8
    mlp_ratio: float = 4.0
    end: Callable[[jax.Array], jax.Array] = largest_id
    causal: bool = True
    mlp: Callable[..., nn.Module] = Mlp
    norm: Callable[..., nn.Module] = partial(layer_norm, epsilon=1e-5)
    attend: Callable = attend
    kernel_init: Callable = kernel_init
    scan: bool = False
    remat: Callable | None = None
    layer_scale: float | None = None
    embed_init: Callable = nn.initializers.normal(0.02)
    position_init: Callable = nn.initializers.normal(0.01)

    @nn.compact
    def __call__(self, tokens: jax.Array, *, train: bool = False) -> Features:
        """Encodes texts.

        Args:
            tokens: [B, L] int, L <= length.
            train: changes nothing.
        Returns:
            Features(cls [B, D], tokens [B, L, D])
        Raises:
            ValueError: for another rank or dtype, or longer texts.
        """
        if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
            raise ValueError(f"tokens must be int [B, L], got {tokens.dtype} {tokens.shape}")
        if tokens.shape[1] > self.length:
            raise ValueError(f"tokens have length {tokens.shape[1]}, the model takes {self.length}")
        x = nn.Embed(self.vocabulary, self.dim, embedding_init=self.embed_init, name="embed")(tokens)
        positions = self.param("positions", self.position_init, (self.length, self.dim))
        x = x + positions[: tokens.shape[1]].astype(x.dtype)
        bias = None
        if self.causal:
            seen = jnp.tril(jnp.ones((tokens.shape[1],) * 2, bool))
            bias = jnp.where(seen, 0.0, -jnp.inf).astype(jnp.float32)[None, None]
        block = partial(Block, self.heads, self.mlp_ratio, self.mlp, self.norm, self.layer_scale)
        block = partial(block, attend=self.attend, kernel_init=self.kernel_init)
        x = Transformer(self.depth, block, scan=self.scan, remat=self.remat, name="blocks")(x, bias=bias)
        x = self.norm(name="norm")(x)
        return Features(jnp.take_along_axis(x, self.end(tokens)[:, None, None], axis=1)[:, 0], x)


class LogitScale(nn.Module):
    """A learned factor of cosines, exp(log_scale), at most `maximum`; () -> scalar.

    At the maximum, a gradient that would raise it further is cut; one that lowers it passes.

    Args:
        initial: the factor at the start.
        maximum: the largest factor.
    """

    initial: float = 1 / 0.07
    maximum: float = 100.0

    @nn.compact
    def __call__(self) -> jax.Array:
        log_scale = self.param("log_scale", nn.initializers.constant(math.log(self.initial)), ())
        return jnp.exp(at_most(log_scale, math.log(self.maximum)))


class LogitBias(nn.Module):
    """A learned number that is added to cosines; () -> scalar.

    Args:
        initial: its value at the start.
    """

    initial: float = -10.0

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("bias", nn.initializers.constant(self.initial), ())


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def at_most(x: jax.Array, maximum: float) -> jax.Array:
    """Computes min(x, maximum); above the maximum, only a gradient by which a minimiser lowers x passes."""
    return jnp.minimum(x, maximum)


at_most.defvjp(
    lambda x, maximum: (jnp.minimum(x, maximum), x),
    lambda maximum, x, g: (jnp.where((x >= maximum) & (g < 0), 0.0, g).astype(x.dtype),),
)


TEXTS: dict[str, dict[str, Any]] = {
    "text_n": dict(dim=96, depth=3, heads=3, length=32, kernel_init=xavier),
    "text_s": dict(dim=384, depth=12, heads=6),
    "text_b": dict(dim=512, depth=12, heads=8),
    "text_l": dict(dim=768, depth=12, heads=12),
    "text_h": dict(dim=1024, depth=24, heads=16),
}


def text_encoder(name: str, *, vocabulary: int, **overrides) -> TextTransformer:
    """Makes a text transformer by its size: text_n, text_s, text_b (CLIP with ViT-B), text_l (ViT-L), text_h.

    Args:
        name: the size.
        vocabulary: number of ids.
        overrides: fields of `TextTransformer`.
    Returns:
        The module.
    Raises:
        ValueError: for an unknown name.
    Examples:
        >>> text_encoder("text_b", vocabulary=49408).dim
        512
    """
    if name not in TEXTS:
        raise ValueError(f"unknown text encoder {name!r}, expected one of {', '.join(TEXTS)}")
    return TextTransformer(vocabulary, **{**TEXTS[name], **overrides})
