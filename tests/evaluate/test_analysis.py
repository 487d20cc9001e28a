import numpy as np
import pytest

from jssl.evaluate.analysis import most_attended, patch_components


def test_the_smallest_set_that_holds_the_share():
    attention = np.array([[0.1, 0.4, 0.2, 0.3], [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    chosen = most_attended(attention, share=0.6)
    assert chosen.tolist() == [[False, True, False, True], [True, *[False] * 3], [True, True, True, False]]
    np.testing.assert_array_equal(most_attended(7 * attention, share=0.6), chosen)
    assert most_attended(attention[0], share=1.0).all()
    with pytest.raises(ValueError, match="share is 0"):
        most_attended(attention, share=0)


def scene():
    """Tokens of two images, each with an object inside whose left and right differ."""
    tokens = np.random.default_rng(0).normal(size=(2, 6, 6, 8)) * 0.01
    tokens[:, 2:5, 1:5, 0] += 10.0
    tokens[:, 2:5, 3:5, 1] += 3.0
    truth = np.zeros((2, 6, 6), bool)
    truth[:, 2:5, 1:5] = True
    return tokens.reshape(2, -1, 8), truth.reshape(2, -1)


def test_the_foreground_is_what_the_border_lacks_and_its_parts_get_colours():
    tokens, truth = scene()
    components, foreground = patch_components(tokens, (6, 6))
    np.testing.assert_array_equal(foreground, truth)
    assert not components[~truth].any()
    first = components.reshape(2, 6, 6, 3)[:, 2:5, 1:5, 0]
    assert abs(first[:, :, :2].mean() - first[:, :, 2:].mean()) > 0.8


def test_the_same_tokens_give_the_same_colours_whatever_the_sign():
    tokens, truth = scene()
    first, again = patch_components(tokens, (6, 6)), patch_components(tokens.copy(), (6, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(patch_components(-tokens, (6, 6))[1], truth)


def test_tokens_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"shape \(2, 36, 8\), expected"):
        patch_components(scene()[0], (5, 6))


def test_constant_tokens_have_no_foreground_to_colour():
    components, _ = patch_components(np.ones((1, 9, 4)), (3, 3))
    assert np.isfinite(components).all()
