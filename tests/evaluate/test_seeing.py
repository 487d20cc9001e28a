"""What is looked into: attention, frequencies and maps by their laws, and their figures by what they show."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.colors import to_hex  # noqa: E402
from matplotlib.text import Text  # noqa: E402
from PIL import Image  # noqa: E402

from jssl.evaluate import figures  # noqa: E402
from jssl.evaluate.analysis import (  # noqa: E402
    among_patches,
    attention_distance,
    attention_information,
    attention_rows,
    log_amplitudes,
    masks_of_all,
    tsne,
)
from jssl.evaluate.figures.style import BLUE, WHEEL  # noqa: E402
from jssl.evaluate.given import look  # noqa: E402
from jssl.models import encoder  # noqa: E402


def words(figure):
    return {text.get_text() for text in figure.findobj(Text)} - {""}


def pictures(figure):
    return [np.asarray(image.get_array()) for image in figure.axes[0].get_images()]


@pytest.fixture(scope="module")
def vit():
    module = encoder("vit_n4", depth=2, dim=24, scan=True)
    images = jax.random.uniform(jax.random.key(1), (2, 12, 12, 3))
    return module, jax.jit(module.init)(jax.random.key(0), images), images


def test_all_rows_of_attention_and_what_is_looked_at(vit):
    module, variables, images = vit
    rows = jax.jit(lambda variables, images: attention_rows(module, variables, images))(variables, images)
    assert [x.shape for x in rows] == [(2, 3, 10, 10)] * 2
    np.testing.assert_allclose(np.sum(rows[1], -1), 1, rtol=1e-5)
    seen = jax.jit(look(module, variables))(images)
    np.testing.assert_allclose(rows[1][:, :, 0, 1:], seen["attention"], rtol=1e-4, atol=1e-6)
    assert seen["tokens"].shape == (2, 9, 24) and seen["features"].shape == (2, 24)
    np.testing.assert_allclose(among_patches(rows[0], 9).sum(-1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="needs a transformer with the field attend, got ResNet"):
        attention_rows(encoder("resnet10x0.25_cifar"), {}, images)


def test_uniform_attention_reaches_the_mean_distance_and_tells_nothing():
    places = np.array([(r, c) for r in range(3) for c in range(4)])
    mean = np.linalg.norm(places[:, None] - places, axis=-1).mean()
    alike = jnp.full((2, 12, 12), 1 / 12)
    np.testing.assert_allclose(attention_distance(alike, (3, 4), patch=16), 16 * mean, rtol=1e-5)
    np.testing.assert_allclose(attention_information(alike), 0, atol=1e-5)
    own = jnp.eye(12)
    assert float(attention_distance(own, (3, 4))) == 0
    assert float(attention_information(own)) == pytest.approx(1, abs=1e-5)
    halves = jnp.kron(jnp.eye(2), jnp.full((6, 6), 1 / 6))  # one bit of log2(12)
    assert float(attention_information(halves)) == pytest.approx(np.log(2) / np.log(12), rel=1e-5)
    with pytest.raises(ValueError, match=r"expected \[..., N, N\], N = 3 \* 3"):
        attention_distance(own, (3, 3))


def test_noise_holds_all_frequencies_and_smooth_maps_the_low_ones():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 64, 16))
    spectrum = log_amplitudes(noise, (8, 8))
    # Where amplitudes are complex, the mean logarithm of normal ones lies log(2) / 2 above the real ones'.
    np.testing.assert_allclose(spectrum, [0, *[np.log(2) / 2] * 3, 0], atol=0.15)
    steps = np.arange(8)
    wave = np.cos(2 * np.pi * 3 * (steps[:, None] + steps) / 8) + 1  # amplitude 64 at 0, half of it at 3
    spectrum = log_amplitudes(wave.reshape(1, 64, 1), (8, 8))
    assert spectrum.argsort()[-2:].tolist() == [3, 0] and spectrum[3] == pytest.approx(np.log(0.5), abs=1e-3)
    assert log_amplitudes(np.ones((1, 64, 1)), (8, 8))[1:].max() < -15
    with pytest.raises(ValueError, match=r"on a square grid, got \(4, 16\)"):
        log_amplitudes(noise, (4, 16))


def test_neighbours_stay_neighbours_in_the_plane():
    labels = np.repeat(np.arange(3), 12)
    features = np.eye(5)[labels] + 0.05 * np.random.default_rng(0).normal(size=(36, 5))
    points = tsne(features, seed=1)
    np.testing.assert_array_equal(points, tsne(8 * features, seed=1))  # directions count, and the same again
    apart = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(36)
    assert (labels[apart.argmin(1)] == labels).all()
    figure = figures.feature_map(
        points, np.where(labels == 2, -1, labels), names=["a", "b"], heading="By t-SNE"
    )
    assert {"a", "b", "By t-SNE"} <= words(figure)
    shown = {to_hex(line.get_color()): len(line.get_xdata()) for line in figure.axes[0].get_lines()}
    assert shown[WHEEL[0]] == shown[WHEEL[1]] == 12 and len(shown) == 3
    with pytest.raises(ValueError, match="N of at least 4"):
        tsne(features[:3])


def test_segments_are_those_that_hold_the_share():
    attention = np.full((1, 2, 4), 0.1)
    attention[0, 0, 1] = attention[0, 1, 2] = 0.7
    image = np.zeros((1, 8, 8, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
    figure = figures.attention_segments(image, attention, (2, 2))
    _, first, second = pictures(figure)
    assert first.shape == (96, 96, 3) and {"head 0, 60%", "image"} <= words(figure)
    red = np.isclose(first, [200 / 255, 0, 0]).all(-1)
    assert red[4:44, 52:92].all() and not red[48:].any() and not red[:, :48].any()
    line = np.array([int(BLUE[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    assert np.allclose(first[47, 60], line) and np.allclose(second[48, 20], line)


def test_masks_of_all_strategies_stand_side_by_side():
    attention = np.random.default_rng(0).uniform(size=(3, 36))
    masks = masks_of_all(attention, (6, 6))
    shares = {name: mask.mean() for name, mask in masks.items()}
    assert shares["random (MAE)"] == 0.75 and 0.2 < shares["blocks (BEiT)"] <= 0.4
    assert shares["exact blocks (CAE)"] == shares["one half (SplitMask)"] == 0.5
    assert masks["most attended (AttMask)"][0, attention[0].argmax()] and len(masks) == 10
    hints = masks["most attended (AttMask)"] & ~masks["all but hints (AttMask)"]
    assert (hints.sum(1) == 2).all()  # int(0.2 * 0.4 * 36)
    assert not masks["least attended"][0, attention[0].argmax()]
    images = np.full((3, 12, 12, 3), 255, np.uint8)
    figure = figures.mask_gallery(images, masks, (6, 6))
    assert {"image", "random (MAE), 75%"} <= words(figure)
    shown = pictures(figure)[3 + 1]  # the second image of the first strategy
    np.testing.assert_allclose(
        shown[1::2, 1::2, 0], np.where(masks["random (MAE)"][1].reshape(6, 6), 0.82, 1.0)
    )


def test_labels_are_colored_and_the_ground_is_pale():
    labels = np.zeros((1, 4, 4), int)
    labels[0, 0, 0], labels[0, 3, 3] = 1, 2
    figure = figures.label_gallery(np.zeros((1, 8, 8, 3)), {"truth": labels}, columns=["frame 0"])
    shown = pictures(figure)[1]
    assert to_hex(shown[0, 0] / 0.8) == WHEEL[0] and to_hex(shown[7, 7] / 0.8) == WHEEL[1]
    assert np.ptp(shown[4, 4]) < 1e-6 and {"truth", "frame 0"} <= words(figure)


def test_curves_by_block_say_their_unit_and_their_network():
    measures = {
        "Attention distance, px": {"learned": [[3.0, 5.0], [5.0, 7.0]], "random": [4.0, 4.0]},
        "Mutual information": {"learned": [0.5, 0.2]},
    }
    figure = figures.layer_curves(measures)
    assert {"Attention distance, px", "Mutual information", "learned", "random", "block"} <= words(figure)
    lines = figure.axes[0].get_lines()
    assert [list(line.get_ydata()) for line in lines if line.get_marker() == "None"] == [[4, 6], [4, 4]]
    assert figures.spectrum_curves({"broken": [[0.0, np.nan]], "random": [[0.0, -1.0]]}).axes
    spectra = figures.spectrum_curves({"learned": [[0, -1, -2.0], [0, -2, -4]], "random": [[0, 0, 0.0]] * 2})
    assert spectra.axes[0].get_ylim() == spectra.axes[1].get_ylim()
    assert spectra.axes[0].get_xlabel() == "frequency, of the highest"  # which is π on even grids alone
    drawn = [figure, spectra, figures.feature_map(np.eye(2), [0, 1], names=["a", "b"])]
    for one in drawn:
        assert np.asarray(Image.open(io.BytesIO(figures.png(one, dpi=40)))).min() < 128
        assert {text.get_fontsize() for text in one.findobj(Text) if text.get_text()} == {9}
    first, again = (figures.svg(figures.layer_curves(measures)) for _ in range(2))
    assert first == again and b"<svg" in first and b"Attention distance, px" in first


def test_the_order_of_heads_and_places_that_do_not_count():
    """Attention is measured head by head; twice as large a patch makes twice the distance."""
    rows = jax.nn.softmax(2 * jax.random.normal(jax.random.key(0), (3, 12, 12)))
    order = np.array([2, 0, 1])
    for measure in (lambda x: attention_distance(x, (3, 4)), attention_information):
        np.testing.assert_allclose(measure(rows)[order], measure(rows[order]), rtol=1e-6)
    near, far = (attention_distance(rows, (3, 4), patch=patch) for patch in (8, 16))
    np.testing.assert_allclose(2 * near, far, rtol=1e-6)
