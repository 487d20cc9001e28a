"""Masks: exact counts, and the distributions of the authors' own generators (numbers measured from their
code).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import masks

KEY = jax.random.key(0)


def keys(batch, key=KEY):
    return jax.random.split(key, batch)


SETTINGS = [((4, 4), 0.75), ((14, 14), 0.75), ((6, 6), 0.6), ((3, 5), 0.0), ((2, 2), 1.0)]


@pytest.mark.parametrize(("grid", "ratio"), SETTINGS)
def test_random_mask_hides_an_exact_number_anywhere(grid, ratio):
    patches = grid[0] * grid[1]
    mask = np.asarray(masks.random_mask(keys(500), grid, ratio=ratio))
    assert mask.dtype == bool and mask.shape == (500, patches)
    assert (mask.sum(1) == patches - int(patches * (1 - ratio))).all()
    assert np.abs(mask.mean(0) - mask.mean()).max() < 0.12
    assert len({row.tobytes() for row in mask}) > (400 if patches > 30 else 0)


ATTENTION = jax.random.uniform(jax.random.key(1), (6, 64))
MASKINGS = {  # (keys, order of the samples) -> masks, the batch first
    "random": lambda keys, order: masks.random_mask(keys, (4, 4), ratio=0.5),
    "unit": lambda keys, order: masks.unit_mask(keys, (8, 8), ratio=0.5, unit=2),
    "block": lambda keys, order: masks.block_mask(keys, (8, 8), count=20, min_block=4),
    "exact block": lambda keys, order: masks.exact_block_mask(keys, (8, 8), count=20, min_block=4),
    "multiblock context": lambda keys, order: masks.multiblock_masks(keys, (8, 8))[0],
    "multiblock shares": lambda keys, order: masks.multiblock_masks(keys, (8, 8), together=4)[0],
    "multiblock targets": lambda keys, order: masks.multiblock_masks(keys, (8, 8))[1].swapaxes(0, 1),
    "hint": lambda keys, order: masks.hint_attention_mask(keys, ATTENTION[order], ratio=0.5, show=0.3),
}


@pytest.mark.parametrize("name", MASKINGS)
def test_permuting_a_batch_permutes_its_masks(name):
    order, make = jnp.array([3, 1, 5, 0, 2, 4]), MASKINGS[name]
    straight = make(keys(6), jnp.arange(6))
    np.testing.assert_array_equal(straight[order], make(keys(6)[order], order))
    assert np.any(straight != make(keys(6, jax.random.key(7)), jnp.arange(6)))


def test_unit_mask_hides_whole_units():
    mask = np.asarray(masks.unit_mask(keys(50), (48, 48), ratio=0.6, unit=8)).reshape(50, 6, 8, 6, 8)
    coarse = mask[:, :, 0, :, 0]
    assert (mask == coarse[:, :, None, :, None]).all() and (coarse.sum((1, 2)) == 22).all()
    with pytest.raises(ValueError, match="unit must divide"):
        masks.unit_mask(keys(2), (7, 8), ratio=0.5, unit=2)


def test_attention_masks():
    attention = jax.random.uniform(KEY, (5, 196))
    high = np.asarray(masks.attention_mask(attention, ratio=0.45))
    low = np.asarray(masks.low_attention_mask(attention, ratio=0.45))
    hint = np.asarray(masks.hint_attention_mask(keys(5), attention, ratio=0.45, show=0.1))
    values = np.asarray(attention)
    assert (high.sum(1) == 88).all() and (low.sum(1) == 88).all() and (hint.sum(1) == 80).all()
    for row in range(5):
        assert values[row][high[row]].min() > values[row][~high[row]].max()
        assert values[row][low[row]].max() < values[row][~low[row]].min()
        revealed = high[row] & ~hint[row]
        assert (hint[row] <= high[row]).all() and (np.argsort(np.argsort(-values[row]))[revealed] < 19).all()
    ties = np.asarray(masks.attention_mask(jnp.ones((2, 10)), ratio=0.3))
    assert (ties.sum(1) == 3).all()


def test_block_mask_is_distributed_as_beits():
    mask = np.asarray(jax.jit(lambda keys: masks.block_mask(keys, (14, 14), count=75))(keys(3000)))
    counts = mask.sum(1)
    # 3,000 masks of unilm/beit's MaskingGenerator: mean 74.46, standard deviation 1.03, from 64 to 75.
    assert (
        abs(counts.mean() - 74.456) < 0.12
        and 0.8 < counts.std() < 1.3
        and counts.max() == 75
        and counts.min() > 58
    )
    middle = mask.mean(0).reshape(14, 14)
    places = [middle[0, 0], middle[6, 6], middle[0, 6], middle[6, 0]]
    np.testing.assert_allclose(places, [0.04, 0.71, 0.21, 0.19], atol=0.04)
    # Blocks, not dust: most neighbours of a hidden patch are hidden.
    image = mask.reshape(-1, 14, 14)
    assert (image[:, 1:] & image[:, :-1]).sum() / image[:, :-1].sum() > 0.8


def test_block_mask_fills_most_of_a_grid_as_beits_does():
    hidden = np.asarray(masks.block_mask(keys(300), (28, 28), count=500, min_block=4).sum(1))
    # 300 masks of unilm/beit's MaskingGenerator: mean 499.7, one in a hundred below 496.
    assert hidden.mean() > 499 and np.percentile(hidden, 1) > 490


def test_block_mask_takes_a_count_for_each_image():
    counts = jnp.array([0, 20, 75, 150])
    mask = jax.jit(lambda keys, counts: masks.block_mask(keys, (14, 14), count=counts))(keys(4), counts)
    hidden = np.asarray(mask.sum(1))
    assert hidden[0] == 0 and (hidden <= np.asarray(counts)).all() and (hidden[1:] > [10, 60, 120]).all()


@pytest.mark.parametrize("grid, count, least", [((14, 14), 98, 16), ((6, 6), 18, 3), ((2, 2), 3, 2)])
def test_exact_block_masks_hide_exactly_so_many_in_blocks(grid, count, least):
    mask = np.asarray(masks.exact_block_mask(keys(400), grid, count=count, min_block=least))
    assert (mask.sum(1) == count).all()
    if grid[0] > 2:
        image = mask.reshape(-1, *grid)
        assert (image[:, 1:] & image[:, :-1]).sum() / image[:, :-1].sum() > 0.75
        assert len({row.tobytes() for row in mask}) > 390


def test_multiblock_masks_are_distributed_as_ijepas():
    many = jax.jit(lambda keys: jax.lax.map(lambda some: masks.multiblock_masks(some, (14, 14)), keys))
    context, targets = map(np.asarray, many(jax.random.split(KEY, (600, 8))))
    visible = ~context
    assert targets.shape == (600, 4, 8, 196) and context.shape == (600, 8, 196)
    assert not (visible[:, None] & targets).any()  # the context never sees a target
    # 1,500 batches of facebookresearch/ijepa's collator: targets of 33.47 +- 2.85 (30 to 40) patches,
    # contexts of 63.6 +- 8.7.
    sizes = targets.sum(-1)
    assert (
        abs(sizes.mean() - 33.47) < 0.6
        and abs(sizes.std() - 2.85) < 0.4
        and sizes.min() == 30
        and sizes.max() == 40
    )
    tokens = visible.sum(-1)
    assert abs(tokens.mean() - 63.63) < 2 and abs(tokens.std() - 8.7) < 1.2
    assert (tokens == tokens[:, :1]).all() and (sizes == sizes[:, :1, :1]).all()  # one size per batch
    seen = visible.mean((0, 1)).reshape(14, 14)
    assert seen[13].max() == 0 and seen[:, 13].max() == 0
    np.testing.assert_allclose(
        [seen[0, 0], seen[0, 6], seen[6, 6], seen[12, 0]], [0.94, 0.70, 0.06, 0.30], atol=0.06
    )


@pytest.mark.parametrize("grid", [(4, 4), (8, 8), (3, 7)])
def test_multiblock_masks_on_small_grids_leave_a_context(grid):
    context, targets = jax.jit(lambda keys: masks.multiblock_masks(keys, grid, min_keep=1))(keys(32))
    assert (~context).sum(-1).min() >= 1 and targets.sum(-1).min() >= 1
    assert not (~context[None] & targets).any()


def test_contexts_of_no_more_than_min_keep_patches_are_drawn_again():
    """The authors' test is `len(mask) > self.min_keep`."""
    sizes = dict(target_scale=(0.17, 0.17), target_aspect=(1.5, 1.5), min_keep=6, together=1)
    context, _ = jax.jit(lambda keys: masks.multiblock_masks(keys, (6, 6), **sizes))(keys(200))
    assert (~context).sum(-1).min() == 7  # of 5 x 5 less four blocks of 3 x 2, 8 % have six


