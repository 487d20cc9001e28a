"""A discrete autoencoder: an encoder to the logits of words (discrete tokens), and a decoder from words to
pixels.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.features import Features
from jssl.models.layers.convolution import Conv
from jssl.models.layers.positions import Grid
from jssl.models.network import Network, as_features, network, of_part


class Residual(nn.Module):
    """A residual block of three convolutions, of 3, 3 and 1 pixels: [B, H, W, D] -> the same shape."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        y = nn.relu(Conv(width, (3, 3), padding=1)(x))
        y = nn.relu(Conv(width, (3, 3), padding=1)(y))
        return x + Conv(width, (1, 1))(y)


class TokenEncoder(nn.Module):
    """Encodes each patch as the logits of words, from its own and nearby pixels.

    It has a convolution of stride 2 and a residual block for each halving of the patch, then one linear
    layer. The authors' encoder takes images of half the size, with one halving less.

    Args:
        patch: side of a patch in pixels, a power of 2.
        words: K, the size of the vocabulary.
        width: of the convolutions.
    References:
        arXiv:2102.12092; microsoft/unilm, beit/modeling_discrete_vae.py
    """

    patch: int
    words: int
    width: int = 64

    def grid(self, image_shape: tuple[int, ...]) -> Grid:
        """(rows, columns) of patches in images of shape (..., H, W, C)."""
        return image_shape[-3] // self.patch, image_shape[-2] // self.patch

    @nn.compact
    def __call__(self, images: jax.Array) -> Features:
        """Encodes images.

        Args:
            images: [B, H, W, C] floats.
        Returns:
            Features(cls [B, K], the mean probabilities of the words; tokens [B, N, K], their logits).
        Raises:
            ValueError: for a patch that is not a power of 2.
        """
        halvings = self.patch.bit_length() - 1
        if self.patch != 2**halvings:
            raise ValueError(f"patch must be a power of 2, got {self.patch}: each layer halves the image")
        x = images
        for _ in range(halvings):
            x = Residual()(nn.relu(Conv(self.width, (4, 4), strides=2, padding=1)(x)))
        logits = Conv(self.words, (1, 1), name="logits")(x).reshape(len(x), -1, self.words)
        return Features(jax.nn.softmax(logits).mean(1), logits)


class TokenDecoder(nn.Module):
    """Decodes words to an image: the words' embeddings, then the encoder's layers in reverse order.

    Sides are doubled by convolutions that make four pixels from one; the authors' transposed convolutions are
    a special case.

    Args:
        patch: side of a patch in pixels, a power of 2.
        dim: width of a word's embedding.
        width: of the convolutions.
        channels: of the image.
    References:
        arXiv:2102.12092; microsoft/unilm, beit/modeling_discrete_vae.py
    """

    patch: int
    dim: int = 512
    width: int = 64
    channels: int = 3

    @nn.compact
    def __call__(self, words: jax.Array, grid: Grid) -> jax.Array:
        """Decodes images.

        Args:
            words: [B, N, K], probabilities or one-hot.
            grid: (rows, columns) of the N patches.
        Returns:
            [B, H, W, channels]
        """
        x = nn.Dense(self.dim, use_bias=False, name="vectors")(words).reshape(len(words), *grid, -1)
        for _ in range(self.patch.bit_length() - 1):
            x = Conv(4 * self.width, (3, 3), padding=1)(x)
            batch, rows, columns, _ = x.shape
            x = x.reshape(batch, rows, columns, 2, 2, self.width).swapaxes(2, 3)
            x = Residual()(nn.relu(x.reshape(batch, 2 * rows, 2 * columns, self.width)))
        return Conv(self.channels, (1, 1), name="pixels")(x)


def discrete_autoencoder(encoder, decoder, *, temperature: float = 0.9) -> Network:
    """Makes a network that reconstructs an image from words drawn by a Gumbel-softmax.

    Args:
        encoder: a module with a method grid(image shape), such as `TokenEncoder`.
        decoder: (words [B, N, K], grid) -> [B, H, W, C], such as `TokenDecoder`.
        temperature: of the Gumbel-softmax; without a random key the likeliest words are used.
    Returns:
        A `Network` of images, with params {"encoder", "decoder"} and outputs {"cls", "tokens", "image"}.
    References:
        arXiv:1611.01144
    """
    inner, outer = network(encoder), network(decoder)

    def init(key, images):
        encoder_key, decoder_key = jax.random.split(key)
        params, statistics = {}, {}
        params["encoder"], statistics["encoder"] = inner.init(encoder_key, images)
        logits = as_features(inner.apply(params["encoder"], statistics["encoder"], images)[0]).tokens
        params["decoder"], statistics["decoder"] = outer.init(decoder_key, logits, encoder.grid(images.shape))
        return params, statistics

    def apply(params, statistics, images, *, train=False, key=None):
        features, own = inner.apply(params["encoder"], statistics["encoder"], images, train=train)
        features = as_features(features)
        logits = features.tokens
        if key is None:
            words = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=logits.dtype)
        else:
            noise = jax.random.gumbel(key, logits.shape, jnp.float32)
            words = jax.nn.softmax((logits + noise) / temperature).astype(logits.dtype)
        grid = encoder.grid(images.shape)
        drawn, others = outer.apply(params["decoder"], statistics["decoder"], words, grid, train=train)
        outputs = {"cls": features.cls, "tokens": logits, "image": drawn}
        return outputs, {"encoder": own, "decoder": others}

    return Network(init, apply, *of_part(inner))
