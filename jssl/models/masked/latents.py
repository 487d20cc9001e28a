"""CAE's network: predicts the latents of hidden patches from visible ones, and words (discrete tokens) from
these latents.
"""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.arrays.grids import at_places
from jssl.masks import hidden_indices, visible_indices
from jssl.models.layers.attention import attend
from jssl.models.layers.dense import Dense
from jssl.models.layers.initializers import xavier
from jssl.models.layers.norms import layer_norm
from jssl.models.layers.positions import sincos_positions_rows_first
from jssl.models.layers.transformer import Block, Transformer
from jssl.models.network import Network, as_features, network, of_part


class LatentDecoder(nn.Module):
    """Predicts the words (discrete tokens) of hidden patches from their predicted latents, by self-attention
    among these.  arXiv:2202.03026

    Args:
        out: logits per patch.
        depth: blocks.
        heads, mlp_ratio, layer_scale, norm, attend, kernel_init: as `Block`.
        drop_path, scan: as `Transformer`.
    """

    out: int
    depth: int = 4
    heads: int = 12
    mlp_ratio: float = 4.0
    layer_scale: float | None = 0.1
    norm: Callable = layer_norm
    attend: Callable = attend
    kernel_init: Callable = xavier
    drop_path: float = 0.0
    scan: bool = False

    @nn.compact
    def __call__(self, latents: jax.Array, places: jax.Array) -> jax.Array:
        """Computes the logits of the words.

        Args:
            latents: [B, m, D].
            places: [B, m, D], positions of the hidden patches.
        Returns:
            [B, m, out]
        """
        block = partial(Block, self.heads, self.mlp_ratio, norm=self.norm, layer_scale=self.layer_scale)
        block = partial(block, qkv_bias=(True, False, True), attend=self.attend)
        block = partial(block, kernel_init=self.kernel_init)
        x = Transformer(self.depth, block, self.drop_path, self.scan, name="blocks")(latents + places)
        return Dense(self.out, kernel_init=self.kernel_init, name="predict")(self.norm(name="norm")(x))


def context_autoencoder(encoder, regressor, decoder, *, count: Callable[[int], int]) -> Network:
    """Makes CAE's network: decoder(regressor(encoder(visible patches))), and the targets of the regressor.

    These targets are the same encoder's outputs for the hidden patches alone, without gradient.

    Args:
        encoder: images, visible [B, n] -> `Features`; with a method grid(image shape), such as `ViT`.
        regressor: (tokens [B, n, D], (positions of the hidden, of the visible)) -> latents [B, m, D].
        decoder: (latents [B, m, D], positions) -> [B, m, K].
        count: N -> how many of N patches are hidden, a static number.
    Returns:
        A `Network` of images and mask [B, N], which must hide so many patches, with params {"encoder",
        "regressor", "decoder"}. Its outputs are {"cls", "tokens"} of the visible patches and, of the hidden
        ones, "patch" [B, m, K], "latent" (predicted) and "aligned" (targets) [B, m, D], and "places" [B, m].
    References:
        arXiv:2202.03026
    """
    inner, middle, outer = network(encoder), network(regressor), network(decoder)

    def places(images, mask):
        grid = encoder.grid(images.shape)
        hidden = count(math.prod(grid))
        return grid, visible_indices(mask, math.prod(grid) - hidden), hidden_indices(mask, hidden)

    def positions(grid, like, *indices):
        table = sincos_positions_rows_first(grid, like.shape[-1]).astype(like.dtype)
        return tuple(at_places(jnp.broadcast_to(table, (len(i), *table.shape)), i) for i in indices)

    def init(key, images, *, mask):
        keys = jax.random.split(key, 3)
        grid, seen, hidden = places(images, mask)
        params, statistics = {}, {}
        params["encoder"], statistics["encoder"] = inner.init(keys[0], images)
        tokens = as_features(
            inner.apply(params["encoder"], statistics["encoder"], images, visible=seen)[0]
        ).tokens
        where = positions(grid, tokens, hidden, seen)
        params["regressor"], statistics["regressor"] = middle.init(keys[1], tokens, where)
        latents = middle.apply(params["regressor"], statistics["regressor"], tokens, where)[0]
        params["decoder"], statistics["decoder"] = outer.init(keys[2], latents, where[0])
        return params, statistics

    def apply(params, statistics, images, *, mask, train=False, key=None):
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        grid, seen, hidden = places(images, mask)
        after = dict(statistics)

        def run(part, net, number, *inputs, **named):
            how = dict(train=train, key=keys[number])
            outputs, after[part] = net.apply(params[part], statistics[part], *inputs, **how, **named)
            return outputs

        features = as_features(run("encoder", inner, 0, images, visible=seen))
        where = positions(grid, features.tokens, hidden, seen)
        latents = run("regressor", middle, 1, features.tokens, where)
        logits = run("decoder", outer, 2, latents, where[0])
        still = jax.lax.stop_gradient(params["encoder"])
        alone = as_features(inner.apply(still, statistics["encoder"], images, visible=hidden)[0]).tokens
        outputs = {"cls": features.cls, "tokens": features.tokens, "patch": logits, "latent": latents}
        return outputs | {"aligned": jax.lax.stop_gradient(alone), "places": hidden}, after

    return Network(init, apply, *of_part(inner))
