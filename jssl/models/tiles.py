"""An encoder that also looks at an image in tiles."""

import jax

from jssl.models.network import Network, as_outputs, network, with_heads


def with_tiles(encoder, *, tile, join, **heads) -> Network:
    """Puts heads on an encoder, and two for images that come in tiles: one for each, and one for all of them.

    Args:
        encoder: anything `network` takes.
        tile: [B', D] -> [B', d], of each tile's vector.
        join: [B, N d] -> [B, K], of all of an image's in a row.
        heads: as for `with_heads`, of whole images.
    Returns:
        A `Network` with params {"encoder", "tile", "join", the heads'}. Given `tiles` [B, N, h, w, C] beside
        the images it has an output `tiles` [B, K] more; a teacher without `tile` and `join` never is.
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
        for number, (name, head) in enumerate((("tile", each), ("join", together)), start=1):
            x = x if name == "tile" else x.reshape(len(tiles), -1)
            params[name], statistics[name] = head.init(jax.random.fold_in(key, 1000 + number), x)
            x, _ = head.apply(params[name], statistics[name], x)
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