def test_visible_indices_never_hand_out_a_hidden_patch():
    mask = masks.random_mask(keys(20), (4, 4), ratio=0.6)
    for count in (1, 6, 16):
        index = np.asarray(masks.visible_indices(mask, count))
        assert index.shape == (20, count) and index.dtype == np.int32
        assert not np.take_along_axis(np.asarray(mask), index, 1).any()
    exact = np.asarray(masks.visible_indices(mask, 6))
    assert (np.diff(exact, axis=1) > 0).all()  # all of them, in order


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: masks.random_mask(keys(2), (4, 4), ratio=1.5), "ratio must lie"),
        (lambda: masks.random_mask(keys(2)[:0], (4, 4), ratio=0.5), "keys must be .* one for each sample"),
        (lambda: masks.random_mask(KEY, (4, 4), ratio=0.5), r"keys must be .*got key<fry> \(\)"),
        (lambda: masks.block_mask(jnp.zeros(3), (4, 4), count=3), "keys must be .*got float32"),
        (lambda: masks.block_mask(keys(2), (1, 8), count=3), "at least two rows and columns, got .1, 8."),
        (lambda: masks.exact_block_mask(keys(2), (8, 1), count=3), "at least two rows and columns"),
        (lambda: masks.attention_mask(jnp.ones((2, 3, 4)), ratio=0.5), "attention must be"),
        (lambda: masks.visible_indices(jnp.ones((2, 4)), 1), "mask must be bool"),
        (lambda: masks.visible_indices(jnp.zeros((2, 4), bool), 5), "count must lie"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
