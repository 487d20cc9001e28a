"""Figures say what they were given: their numbers, their colours, their pictures."""

import io
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.colors import to_hex  # noqa: E402
from PIL import Image  # noqa: E402

from jssl.evaluate import figures  # noqa: E402
from jssl.evaluate.figures.style import RIGHT, WRONG, enlarge, label_lines, panels, rgb  # noqa: E402


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figures.png(figure, dpi=40))).convert("RGB"))


def words(figure):
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text)}


def pictures(figure):
    return [np.asarray(image.get_array()) for image in figure.axes[0].get_images()]


def pictures_of(count, side=8, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, side, side, 3)).astype(np.uint8)


def test_importing_does_not_import_matplotlib():
    code = (
        "import sys, jssl.evaluate.figures; sys.exit('matplotlib' in sys.modules or 'sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loss_curve_survives_what_is_not_finite():
    loss = np.linspace(5, 1, 200)
    loss[50], loss[60] = np.nan, np.inf
    figure = figures.loss_curve(np.arange(200), loss)
    raw, smooth = figure.axes[0].get_lines()
    assert np.isfinite(smooth.get_ydata()).all() and abs(smooth.get_ydata()[100] - loss[100]) < 0.05
    assert figure.axes[0].get_ylim()[1] < 6 and pixels(figure).min() < 128


@pytest.mark.parametrize("loss", [[], [1.0], [np.nan, np.nan], [2.0, 2.0, 2.0]])
def test_short_and_flat_losses_draw(loss):
    assert pixels(figures.loss_curve(np.arange(len(loss)), loss)).size


def test_probe_curve_names_its_lines():
    baselines = {"kNN": {"raw pixels": 0.131, "random network": 0.132}, "linear": {"raw pixels": 0.3}}
    figure = figures.probe_curve([0, 10], {"kNN": [0.2, 0.714], "linear": [0.3, 0.8]}, baselines=baselines)
    assert {
        "raw pixels 13.1",
        "random network 13.2",
        "learned 71.4",
        "learned 80.0",
        "kNN top-1, %",
    } <= words(figure)
    dashed = [line.get_ydata()[0] for line in figure.axes[0].get_lines() if line.get_linestyle() == "--"]
    assert dashed == pytest.approx([13.1, 13.2])
    assert pixels(figure).size


def test_labels_at_the_same_height_do_not_overlap():
    for ys in ([1.0, 1.0, 1.0], [0.0, 0.0, 0.5], [0.95, 0.97, 1.0, 0.2]):
        _, ((ax,),) = panels(1, 1, width=3, height=2)
        label_lines(ax, [(y, f"line {i}", "black") for i, y in enumerate(ys)], gap=0.1)
        places = sorted(text.get_position()[1] for text in ax.texts)
        assert np.all(np.diff(places) >= 0.1 - 1e-9) and places[-1] <= 1 + 1e-9


def test_health_curves_have_a_panel_each():
    metrics = {
        "feature_std": [0.1, 0.25],
        "uniformity": [np.nan, np.nan],
        "gradient_norm": [1.0, 1.0],
        "rank": [1, 2],
    }
    figure = figures.health_curves([0, 1], metrics)
    assert {"feature std", "uniformity", "gradient norm", "rank", "0.25"} <= words(figure)
    assert pixels(figure).size


def test_neighbours_are_framed_by_their_label():
    from matplotlib.patches import Rectangle

    queries, neighbours = pictures_of(2), pictures_of(6, seed=1).reshape(2, 3, 8, 8, 3)
    labels = np.array([[0, 1, 0], [1, 1, 0]])
    figure = figures.neighbour_gallery(queries, np.array([0, 1]), neighbours, labels, names=["cat", "dog"])
    frames = [
        to_hex(patch.get_edgecolor()) for patch in figure.axes[0].patches if isinstance(patch, Rectangle)
    ]
    assert frames == [RIGHT, WRONG, RIGHT, RIGHT, RIGHT, WRONG]
    assert {"cat", "dog", "query", "nearest"} <= words(figure)
    np.testing.assert_allclose(pictures(figure)[0], queries[0] / 255, rtol=1e-6)
    np.testing.assert_allclose(pictures(figure)[6], neighbours[1, 1] / 255, rtol=1e-6)
    assert pixels(figure).size


def test_attention_is_brightest_where_it_looks():
    attention = np.full((1, 2, 16), 0.01)
    attention[0, 1, 5] = 1.0  # row 1, column 1 of 4 x 4
    _, _, _, second_head = pictures(figures.attention_maps(np.zeros((1, 8, 8, 3)), attention, (4, 4)))
    brightness = second_head.sum(-1)
    assert brightness[2:4, 2:4].min() > 1.0 > brightness[:2].max()


def test_reconstructions_keep_what_was_visible():
    images, predicted = pictures_of(2) / 255, pictures_of(2, seed=1) / 255
    mask = np.zeros((2, 4), bool)
    mask[:, 1] = True  # the upper right quarter
    figure = figures.reconstructions(images, mask, predicted, (2, 2))
    masked, filled, original = pictures(figure)[0], pictures(figure)[2], pictures(figure)[4]
    np.testing.assert_allclose(original, images[0], rtol=1e-6)
    np.testing.assert_allclose(filled[:4, 4:], predicted[0, :4, 4:], rtol=1e-6)
    np.testing.assert_allclose(filled[4:], images[0, 4:], rtol=1e-6)
    np.testing.assert_allclose(masked[:4, 4:], 0.82, rtol=1e-6)
    np.testing.assert_allclose(masked[:, :4], images[0, :, :4], rtol=1e-6)
    assert "masked 25%" in words(figure)


def test_patches_alike_have_a_colour_alike():
    tokens = np.random.default_rng(0).normal(size=(2, 16, 6)) * 0.01
    tokens[:, :8] += np.array([5.0, 0, 0, 0, 0, 0])
    colours = pictures(figures.patch_pca(pictures_of(2), tokens, (4, 4)))[2]
    assert abs(colours[:4, :, 0].mean() - colours[4:, :, 0].mean()) > 0.7
    assert colours[:4, :, 0].std() < 0.1


def test_views_are_shown_as_they_were_before_normalisation():
    images = pictures_of(3) / 255
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.2])
    large, small = ((images - mean) / std)[None], ((images[:, :4, :4] - mean) / std)[None].repeat(2, 0)
    figure = figures.view_gallery(images, large, small, mean=mean, std=std)
    np.testing.assert_allclose(pictures(figure)[1], images[0], atol=1e-5)
    np.testing.assert_allclose(pictures(figure)[2], enlarge(images[0, :4, :4], (8, 8)), atol=1e-5)
    assert len(pictures(figure)) == 12 and len(pictures(figures.view_gallery(images, large))) == 6
    assert pixels(figure).size


def test_images_of_any_kind_become_rgb():
    assert rgb(np.full((2, 2, 1), 255, np.uint8)).shape == (2, 2, 3)
    np.testing.assert_array_equal(rgb(np.array([[[-1.0, 0.5, 2.0]]])), [[[0.0, 0.5, 1.0]]])
