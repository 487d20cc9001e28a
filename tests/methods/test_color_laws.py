"""Colors predicted from lightness: what is measured, what is remembered, what is seen."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import objectives as o
from jssl.arrays.lab import lab_to_rgb, rgb_to_lab
from jssl.methods.colors import colored, colorization
from jssl.models import MapDecoder
from jssl.objectives import Outputs
from tests.law_toys import small_resnet
from tests.methods.toys import seen_as
from tests.objectives.golden_numbers import load, near, nhwc

GRID = np.stack(np.meshgrid(*[np.linspace(0, 1, 11)] * 3), -1).reshape(-1, 3).astype(np.float32)


def test_encoding_and_weights_are_the_authors():
    c = load("colorization")
    np.testing.assert_array_equal(o.AB_BINS, c.in_bins)
    with jax.enable_x64(True):
        code = o.soft_encode(jnp.asarray(nhwc(c.in_ab)), c.in_bins, neighbours=c.hp_nn, sigma=c.hp_sigma)
        near(code, nhwc(c.out_soft_encoding))
        factors = o.rarity(jnp.asarray(c.in_prior_probs), mix=c.hp_gamma, power=c.hp_alpha)
        near(factors, c.out_prior_factor)
        np.testing.assert_array_equal(jnp.argmax(code, -1), c.out_argmax_bin)
        near(factors[jnp.argmax(code, -1)], c.out_weights[:, 0])
        decoded = o.annealed_mean(jnp.log(jnp.maximum(code, 1e-300)), c.in_bins, temperature=1.0)
        near(decoded, nhwc(c.out_decoded))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.int32])
def test_colors_of_any_type_are_encoded_in_float32(dtype):
    ab = jnp.array([[60, -20], [0, 0]])
    code = o.soft_encode(ab.astype(dtype))
    np.testing.assert_array_equal(code, o.soft_encode(ab.astype(jnp.float32)))
    np.testing.assert_allclose(code.sum(-1), 1, rtol=1e-5)


def test_the_objective_weights_pixels_by_the_authors_numbers():
    """What a method trains by is what the numbers are of."""
    c = load("colorization")
    logits = np.random.default_rng(0).normal(size=(2, 4, 4, 313)).astype(np.float32)
    outputs = Outputs({"color": jnp.asarray(logits)}, {"color": jnp.asarray(nhwc(c.in_ab), jnp.float32)})
    memory = {"prior": jnp.asarray(c.in_prior_probs, jnp.float32), "seen": jnp.asarray(3)}
    loss, after, metrics = o.rare_colors().apply(memory, outputs, 0)
    surprise = -np.asarray(jax.nn.log_softmax(logits)) * nhwc(c.out_soft_encoding)
    expected = np.mean(surprise.sum(-1) * c.out_weights[:, 0])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["cross_entropy"], np.mean(surprise.sum(-1)), rtol=1e-5)
    moved = 0.75 * c.in_prior_probs + 0.25 * nhwc(c.out_soft_encoding).mean((0, 1, 2))
    np.testing.assert_allclose(after["prior"], moved, atol=1e-6)


def test_lab_is_that_of_known_colors_and_goes_back():
    known = {  # CIE's values of the screen's primaries under D65
        (1, 0, 0): (53.24, 80.09, 67.20),
        (0, 1, 0): (87.73, -86.18, 83.18),
        (0, 0, 1): (32.30, 79.19, -107.86),
        (1, 1, 1): (100.0, 0.0, 0.0),
        (0, 0, 0): (0.0, 0.0, 0.0),
    }
    np.testing.assert_allclose(
        rgb_to_lab(jnp.asarray(list(known), jnp.float32)), list(known.values()), atol=0.02
    )
    np.testing.assert_allclose(lab_to_rgb(rgb_to_lab(GRID)), GRID, atol=1 / 255)
    assert np.all(np.isfinite(jax.jacobian(lambda x: rgb_to_lab(x).sum())(jnp.zeros(3))))


def test_images_without_color_are_refused():
    with pytest.raises(ValueError, match="colors need images of 3 channels, got shape"):
        rgb_to_lab(jnp.ones((2, 4, 4, 1)))


def test_a_color_is_spread_over_ten_bins():
    ab = rgb_to_lab(jnp.asarray(GRID))[:, 1:]
    code = o.soft_encode(ab)
    assert np.all(np.sum(np.asarray(code) > 0, axis=-1) <= 10) and code.shape == (len(GRID), 313)
    np.testing.assert_allclose(code.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(jnp.argmax(o.soft_encode(jnp.asarray(o.AB_BINS)), -1), np.arange(313))


def test_the_weights_of_a_color():
    prior = np.random.default_rng(0).dirichlet(np.ones(313) * 0.1)
    weights = o.rarity(jnp.asarray(prior))
    np.testing.assert_allclose(np.sum(prior * weights), 1, rtol=1e-5)
    assert np.argmax(prior) == np.argmin(weights) and np.all(np.isfinite(weights))
    np.testing.assert_allclose(o.rarity(jnp.asarray(prior), mix=1.0), 1, rtol=1e-5)


def test_a_color_between_the_mean_and_the_mode():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, 313)), jnp.float32)
    mean = jax.nn.softmax(logits) @ o.AB_BINS
    np.testing.assert_allclose(o.annealed_mean(logits, temperature=1.0), mean, atol=1e-3)
    mode = o.AB_BINS[jnp.argmax(logits, -1)]
    np.testing.assert_allclose(o.annealed_mean(logits, temperature=1e-3), mode, atol=1e-2)


DECODER = MapDecoder(313, (8,))


@pytest.fixture(scope="module")
def trained():
    method = colorization(small_resnet(), decoder=DECODER)
    images = jnp.asarray(np.random.default_rng(0).uniform(0.3, 0.7, (2, 16, 16, 3)), jnp.float32)
    params, memory = jax.jit(method.init)(jax.random.key(0), seen_as(images))
    return method, SimpleNamespace(params=params, teacher=None, memory=memory), images


def test_features_see_lightness_alone(trained):
    method, state, images = trained
    lab = rgb_to_lab(images)
    turned = lab_to_rgb(lab * jnp.array([1.0, -0.5, -0.5]))  # other colors, as light

    @jax.jit
    def features(images):
        return method.features(state.params, state.teacher, state.memory, images).tokens

    np.testing.assert_allclose(features(images), features(turned), atol=1e-3)
    assert np.max(np.abs(features(images) - features(0.9 * images))) > 1e-2
    assert np.max(np.abs(turned - images)) > 0.05


def test_grey_images_teach_nothing_and_colors_are_counted(trained):
    method, state, images = trained
    grey = jnp.broadcast_to(images[..., :1], images.shape)

    @jax.jit
    def loss(memory, images):
        value, (after, _) = method.loss(state.params, None, memory, seen_as(images), jax.random.key(1), 0)
        return value, after["objective"]

    assert loss(state.memory, grey)[0] == 0 < loss(state.memory, images)[0]
    after = loss(state.memory, images)[1]
    code = o.soft_encode(rgb_to_lab(images)[:, ::2, ::2, 1:])
    np.testing.assert_allclose(after["prior"], code.mean((0, 1, 2)), atol=1e-6)  # the first batch's own
    assert int(after["seen"]) == 1


def test_images_are_given_the_colors_that_are_predicted(trained):
    method, state, images = trained
    grey, guessed = colored(method, state, images, decoder=DECODER)
    for one in (grey, guessed):
        assert one.shape == images.shape and np.all((one >= 0) & (one <= 1))
    np.testing.assert_allclose(rgb_to_lab(grey)[..., 0], rgb_to_lab(images)[..., 0], atol=0.1)
    np.testing.assert_allclose(rgb_to_lab(grey)[..., 1:], 0, atol=0.1)
    tokens = method.features(state.params, None, state.memory, images).tokens
    own = {"params": state.params["color"], **state.memory["statistics"]["color"]}
    ab = o.annealed_mean(DECODER.apply(own, tokens)).repeat(2, 1).repeat(2, 2)
    shown = lab_to_rgb(jnp.concatenate([rgb_to_lab(images)[..., :1], ab], -1))
    corners = (slice(None), slice(None, None, 15), slice(None, None, 15))  # not between two tokens
    np.testing.assert_allclose(guessed[corners], shown[corners], atol=0.02)


def test_a_color_inside_of_the_gamut_has_all_ten_bins_and_they_are_its_nearest():
    ab = jnp.asarray([[3.0, 4.0], [-21.0, 32.0]])
    code = np.asarray(o.soft_encode(ab))
    assert np.sum(code > 0, axis=-1).tolist() == [10, 10]
    distances = np.linalg.norm(np.asarray(ab)[:, None] - o.AB_BINS, axis=-1)
    np.testing.assert_array_equal(np.argsort(-code, 1)[:, 0], distances.argmin(1))
    for row, distance in zip(code, distances, strict=True):
        assert distance[row > 0].max() <= distance[row == 0].min()
