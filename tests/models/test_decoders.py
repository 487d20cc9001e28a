import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.models import (
    Features,
    MaskedDecoder,
    Predictor,
    WordDecoder,
    deep_pixel_head,
    mae_decoder,
    pixel_head,
    random_words,
)

KEY = jax.random.key(0)
GRID = (2, 3)
VISIBLE = jnp.array([[4, 1], [0, 5]])
FEATURES = Features(
    *(jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 12), (2, 2, 12)]))
)
TARGETS = jnp.array([[[0, 2, 3], [1, 2, 3]], [[5, 3, 2], [4, 2, 1]]])


def shift(tree):
    """Parameters away from their initial zeros and ones."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(KEY, len(leaves))
    noisy = [leaf + 0.2 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, noisy)


@pytest.fixture(scope="module")
def decode():
    decoder = mae_decoder(2, dim=8, depth=1, heads=2)
    variables = shift(jax.jit(decoder.init, static_argnums=3)(KEY, FEATURES, VISIBLE, GRID))
    apply = jax.jit(decoder.apply, static_argnums=3)
    return lambda features, visible: apply(variables, features, visible, GRID)


def test_decoder_predicts_the_pixels_of_every_patch(decode):
    assert decode(FEATURES, VISIBLE).shape == (2, 6, 2 * 2 * 3)


def test_decoder_puts_tokens_back_where_they_came_from(decode):
    want = decode(FEATURES, VISIBLE)
    swapped = decode(FEATURES._replace(tokens=FEATURES.tokens[:, ::-1]), VISIBLE[:, ::-1])
    np.testing.assert_allclose(swapped, want, atol=1e-5)
    moved = decode(FEATURES, VISIBLE.at[:, 0].set(3))
    assert jnp.abs(moved - want).max() > 1e-3


def test_decoder_reads_the_class_token(decode):
    assert (
        jnp.abs(decode(FEATURES._replace(cls=-FEATURES.cls), VISIBLE) - decode(FEATURES, VISIBLE)).max()
        > 1e-4
    )


def test_pixel_head_fills_what_a_token_covers():
    head = pixel_head(4, channels=2)
    assert jax.eval_shape(head.init_with_output, KEY, FEATURES.tokens)[0].shape == (2, 2, 32)


@pytest.fixture(scope="module")
def predict():
    predictor = Predictor(8, 1, 2)
    variables = shift(jax.jit(predictor.init, static_argnums=4)(KEY, FEATURES.tokens, VISIBLE, TARGETS, GRID))
    apply = jax.jit(predictor.apply, static_argnums=4)
    return lambda *args, **named: apply(variables, *args, GRID, **named)


def test_predictor_answers_for_each_target_by_itself(predict):
    both = predict(FEATURES.tokens, VISIBLE, TARGETS)
    assert both.shape == (2, 2, 3, 12)
    swapped = predict(FEATURES.tokens, VISIBLE, TARGETS[::-1])
    np.testing.assert_allclose(swapped[::-1], both, atol=1e-5)
    second_block_changed = predict(FEATURES.tokens, VISIBLE, TARGETS.at[1].set(0))
    np.testing.assert_allclose(second_block_changed[0], both[0], atol=1e-5)


def test_predictor_orders_answers_as_the_targets_and_ignores_the_order_of_the_context(predict):
    want = predict(FEATURES.tokens, VISIBLE, TARGETS)
    np.testing.assert_allclose(
        predict(FEATURES.tokens, VISIBLE, TARGETS[..., ::-1]), want[..., ::-1, :], atol=1e-5
    )
    np.testing.assert_allclose(predict(FEATURES.tokens[:, ::-1], VISIBLE[:, ::-1], TARGETS), want, atol=1e-5)
    assert jnp.abs(want[:, :, 0] - want[:, :, 1]).max() > 1e-3  # positions tell targets apart


def test_predictor_ignores_fillers(predict):
    present = (jnp.array([[True, False]] * 2), jnp.array([[[True, True, False]] * 2] * 2))
    want = predict(FEATURES.tokens, VISIBLE, TARGETS, present=present)
    other = predict(FEATURES.tokens.at[:, 1].add(3.0), VISIBLE, TARGETS.at[..., 2].set(0), present=present)
    np.testing.assert_allclose(other[:, :, :2], want[:, :, :2], atol=1e-5)


def test_a_decoder_of_words_tells_each_patch_and_the_mean_of_its_tokens():
    decoder = WordDecoder(5, MaskedDecoder(None, dim=8, depth=1, heads=2))
    variables = decoder.init(KEY, FEATURES, VISIBLE, GRID)
    found = decoder.apply(variables, FEATURES, VISIBLE, GRID)
    tokens = MaskedDecoder(None, dim=8, depth=1, heads=2).apply(
        {"params": variables["params"]["decoder"]}, FEATURES, VISIBLE, GRID
    )
    assert found["patch"].shape == (2, 6, 5) and tokens.shape == (2, 6, 8)
    np.testing.assert_allclose(found["image"], tokens.mean(1), atol=1e-6)
    head = variables["params"]["predict"]
    np.testing.assert_allclose(found["patch"], tokens @ head["kernel"] + head["bias"], atol=1e-5)


def test_a_deep_pixel_head_has_three_layers_before_the_pixels():
    head = deep_pixel_head(2, 12)
    params = head.init(KEY, FEATURES.tokens)["params"]
    kernels = [layer["kernel"].shape for layer in params.values()]
    assert kernels == [(12, 12)] * 3 + [(12, 12)] and head.layers[-1].features == 2 * 2 * 3


def test_random_words_are_the_nearest_directions():
    tokenizer = random_words(9, 2)
    images = jax.random.normal(KEY, (3, 4, 6, 3))
    params, statistics = tokenizer.init(KEY, images)
    words, _ = tokenizer.apply(params, statistics, images)
    assert params == {} and words.shape == (3, 6) and words.dtype == jnp.int32
    patch = np.asarray(images[1, 2:4, 4:6]).reshape(-1)  # the last of the second image
    cosines = statistics["directions"] @ patch / np.linalg.norm(patch)
    assert words[1, 5] == np.argmax(cosines) and len(np.unique(words)) > 3
    np.testing.assert_array_equal(words, tokenizer.apply(params, statistics, 3 * images)[0])
