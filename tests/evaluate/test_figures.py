"""Figures say what they were given: their numbers, their colors, their pictures."""

import io
import subprocess
import sys
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.colors import to_hex  # noqa: E402
from PIL import Image  # noqa: E402

from jssl.data import normalize  # noqa: E402
from jssl.evaluate import figures  # noqa: E402
from jssl.evaluate.analysis import principal_plane  # noqa: E402
from jssl.evaluate.figures.style import RIGHT, WRONG, enlarge, label_lines, panels, rgb  # noqa: E402


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figures.png(figure, dpi=40))).convert("RGB"))


def words(figure):
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text)}


def pictures(figure):
    return [np.asarray(image.get_array()) for image in figure.axes[0].get_images()]


def pictures_of(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 8, 8, 3)).astype(np.uint8)


def test_importing_does_not_import_matplotlib():
    code = (
        "import sys, jssl.evaluate.figures; sys.exit('matplotlib' in sys.modules or 'sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loss_curve_survives_what_is_not_finite():
    loss = np.linspace(5, 1, 200)
    loss[50], loss[60] = np.nan, np.inf
    figure = figures.loss_curve(np.arange(200), loss)
    _, smooth = figure.axes[0].get_lines()
    assert np.isfinite(smooth.get_ydata()).all() and abs(smooth.get_ydata()[100] - loss[100]) < 0.05
    assert figure.axes[0].get_ylim()[1] < 6 and pixels(figure).min() < 128


@pytest.mark.parametrize("loss", [[], [1.0], [np.nan, np.nan], [2.0, 2.0, 2.0]])
def test_short_and_flat_losses_draw(loss):
    assert pixels(figures.loss_curve(np.arange(len(loss)), loss)).size


def test_probe_curve_names_its_lines():
    baselines = {
        "raw pixels": {"knn_top1": 0.131, "linear_top1": 0.3},
        "random network": {"knn_top1": 0.132, "depth_rmse": 3.5},
    }
    curves = {
        "knn_top1": ([0, 10], [0.2, 0.714]),
        "linear_top1": ([0, 10], [0.3, 0.8]),
        "depth_rmse": ([10], [1.5]),
    }
    figure = figures.probe_curve(curves, baselines=baselines)
    assert {"raw pixels 13.1", "random network 13.2", "learned 71.4", "learned 80.0"} <= words(figure)
    assert {"kNN top-1, %", "depth rmse", "random network 3.5", "learned 1.5"} <= words(figure)
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


def test_steps_are_whole_even_where_there_is_one():
    figure = figures.health_curves([4], {"loss": [0.5]})
    assert [tick for tick in figure.axes[0].get_xticks() if tick != round(tick)] == []


def test_neighbours_are_framed_by_their_label():
    from matplotlib.patches import Rectangle

    queries, neighbours = pictures_of(2), pictures_of(6, seed=1).reshape(2, 3, 8, 8, 3)
    labels = np.array([[0, 1, 0], [1, 1, 0]])
    figure = figures.neighbour_gallery(queries, np.array([0, 1]), neighbours, labels, names=["cat", "dog"])
    frames = [
        to_hex(patch.get_edgecolor()) for patch in figure.axes[0].patches if isinstance(patch, Rectangle)
    ]
    assert frames == [RIGHT, WRONG, RIGHT, RIGHT, RIGHT, WRONG]
    unlabelled = figures.neighbour_gallery(queries, np.array([0, -1]), neighbours, np.full_like(labels, -1))
    assert not any(isinstance(patch, Rectangle) for patch in unlabelled.axes[0].patches)
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


def test_masks_are_shown_row_by_row_and_hide_what_they_say():
    images = pictures_of(2) / 255
    upper, lower = np.zeros((2, 2, 4), bool)
    upper[:, 1] = lower[:, 2] = True
    figure = figures.mask_gallery(images, {"upper": upper, "lower": lower}, (2, 2))
    whole, _, above, _, below, _ = pictures(figure)
    np.testing.assert_allclose(whole, images[0], rtol=1e-6)
    np.testing.assert_allclose(above[:4, 4:], 0.82, rtol=1e-6)
    np.testing.assert_allclose(above[4:], images[0, 4:], rtol=1e-6)
    np.testing.assert_allclose(below[4:, :4], 0.82, rtol=1e-6)
    np.testing.assert_allclose(below[:4], images[0, :4], rtol=1e-6)
    assert {"image", "upper, 25%", "lower, 25%"} <= set(words(figure))


def test_patch_features_show_the_foreground_alone():
    tokens = np.random.default_rng(0).normal(size=(2, 4, 4, 6)) * 0.01
    tokens[:, 1:3, 1:3, 0] += 5.0
    tokens[:, 1:3, 2, 1] += 2.0
    shown = pictures(figures.patch_pca(np.full((2, 8, 8, 3), 0.5), tokens.reshape(2, 16, 6), (4, 4)))
    foreground, colors = shown[2], shown[4]
    np.testing.assert_allclose(foreground[2:6, 2:6], 0.5, rtol=1e-6)
    assert not foreground[:2].any() and not colors[:2].any()
    assert abs(colors[2:6, 2:4, 0].mean() - colors[2:6, 4:6, 0].mean()) > 0.8


def test_views_are_shown_as_they_were_before_normalisation():
    images = pictures_of(3)

    def views(key, batch):
        x = normalize()(None, batch["image"] / 255)
        return {"global": x[None], "local": jnp.stack([x[:, :4, :4]] * 2)}

    figure = figures.view_gallery(views, {"image": images})
    np.testing.assert_allclose(pictures(figure)[1], images[0] / 255, atol=1e-5)
    np.testing.assert_allclose(pictures(figure)[2], enlarge(images[0, :4, :4], (8, 8)) / 255, atol=1e-5)
    assert len(pictures(figure)) == 3 * (1 + 2 * 3)
    assert {"image", "global 1", "local 1", "local 2"} <= words(figure)
    grey = normalize()(None, jnp.full((1, 2, 2, 1), 0.25))
    np.testing.assert_allclose(figures.unnormalized(grey), 0.25, atol=1e-6)


def test_rotations_told_wrong_are_framed_dashed():
    guesses = np.tile(np.arange(4)[:, None], (1, 2))
    guesses[1, 0] = 3
    figure = figures.turned_gallery(pictures_of(2), guesses)
    frames = [(to_hex(patch.get_edgecolor()), patch.get_linestyle()) for patch in figure.axes[0].patches]
    assert frames.count((WRONG, "--")) == 1 and frames.index((WRONG, "--")) == 2 and len(frames) == 8
    np.testing.assert_allclose(pictures(figure)[2], np.rot90(pictures_of(2)[0]) / 255, rtol=1e-6)
    assert {"0°", "90°", "180°", "270°"} <= words(figure)


def test_captions_stand_beside_their_cosines():
    figure = figures.caption_similarities(
        pictures_of(2), ["a $red$ square", "a disc"], [[1.0, 0.0], [0.2, 0.9]]
    )
    assert "a $red$ square" in words(figure)
    assert {"1.00", "0.00", "0.20", "0.90"} <= words(figure)
    brightness = pictures(figure)[0].sum(-1)  # a row for each caption
    assert brightness[0, 0] > brightness[1, 1] > brightness[0, 1] > brightness[1, 0]
    np.testing.assert_allclose(pictures(figure)[1], pictures_of(2)[0] / 255, rtol=1e-6)
    assert pixels(figure).size


ODD = ["$x_1", "100$ & $\\frac", "caf\udce9", "two\nlines", "字", "a" * 300]


@pytest.mark.parametrize("name", ODD)
def test_any_name_can_be_drawn(name):
    images, labels = pictures_of(1), np.array([0])
    figure = figures.neighbour_gallery(images, labels, images[None], labels[None], names=[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pixels(figure).size
        assert pixels(figures.health_curves([0], {name: [1.0]})).size
    assert all(len(word) <= 32 for word in words(figure))
    assert name not in ODD[:2] or name in words(figure)


@pytest.mark.parametrize("values", [[1.0], [np.nan, 2.0, np.nan], [1.0, 2.0, np.nan, 4.0]])
def test_a_value_alone_is_visible(values):
    dots = {"": 0, "o": 0}
    for line in figures.health_curves(range(len(values)), {"rank": values}).axes[0].get_lines():
        dots["o" if line.get_marker() == "o" else ""] += len(line.get_xdata())
    known = np.isfinite([np.nan, *values, np.nan])
    assert dots["o"] == np.sum(known[1:-1] & ~known[:-2] & ~known[2:]) == 1
    assert any(line.get_marker() == "o" for line in figures.loss_curve([3], [1.0]).axes[0].get_lines())


def test_all_type_has_one_size():
    from matplotlib.text import Text

    baselines = {"raw pixels": {"knn_top1": 0.1}}
    drawn = [
        figures.probe_curve({"knn_top1": ([0, 1], [0.2, 0.7])}, baselines=baselines),
        figures.health_curves([0, 1], {"rank": [1, 2]}),
        figures.loss_curve([0, 1], [2.0, 1.0]),
        figures.attention_maps(np.zeros((1, 8, 8, 3)), np.ones((1, 6, 16)), (4, 4)),
        figures.caption_similarities(pictures_of(2), ["a", "b"], np.eye(2)),
        figures.mask_gallery(pictures_of(1), {"all": np.ones((1, 4), bool)}, (2, 2)),
        figures.over_seeds({"knn_top1": {"dino": (0.5, 0.7), "mae": (0.4,)}, "depth_rmse": {"dino": (3.0,)}}),
    ]
    for figure in drawn:
        assert pixels(figure).size
        assert {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()} == {9}


def test_images_of_any_kind_become_rgb():
    assert rgb(np.full((2, 2, 1), 255, np.uint8)).shape == (2, 2, 3)
    np.testing.assert_array_equal(rgb(np.array([[[-1.0, 0.5, 2.0]]])), [[[0.0, 0.5, 1.0]]])


def test_the_plane_is_the_widest_and_the_same_each_time():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) * [0.1, 5.0, 0.1, 3.0, 0.1]
    points, share = principal_plane(x)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    centred = unit - unit.mean(0)
    singular = np.linalg.svd(centred, compute_uv=False)
    assert share == pytest.approx((singular[:2] ** 2).sum() / (singular**2).sum())
    np.testing.assert_allclose(points.std(0), singular[:2] / np.sqrt(60), rtol=1e-6)
    np.testing.assert_array_equal(points, principal_plane(x)[0])
    assert principal_plane(np.ones((3, 1)))[0].shape == (3, 2)


def test_the_map_has_a_mark_for_each_class():
    points, labels = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 13
    figure = figures.feature_map(points, labels, names=[f"class {i}" for i in range(13)])
    assert {f"class {i}" for i in range(10)} | {"other classes"} == words(figure) - {""}
    marks = {line.get_marker() for line in figure.axes[0].get_lines()}
    assert len(marks) == 11 and pixels(figure).size
    assert words(figures.feature_map(points, np.full(40, -1))) <= {""}
