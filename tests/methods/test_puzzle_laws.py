"""Puzzles of tiles on images whose pixels say where they are: what a label means, and that no shortcut tells
it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import methods, models, views
from jssl.arrays.permutations import permutation_table
from jssl.data.augment.tiles import cell_tiles, intruded, one_channel, standardized_tiles
from jssl.methods.puzzles import neighbours, puzzles
from jssl.models.headed import with_heads
from jssl.models.tiles import arranged, per_tile
from tests.methods import toys

SIDE, CELL, TILE = 27, 9, 4
KEYS = jax.random.split(jax.random.key(0), 64)
PLACE = np.mgrid[:SIDE, :SIDE].astype(np.float32)
WHERE = jnp.asarray(  # row, column and sample
    np.stack([np.stack([*PLACE, np.full((SIDE, SIDE), sample)], -1) for sample in range(len(KEYS))])
)
ROWS = jnp.stack([WHERE[..., 0]] * 3, -1)  # the row, in each channel
CELLS = np.stack(np.divmod(np.arange(9), 3), -1)


def corners(tiles):
    """The upper left corner of each tile, as its pixels say: [B, N, 2]."""
    return np.asarray(tiles[:, :, 0, 0, :2])


@pytest.mark.parametrize("count, least", [(24, 7), (100, 6), (701, 5)])
def test_a_tables_permutations_are_far_from_each_other(count, least):
    table = permutation_table(count)
    assert table.shape == (count, 9) and np.all(np.sort(table, axis=1) == np.arange(9))
    distances = np.sum(table[:, None] != table[None], axis=-1)
    assert np.min(distances + 9 * np.eye(count, dtype=int)) == least
    np.testing.assert_array_equal(table[:24], permutation_table(24))  # of any length the same beginning


def test_a_table_has_no_more_rows_than_there_are():
    assert len({tuple(row) for row in permutation_table(24, number=4)}) == 24
    with pytest.raises(ValueError, match="there are 24 permutations of 4, got a table of 25 rows"):
        permutation_table(25, number=4)


def test_a_tile_is_a_square_from_anywhere_in_its_cell():
    tiles = cell_tiles(KEYS, WHERE, side=TILE)
    found = corners(tiles)
    for i in range(TILE):
        for j in range(TILE):
            np.testing.assert_array_equal(tiles[:, :, i, j, :2], found + [i, j])
    np.testing.assert_array_equal(
        tiles[..., 2], np.broadcast_to(np.arange(64)[:, None, None, None], tiles.shape[:-1])
    )
    shifts = found - CELL * CELLS
    assert set(np.unique(shifts)) == set(range(CELL - TILE + 1))
    again = cell_tiles(KEYS[::-1], WHERE[::-1], side=TILE)
    np.testing.assert_array_equal(again[::-1], tiles)  # the batch's order changes nothing


def gaps(tiles):
    """Pixels between tiles side by side in a row."""
    columns = corners(tiles)[..., 1].reshape(-1, 3, 3)
    return np.diff(columns, axis=-1) - tiles.shape[2]


def test_tiles_with_a_gap_do_not_touch():
    assert np.min(gaps(cell_tiles(KEYS, WHERE, side=TILE, jitter=1))) == CELL - TILE - 2
    assert np.ptp(gaps(cell_tiles(KEYS, WHERE, side=TILE, jitter=1))) == 4
    assert np.all(gaps(cell_tiles(KEYS, WHERE, side=TILE, jitter=0)) == CELL - TILE)
    assert np.all(gaps(cell_tiles(KEYS, WHERE, side=CELL)) == 0)  # without: borders go on in the next tile


def test_a_tile_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="side must lie between 1 and the 7 pixels of a cell where channels"):
        cell_tiles(KEYS, WHERE, side=8, apart=2)
    with pytest.raises(ValueError, match="jitter must leave a tile in its cell, at most 2 pixels, got 3"):
        cell_tiles(KEYS, WHERE, side=TILE, jitter=3)


def test_channels_that_are_shifted_do_not_tell_the_lens():
    """What would be the same shift of red against blue at the same place in every image is drawn anew."""

    def shifts(**settings):
        tiles = cell_tiles(KEYS, ROWS, side=TILE, **settings)
        return np.unique(tiles[..., 0] - tiles[..., 2])

    np.testing.assert_array_equal(shifts(), [0])
    np.testing.assert_array_equal(shifts(apart=2), np.arange(-2, 3))
    tiles = cell_tiles(KEYS, ROWS, side=TILE, apart=2)
    top = tiles[:, :, 0, 0] - CELL * CELLS[:, :1]
    assert np.min(top) == 0 and np.max(top) == CELL - TILE  # in its cell all the same


def test_one_channel_alone_is_kept():
    tiles = cell_tiles(KEYS, WHERE + 100, side=TILE)
    alone = np.asarray(one_channel(KEYS, tiles))
    strong = np.max(np.abs(alone), axis=(2, 3)) > 0.02
    assert np.all(strong[..., :2].sum(-1) + (strong[..., 2]) <= 1)
    np.testing.assert_allclose(alone.mean((2, 3))[strong], 0, atol=1e-4)
    others = alone.swapaxes(2, -1)[~strong]
    assert np.max(np.abs(others)) <= 0.01 < np.min(np.std(np.asarray(tiles[..., :2]), axis=(2, 3)))
    kept = np.asarray(one_channel(KEYS, tiles, share=0.5) == tiles).all((1, 2, 3, 4))
    assert 0.3 < kept.mean() < 0.7


def test_a_standardized_tile_says_nothing_of_its_brightness():
    tiles = cell_tiles(KEYS, WHERE, side=TILE)
    told = np.corrcoef(np.asarray(tiles[..., 0].mean((2, 3))).ravel(), np.tile(CELLS[:, 0], 64))[0, 1]
    assert told > 0.9  # without: the mean is where it lies
    alike = standardized_tiles(tiles)
    np.testing.assert_allclose(alike.mean((2, 3, 4)), 0, atol=1e-5)
    np.testing.assert_allclose(alike.var((2, 3, 4)), 1, atol=1e-3)
    np.testing.assert_allclose(standardized_tiles(3 * tiles + 7), alike, atol=1e-4)
    np.testing.assert_array_equal(standardized_tiles(jnp.full((1, 9, 4, 4, 3), 5.0)), 0)


TABLE = permutation_table(24)


def test_what_keeps_puzzles_from_shortcuts_reaches_them():
    """Jitter and channels apart are those of tiles; and a tile's variance may be one channel's alone."""

    def cut(images=WHERE, **how):
        return standardized_tiles(cell_tiles(KEYS, images, side=TILE, **how))

    asked = {
        "apart": puzzles(KEYS, WHERE, table=TABLE, side=TILE, apart=2)[0][0],
        "jitter": neighbours(KEYS, WHERE, side=TILE, jitter=2)[0][0],
    }
    for name, tiles in asked.items():
        np.testing.assert_array_equal(tiles, cut(**{name: 2}))
        assert np.any(tiles != cut())
    shares = [
        np.sort(neighbours(KEYS, ROWS, side=TILE, dropped=share)[0][0].var((2, 3)), axis=-1)
        for share in (0.0, 1.0)
    ]
    np.testing.assert_allclose(shares[0], 1, atol=1e-3)  # of each of the three
    np.testing.assert_allclose(shares[1], np.broadcast_to([0, 0, 3], shares[1].shape), atol=1e-2)


def test_the_views_of_puzzles_lose_all_color_or_green_against_magenta():
    images = np.random.default_rng(0).integers(0, 256, (16, 30, 30, 3), np.uint8)
    mean, std = views.statistics("puzzle")

    def seen(**how):
        found = jax.jit(views.puzzle(size=SIDE, **how))(KEYS[0], {"image": images, "index": jnp.arange(16)})
        return np.asarray(found["global"][0]) * np.asarray(std) + np.asarray(mean)

    def far(images, direction):
        return np.abs(images @ np.asarray(direction)).max((1, 2))

    plain, free = seen(grey=0.0), seen(grey=0.0, projected=1.0)
    assert np.all(far(plain, (-1, 2, -1)) > 0.1) and np.all(far(free, (-1, 2, -1)) < 1e-4)
    assert np.all(far(free, (1, 0, -1)) > 0.1)  # it is not grey
    half = np.ptp(seen(grey=0.5), axis=-1).max((1, 2))
    assert 2 < np.sum(half < 1e-4) < 14 and np.all(np.ptp(seen(grey=1.0), axis=-1) < 1e-4)


def test_a_puzzles_label_is_the_row_of_its_order():
    (tiles, orders), labels = puzzles(KEYS, WHERE, table=TABLE, side=TILE, number=40)
    np.testing.assert_array_equal(orders, TABLE[labels["place"]])
    plain = standardized_tiles(cell_tiles(KEYS, WHERE, side=TILE))
    np.testing.assert_array_equal(tiles, plain)
    back = np.argsort(orders, axis=-1)
    shown = jax.vmap(lambda tiles, orders: tiles[orders])(tiles, orders)
    np.testing.assert_array_equal(jax.vmap(jax.vmap(lambda x, i: x[i]))(shown, back)[:, 3], plain)
    counts = np.bincount(np.ravel(labels["place"]), minlength=24)
    expected = orders.shape[0] * orders.shape[1] / 24
    assert np.sum((counts - expected) ** 2 / expected) < 49.7  # chi square of 23, one in a thousand


@pytest.fixture(scope="module")
def solver():
    network = arranged(toys.Mlp((8,)), tile=models.tile_head(6), join=models.puzzle_head(24, hidden=16))
    (tiles, orders), _ = puzzles(KEYS[:4], WHERE[:4] / SIDE, table=TABLE, side=TILE, number=5)
    params, statistics = network.init(jax.random.key(1), (tiles, orders))

    @jax.jit
    def solve(tiles, orders):
        return network.apply(params, statistics, (tiles, orders))[0]["place"]

    return solve, tiles, orders


def test_an_order_of_vectors_is_the_order_of_tiles(solver):
    solve, tiles, orders = solver
    shown = jax.vmap(lambda tiles, orders: tiles[orders])(tiles, orders[:, 0])
    plain = jnp.broadcast_to(jnp.arange(9), orders.shape)
    np.testing.assert_allclose(solve(shown, plain)[:, 0], solve(tiles, orders)[:, 0], rtol=1e-5, atol=1e-8)
    assert not np.allclose(solve(tiles, plain)[:, 0], solve(tiles, orders)[:, 0], rtol=1e-3, atol=1e-8)


def test_equal_tiles_are_no_puzzle(solver):
    solve, tiles, orders = solver
    logits = solve(jnp.broadcast_to(tiles[:, :1], tiles.shape), orders)
    np.testing.assert_allclose(logits, jnp.broadcast_to(logits[:, :1], logits.shape), rtol=1e-5)


def test_the_direction_of_a_neighbour_is_the_one_that_pixels_say():
    (tiles, orders), labels = neighbours(KEYS, WHERE, side=TILE)
    found = corners(cell_tiles(KEYS, WHERE, side=TILE)) // CELL  # the cell of each
    first, second = (np.take_along_axis(found, np.asarray(orders[..., i, None]), 1) for i in (0, 1))

    def direction(step):
        number = 3 * (step[..., 0] + 1) + step[..., 1] + 1
        return number - (number > 4)

    np.testing.assert_array_equal(labels["place"], direction(second - first))
    np.testing.assert_array_equal(7 - labels["place"], direction(first - second))  # seen from the other
    assert np.all(np.bincount(np.ravel(labels["place"])) == len(KEYS))
    np.testing.assert_array_equal(tiles, standardized_tiles(cell_tiles(KEYS, WHERE, side=TILE)))


def test_intruders_are_another_images():
    tiles = cell_tiles(KEYS, WHERE, side=TILE)
    mixed, foreign = intruded(KEYS, tiles, most=2)
    owner, own = np.asarray(mixed[..., 0, 0, 2]), np.arange(64)[:, None]
    np.testing.assert_array_equal(owner != own, foreign)
    np.testing.assert_array_equal(owner[foreign], np.broadcast_to((own - 1) % 64, owner.shape)[foreign])
    assert set(np.unique(foreign.sum(1))) == {0, 1, 2}
    assert np.any(corners(mixed)[foreign] // CELL != np.broadcast_to(CELLS, (64, 9, 2))[foreign])  # anywhere
    np.testing.assert_array_equal(intruded(KEYS, tiles, most=0)[0], tiles)
    with pytest.raises(ValueError, match="another image's tiles, got a batch of 1"):
        intruded(KEYS[:1], tiles[:1], most=2)


def test_without_intruders_a_puzzle_is_the_same_bit_for_bit():
    plain = puzzles(KEYS, WHERE, table=TABLE, side=TILE)
    for number, same in ((0, True), (2, False)):
        other = puzzles(KEYS, WHERE, table=TABLE, side=TILE, intruders=number)
        assert np.array_equal(plain[0][0], other[0][0]) == same
        np.testing.assert_array_equal(plain[0][1], other[0][1])


def test_intruders_that_leave_no_solution_are_refused():
    with pytest.raises(ValueError, match="24 permutations differ in 7 tiles at least, of which 7 may be"):
        methods.jigsaw_pp(toys.Mlp(), permutations=24, intruders=7, side=4)


def test_a_puzzle_with_intruders_has_one_solution():
    """Any two permutations still differ among the tiles that are the image's own, in 5 - 2 places."""
    places, rng = np.argsort(permutation_table(701), axis=1), np.random.default_rng(0)
    for _ in range(10):
        own = places[:, rng.permutation(9)[2:]]
        apart = np.sum(own[:200, None] != own[None], axis=-1)
        assert np.min(apart + 9 * np.eye(200, 701, dtype=int)) >= 3


def test_a_tile_says_nothing_of_other_tiles_nor_of_other_images(solver):
    """With one tile changed its image is answered otherwise, and no other; and so is its vector."""
    solve, tiles, orders = solver
    before, after = solve(tiles, orders), solve(tiles.at[1, 4].add(1.0), orders)
    moved = np.abs(np.asarray(before - after)).max((1, 2))
    np.testing.assert_array_equal(moved > 1e-7, [False, True, False, False])
    network = per_tile(with_heads(toys.Mlp((8,)), tile=models.tile_head(6)))
    params, statistics = network.init(jax.random.key(1), tiles)
    vectors = [network.apply(params, statistics, x)[0]["tile"] for x in (tiles, tiles.at[1, 4].add(1.0))]
    others = np.ones(tiles.shape[:2], bool)
    others[1, 4] = False
    same = np.all(np.asarray(vectors[0] == vectors[1]), axis=-1)
    assert np.all(same[others]) and not same[1, 4]
