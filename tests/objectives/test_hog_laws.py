"""What histograms of gradients are invariant to, and how they turn with the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.objectives import hog, hog_of_patches

CELL, BINS = 4, 9


def images(seed=0, side=16):
    """A ramp plus noise, in multiples of 1/8192, so that differences are exact and none is zero."""
    noise = np.random.default_rng(seed).integers(0, 4096, (2, side, side, 3))
    return jnp.asarray((noise + 99 * np.arange(side)[:, None] + 55 * np.arange(side)[:, None, None]) / 8192)


def cells(x, bins=BINS):
    found = hog(x, bins=bins, cell=CELL)
    return np.asarray(found).reshape(*found.shape[:3], 3, bins)


def test_neither_brightness_nor_contrast_counts():
    x = images()
    np.testing.assert_allclose(cells(x + 0.5), cells(x), atol=1e-5)
    np.testing.assert_allclose(cells(4 * x), cells(x), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(cells(x), axis=-1), 1, atol=1e-5)
    assert np.abs(cells(x) - cells(images(1))).max() > 0.1


def test_a_constant_image_has_no_gradients_and_gives_none():
    flat = jnp.full((1, 16, 16, 3), 0.3)
    assert (cells(flat) == 0).all()
    slope = jax.grad(lambda x: hog(x, cell=CELL).sum())(images())
    assert (np.asarray(slope) == 0).all()  # a target


def test_a_mirrored_image_has_mirrored_bins():
    """But for pixels without a horizontal difference, such as the outer columns: bin 0 keeps them."""
    x = images()
    inside = slice(1, -1)
    mirrored = cells(x[:, :, ::-1])[:, :, ::-1, :, ::-1]
    np.testing.assert_allclose(mirrored[:, :, inside], cells(x)[:, :, inside], atol=1e-5)
    assert np.abs(cells(x[:, :, ::-1])[:, :, ::-1] - cells(x))[:, :, inside].max() > 0.1


def test_a_quarter_turn_moves_bins_by_half_their_number():
    """So nine bins, which it would move by 4.5, are no other order of the image's own."""
    x = images()
    turned = np.rot90(cells(np.rot90(x, axes=(1, 2)), bins=18), -1, axes=(1, 2))
    np.testing.assert_allclose(turned, np.roll(cells(x, bins=18), 9, axis=-1), atol=1e-5)
    turned = np.sort(np.rot90(cells(np.rot90(x, axes=(1, 2))), -1, axes=(1, 2)), axis=-1)
    assert np.abs(turned - np.sort(cells(x), axis=-1)).max() > 0.1


def test_upright_stripes_fill_one_bin():
    stripes = jnp.asarray(np.tile(np.arange(16) % 4, (1, 16, 1))[..., None] * np.ones(3) / 4)
    filled = cells(stripes)[:, :, 1:-1]
    assert (filled[..., 4] > 0.999).all() and (np.delete(filled, 4, axis=-1) < 1e-6).all()


def test_the_cells_of_a_patch_stand_side_by_side_and_others_do_not_count():
    x = images()
    target, whole = hog_of_patches(x, 8, cell=CELL), cells(x)
    assert target.shape == (2, 4, 3 * BINS * 4)
    first = whole[:, :2, 2:].transpose(0, 3, 4, 1, 2).reshape(2, -1)  # upper right: channel, bin, row, column
    np.testing.assert_array_equal(target[:, 1], first)
    with pytest.raises(ValueError, match="cell is 4, which does not divide a patch of 6 pixels"):
        hog_of_patches(x, 6, cell=CELL)
