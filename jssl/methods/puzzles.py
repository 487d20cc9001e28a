"""Pretext tasks on an image's tiles: to find their places, or to count."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jssl import objectives
from jssl.arrays.keys import fold_keys, uniform
from jssl.arrays.permutations import least_distance, permutation_table
from jssl.data.augment.tiles import cell_tiles, halved, intruded, one_channel, standardized_tiles
from jssl.methods.base import Method
from jssl.methods.frames.pretext import pretext
from jssl.methods.pairs import classified
from jssl.models.headed import with_heads
from jssl.models.heads import count_head, puzzle_head, tile_head
from jssl.models.tiles import arranged, per_tile
from jssl.objectives import stateless

CELLS = 3
MIDDLE = CELLS * CELLS // 2
PUZZLES, INTRUDERS, CHANNELS, HALVES = range(10, 14)  # for `fold_keys`; `cell_tiles` has others


def puzzles(keys, images, *, table, side: int, number: int = 1, apart: int = 0, intruders: int = 0):
    """Cuts images into tiles and draws in which orders they are shown.

    Args:
        keys: [B].
        images: [B, H, W, C].
        table: [K, 9] the permutations, or [K, 4] for two cells along a side.
        side: of a tile, in pixels.
        number: how many puzzles are made from an image.
        apart: as for `cell_tiles`.
        intruders: so many tiles at most are another image's.
    Returns:
        ((tiles [B, N, side, side, C], orders [B, number, N]), {"place": rows of the table [B, number]}).
    Raises:
        ValueError: for tiles larger than cells, or intruders in a batch of one.
    """
    tiles = cell_tiles(keys, images, cells=round(table.shape[1] ** 0.5), side=side, apart=apart)
    if intruders:
        tiles, _ = intruded(fold_keys(keys, INTRUDERS), tiles, most=intruders)
    rows = jnp.floor(uniform(fold_keys(keys, PUZZLES), high=len(table), shape=(number,))).astype(jnp.int32)
    return (standardized_tiles(tiles), jnp.asarray(table, jnp.int32)[rows]), {"place": rows}


def jigsaw(
    encoder, *, permutations: int = 100, side: int, cells: int = CELLS, tile=None, join=None, **puzzle
) -> Method:
    """Classifies which permutation of a table the tiles of an image are in.

    Args:
        encoder: anything `network` takes; it sees the tiles one by one.
        permutations: rows of the table.
        side: of a tile in pixels, less than that of a cell.
        cells: along a side of the image, 3 or 2.
        tile: [B', D] -> [B', d], of each tile; linear and ReLU by default.
        join: [B, K, N d] -> [B, K, permutations], for the concatenated tiles; `puzzle_head` by default.
        puzzle: as for `puzzles`: number, apart and, in jigsaw++, intruders.
    Returns:
        A `Method`; views: one global one. The metric `accuracy` is that of the permutations.
    References:
        arXiv:1603.09246; with intruders arXiv:1805.00385
    """
    table = permutation_table(permutations, number=cells * cells)
    model = arranged(encoder, tile=tile or tile_head(), join=join or puzzle_head(permutations))
    transform = partial(puzzles, table=table, side=side, **puzzle)
    return pretext(model, classified("place"), transform=transform)


def jigsaw_pp(
    encoder, *, permutations: int = 701, intruders: int = 2, cells: int = CELLS, **puzzle
) -> Method:
    """Classifies the permutation of an image's tiles, of which some are replaced by another image's.

    Args:
        encoder: anything `network` takes; it sees the tiles one by one.
        permutations: rows of the table.
        intruders: the most tiles that come from another image; all numbers from 0 to this are equally likely.
        cells: along a side of the image, 3 or 2.
        puzzle: as for `jigsaw`.
    Returns:
        A `Method`; views: one global one. The metric `accuracy` is that of the permutations.
    Raises:
        ValueError: for so many intruders that two permutations of the table could not be distinguished.
    References:
        arXiv:1805.00385
    """
    least = least_distance(permutation_table(permutations, number=cells * cells))
    if not 0 <= intruders < least:
        raise ValueError(
            f"{permutations} permutations differ in {least} tiles at least, of which {intruders} may be "
            f"intruders; expected fewer than {least}"
        )
    return jigsaw(encoder, permutations=permutations, cells=cells, intruders=intruders, **puzzle)


def neighbours(keys, images, *, side: int, jitter: int | None = None, dropped: float = 0.0):
    """Cuts images into 3 x 3 tiles and pairs the middle one with each of the others.

    Args:
        keys: [B].
        images: [B, H, W, C].
        side: of a tile, in pixels.
        jitter: as for `cell_tiles`.
        dropped: share of the images whose tiles keep only one channel.
    Returns:
        ((tiles [B, 9, side, side, C], orders [B, 8, 2]), {"place": [B, 8]}), place 0 being above and to the
        left, 7 below and to the right, row by row.
    Raises:
        ValueError: for tiles larger than cells.
    """
    tiles = cell_tiles(keys, images, cells=CELLS, side=side, jitter=jitter)
    if dropped:
        tiles = one_channel(fold_keys(keys, CHANNELS), tiles, share=dropped)
    others = np.delete(np.arange(CELLS * CELLS), MIDDLE)
    pairs = np.stack([np.full_like(others, MIDDLE), others], axis=1)
    orders, places = (jnp.broadcast_to(x, (len(images), *x.shape)) for x in (pairs, np.arange(len(others))))
    return (standardized_tiles(tiles), orders), {"place": places}


def context_prediction(encoder, *, side: int, tile=None, join=None, **pairs) -> Method:
    """Classifies in which of eight directions from an image's middle tile another tile lies.

    Args:
        encoder: anything `network` takes; it sees the tiles one by one.
        side: of a tile in pixels, less than a third of the image's.
        tile: [B', D] -> [B', d], of each tile; linear and ReLU by default.
        join: [B, 8, 2 d] -> [B, 8, 8], for the two concatenated tiles; `puzzle_head` by default.
        pairs: as for `neighbours`: jitter, dropped.
    Returns:
        A `Method`; views: one global one. The metric `accuracy` is that of the directions, by chance 1 / 8.
    References:
        arXiv:1505.05192
    """
    model = arranged(encoder, tile=tile or tile_head(), join=join or puzzle_head(CELLS * CELLS - 1))
    return pretext(model, classified("place"), transform=partial(neighbours, side=side, **pairs))


def scaled_and_cut(keys, images):
    """Makes of each image its half-size copy and its quarters.

    Args:
        keys: [B].
        images: [B, H, W, C], H and W even.
    Returns:
        ([B, 5, H / 2, W / 2, C], {}), the copy first.
    Raises:
        ValueError: for odd sides.
    """
    copy = halved(fold_keys(keys, HALVES), images)
    return jnp.concatenate([copy[:, None], cell_tiles(keys, images, cells=2, side=copy.shape[1])], axis=1), {}


def counting(encoder, *, head=None, margin: float = 10.0) -> Method:
    """Learns counts of unnamed things: an image's counts are the sum of its quarters', and differ from
    another image's.

    Args:
        encoder: anything `network` takes; it sees images of half the views' side.
        head: [B', D] -> [B', K] counts; `count_head` by default.
        margin: as for the loss.
    Returns:
        A `Method`; views: one global one, square, of an even side. Metrics: `near`, the mean square distance
        between the counts of an image and of its own quarters; `far`, that between another image and these
        quarters; and `accuracy`, how often `near` is the smaller one.
    References:
        arXiv:1708.06734
    """

    def losses(outputs):
        counts = outputs.student["count"].astype(jnp.float32)
        if len(counts) < 2:
            raise ValueError("counting compares an image with another one, got a batch of 1")
        whole, parts, other = counts[:, 0], counts[:, 1:], jnp.roll(counts[:, 0], 1, axis=0)
        near, far = (jnp.sum((x - parts.sum(1)) ** 2, axis=-1) for x in (whole, other))
        figures = {"near": near, "far": far, "accuracy": near < far, "chance": jnp.asarray(0.5)}
        loss = objectives.counting(whole, parts, other, margin=margin)
        return loss, jax.tree.map(jnp.mean, figures)

    model = per_tile(with_heads(encoder, count=head or count_head()))
    return pretext(model, stateless(losses), transform=scaled_and_cut)
