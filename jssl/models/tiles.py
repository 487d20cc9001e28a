"""Networks that encode an image tile by tile."""

import jax
import jax.numpy as jnp

from jssl.models.headed import with_heads
from jssl.models.network import Network, as_outputs, network


def with_tiles(encoder, *, tile, join, **heads) -> Network:
    """Puts heads on an encoder, with two more for images in tiles: one for each tile, and one for all tiles
    of an image.

    Args:
        encoder: anything `network` takes.
        tile: [B', D] -> [B', d], of each tile's vector.
        join: [B, N d] -> [B, K], the head for the concatenated vectors of an image's tiles.
        heads: as for `with_heads`, for whole images.
    Returns:
        A `Network` with params {"encoder", "tile", "join", the heads'}. Given `tiles` [B, N, h, w, C] beside
        the images, it has one more output, `tiles` [B, K]. A teacher without the parameters of `tile` and
        `join` never has it.
    References:
        arXiv:2005.10243
    """
    whole, each, together = with_heads(encoder, **heads), network(tile), network(join)

    def parts(params, statistics, images, tiles, **how):
        outputs, statistics = whole.apply(params, statistics, images, **how)
        encoded, statistics = whole.encode(params, statistics, tiles.reshape(-1, *tiles.shape[2:]), **how)
        return as_outputs(outputs), encoded.cls, dict(statistics)

    def init(key, images, tiles):
        params, statistics = whole.init(key, images)
        _, x, statistics = parts(params, statistics, images, tiles)
        params["tile"], statistics["tile"] = each.init(jax.random.fold_in(key, 1001), x)
        x, _ = each.apply(params["tile"], statistics["tile"], x)
        x = x.reshape(len(tiles), -1)
        params["join"], statistics["join"] = together.init(jax.random.fold_in(key, 1002), x)
        return params, statistics

    def apply(params, statistics, images, *, tiles=None, **how):
        if tiles is None:
            return whole.apply(params, statistics, images, **how)
        outputs, x, statistics = parts(params, statistics, images, tiles, **how)
        x, statistics["tile"] = each.apply(params["tile"], statistics["tile"], x, **how)
        x = x.reshape(len(tiles), -1)
        x, statistics["join"] = together.apply(params["join"], statistics["join"], x, **how)
        return outputs | {"tiles": x}, statistics

    return Network(init, apply, whole.features, whole.encoder)


def per_tile(model) -> Network:
    """Makes a network of tiles from a network of images: each tile is encoded by itself.

    Args:
        model: anything `network` takes.
    Returns:
        A `Network`, tiles [B, N, h, w, C] -> outputs by name [B, N, ...]; its features are those of whole
        images. Batch statistics are over all tiles.
    """
    net = network(model)

    def init(key, tiles):
        return net.init(key, tiles.reshape(-1, *tiles.shape[2:]))

    def apply(params, statistics, tiles, **how):
        outputs, statistics = net.apply(params, statistics, tiles.reshape(-1, *tiles.shape[2:]), **how)
        parted = jax.tree.map(lambda x: x.reshape(*tiles.shape[:2], *x.shape[1:]), as_outputs(outputs))
        return parted, statistics

    return Network(init, apply, net.features, net.encoder)


def arranged(encoder, *, tile, join) -> Network:
    """Puts a head on each of an image's tiles, and one on the concatenated tiles, in several orders.

    A tile is encoded once, however many orders it is in.

    Args:
        encoder: anything `network` takes.
        tile: [B', D] -> [B', d], of each tile's vector.
        join: [B, K, n d] -> [B, K, C], the head for the concatenated tiles in each order.
    Returns:
        A `Network`, (tiles [B, N, h, w, C], orders [B, K, n] int) -> {"place": [B, K, C]}, with params
        {"encoder", "tile", "join"}.
    References:
        arXiv:1603.09246, arXiv:1901.09005
    """
    each, together = per_tile(with_heads(encoder, tile=tile)), network(join)

    def rows(outputs, orders):
        vectors = jax.vmap(lambda tiles, orders: tiles[orders])(outputs["tile"], orders)
        return vectors.reshape(*orders.shape[:2], -1)

    def init(key, given):
        tiles, orders = given
        params, statistics = each.init(jax.random.fold_in(key, 0), tiles)
        x = jnp.zeros_like(rows(each.apply(params, statistics, tiles)[0], orders))
        joined, own = together.init(jax.random.fold_in(key, 1), x)
        return params | {"join": joined}, statistics | {"join": own}

    def apply(params, statistics, given, **how):
        tiles, orders = given
        outputs, statistics = each.apply(params, statistics, tiles, **how)
        place, own = together.apply(params["join"], statistics["join"], rows(outputs, orders), **how)
        return {"place": place}, statistics | {"join": own}

    return Network(init, apply, each.features, each.encoder)
