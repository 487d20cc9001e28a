"""Decoders of masked image modelling: from tokens to pixels or to other targets."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.features import Features
from jssl.models.heads import Head
from jssl.models.layers.attention import attend
from jssl.models.layers.dense import Dense
from jssl.models.layers.initializers import kernel_init, xavier
from jssl.models.layers.norms import layer_norm
from jssl.models.layers.positions import Grid, sincos_positions
from jssl.models.layers.transformer import Block, Mlp, Transformer, gelu


class MaskedDecoder(nn.Module):
    """MAE's decoder: mask tokens at the hidden places, a few blocks, one linear layer.  arXiv:2111.06377

    Args:
        out: how many numbers are predicted per patch, P * P * C for pixels; None: no linear layer, the tokens
            are returned.
        dim, depth, heads: the sizes.
        positions: (grid, dim, prefix=) -> [prefix + N, dim].
        mlp_ratio, norm, attend, kernel_init, mlp: as `Block`.
        scan, remat: as `Transformer`.
    """

    out: int | None
    dim: int = 512
    depth: int = 8
    heads: int = 16
    mlp_ratio: float = 4.0
    positions: Callable = sincos_positions
    norm: Callable = layer_norm
    qkv_bias: bool = True
    attend: Callable = attend
    kernel_init: Callable = xavier
    scan: bool = False
    remat: Callable | None = None
    mlp: Callable[..., nn.Module] = Mlp

    @nn.compact
    def __call__(
        self, features: Features, visible: jax.Array, grid: Grid, *, train: bool = False
    ) -> jax.Array:
        """Predicts all patches from the encoded visible ones.

        Args:
            features: cls [B, D], tokens [B, n, D] of the visible patches.
            visible: [B, n] int, their places.
            grid: (rows, columns) of all N patches.
            train: changes nothing.
        Returns:
            [B, N, out], row-major, or [B, N, dim].
        """
        count = grid[0] * grid[1]
        x = jnp.concatenate([features.cls[:, None], features.tokens], axis=1)
        x = Dense(self.dim, kernel_init=self.kernel_init, name="embed")(x)
        mask_token = self.param("mask_token", nn.initializers.normal(0.02), (self.dim,)).astype(x.dtype)
        patches = jnp.broadcast_to(mask_token, (len(x), count, self.dim))
        patches = jax.vmap(lambda row, place, token: row.at[place].set(token))(patches, visible, x[:, 1:])
        x = jnp.concatenate([x[:, :1], patches], axis=1)
        x = x + self.positions(grid, self.dim, prefix=1).astype(x.dtype)
        block = partial(Block, self.heads, self.mlp_ratio, self.mlp, self.norm, qkv_bias=self.qkv_bias)
        block = partial(block, attend=self.attend, kernel_init=self.kernel_init)
        x = Transformer(self.depth, block, scan=self.scan, remat=self.remat, name="blocks")(x)
        x = self.norm(name="norm")(x[:, 1:])
        if self.out is None:
            return x
        return Dense(self.out, kernel_init=self.kernel_init, name="predict")(x)


class WordDecoder(nn.Module):
    """SplitMask's decoder: predicts each patch's word (discrete token), and a vector of the image from the
    mean of its tokens.  arXiv:2112.10740

    Args:
        words: the size of the vocabulary.
        decoder: (features, visible, grid) -> tokens [B, N, D], such as `MaskedDecoder(None)`.
    """

    words: int
    decoder: nn.Module

    @nn.compact
    def __call__(self, features: Features, visible: jax.Array, grid: Grid, *, train: bool = False) -> dict:
        """Decodes.

        Args:
            features, visible, grid: as for `MaskedDecoder`.
            train: passed to the decoder.
        Returns:
            {"patch": logits [B, N, words], "image": [B, D]}
        """
        tokens = self.decoder(features, visible, grid, train=train)
        logits = Dense(self.words, kernel_init=kernel_init, name="predict")(tokens)
        return {"patch": logits, "image": tokens.mean(axis=1)}


def mae_decoder(patch: int, *, channels: int = 3, **sizes) -> MaskedDecoder:
    """Makes MAE's decoder of pixels, [B, N, P * P * C].

    Args:
        patch: side of a patch, P.
        channels: of a pixel, C.
        sizes: fields of `MaskedDecoder`, by default dim 512, depth 8.
    Returns:
        The module.
    """
    return MaskedDecoder(patch * patch * channels, **sizes)


def pixel_head(side: int, *, channels: int = 3) -> Head:
    """Makes SimMIM's decoder, one linear layer from a token to its pixels: [B, N, D] -> [B, N, side * side *
    C].

    Args:
        side: the side in pixels of the square that a token covers: the patch of a ViT, 32 for Swin.
        channels: of a pixel, C.
    Returns:
        The head; its pixels are in the order (row, column, channel), as in `patchify`.
    References:
        arXiv:2111.09886
    """
    return patch_head(side * side * channels)


def patch_head(out: int, *, kernel_init: Callable = kernel_init) -> Head:
    """Makes one linear layer that predicts the target of each patch from its token, [B, N, D] -> [B, N, out].

    Args:
        out: how many numbers are predicted, such as the bins of histograms, a teacher's features or the
            logits of words.
        kernel_init: of the layer.
    Returns:
        The head.
    References:
        arXiv:2106.08254
    """
    return Head([nn.Dense(out, kernel_init=kernel_init)])


def deep_pixel_head(side: int, dim: int, *, channels: int = 3) -> Head:
    """Makes SiT's decoder: three linear layers, each with exact GELU, and one from a token to its pixels.

    Args:
        side: of the square of pixels that a token covers.
        dim: of a token.
        channels: of a pixel, C.
    Returns:
        The head; the order of its pixels is that of `pixel_head`.
    References:
        arXiv:2104.03602
    """
    inner = [layer for _ in range(3) for layer in (nn.Dense(dim, kernel_init=kernel_init), gelu)]
    return Head([*inner, nn.Dense(side * side * channels, kernel_init=kernel_init)])
