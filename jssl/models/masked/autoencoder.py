"""Masked autoencoders: an encoder of the visible patches and a decoder that predicts all patches."""

import math
from collections.abc import Callable

import jax

from jssl.masks import visible_indices
from jssl.models.network import Network, as_features, as_outputs, network, of_part


def visible_only(encoder, *, visible: Callable[[int], int]) -> Network:
    """Makes an encoder that drops the patches hidden by a mask; without a mask it encodes whole images.

    Args:
        encoder: images, visible [B, n] -> `Features`, such as `ViT`.
        visible: N -> how many of N patches are visible; a static number, as many as the masks leave.
    Returns:
        A `Network` of images and mask [B, N] or None, with the encoder's own parameters; its tokens [B, n, D]
        are those of the visible patches, in their order.
    References:
        MSN, arXiv:2204.07141; MAE, arXiv:2111.06377
    """
    inner = network(encoder)

    def seen(mask):
        return {} if mask is None else {"visible": visible_indices(mask, visible(mask.shape[-1]))}

    def init(key, images, *, mask=None):
        return inner.init(key, images, **seen(mask))

    def apply(params, statistics, images, *, mask=None, **how):
        return inner.apply(params, statistics, images, **seen(mask), **how)

    return inner._replace(init=init, apply=apply)


def encode_decode(encoder, decoder, *, visible: Callable[[int], int], **others) -> Network:
    """Makes MAE's network: decoder(encoder(visible patches), their places).

    Args:
        encoder: images, visible [B, n] -> `Features`; with a method grid(image shape), such as `ViT`.
        decoder: (features, visible [B, n], grid) -> [B, N, D], such as `MaskedDecoder`; or a dict of such
            arrays, one of which is named "patch".
        visible: N -> how many of N patches are visible; a static number, as many as the masks leave.
        others: name=decoder for further decoders of the same features; each adds an output of that name.
    Returns:
        A `Network` of images and mask [B, N], with params {"encoder", "decoder", name: ...} and outputs
        {"cls", "tokens"} of the visible patches, "patch" [B, N, D] and those of `others`.
    References:
        arXiv:2111.06377
    """
    inner = network(encoder)
    outer = {name: network(one) for name, one in {"decoder": decoder, **others}.items()}

    def places(images, mask):
        grid = encoder.grid(images.shape)
        return grid, visible_indices(mask, visible(math.prod(grid)))

    def init(key, images, *, mask):
        grid, seen = places(images, mask)
        encoder_key, *keys = jax.random.split(key, 1 + len(outer))
        params, statistics = {}, {}
        params["encoder"], statistics["encoder"] = inner.init(encoder_key, images)
        features = inner.apply(params["encoder"], statistics["encoder"], images, visible=seen)[0]
        for decoder_key, (name, one) in zip(keys, outer.items(), strict=True):
            params[name], statistics[name] = one.init(decoder_key, features, seen, grid)
        return params, statistics

    def apply(params, statistics, images, *, mask, train=False, key=None):
        grid, seen = places(images, mask)
        keys = [None] * (1 + len(outer)) if key is None else jax.random.split(key, 1 + len(outer))
        features, encoded = inner.apply(
            params["encoder"], statistics["encoder"], images, visible=seen, train=train, key=keys[0]
        )
        outputs, after = as_outputs(features), {"encoder": encoded}
        inputs = as_features(features), seen, grid
        for decoder_key, (name, one) in zip(keys[1:], outer.items(), strict=True):
            decoded, after[name] = one.apply(
                params[name], statistics[name], *inputs, train=train, key=decoder_key
            )
            told = "patch" if name == "decoder" else name
            outputs = outputs | (decoded if isinstance(decoded, dict) else {told: decoded})
        return outputs, after

    return Network(init, apply, *of_part(inner))
