import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.data import byte_tokenizer, word_tokenizer
from jssl.models import LogitScale, TextTransformer, last_place, text_encoder

KEY = jax.random.key(0)
CORPUS = ["a red circle", "a blue square, large"]


@pytest.fixture(scope="module")
def tower():
    tokenizer = word_tokenizer(CORPUS, length=8)
    model = TextTransformer(tokenizer.vocabulary, 8, dim=16, depth=1, heads=2)
    return tokenizer, jax.jit(model.apply), jax.jit(model.init)(KEY, tokenizer.encode(CORPUS))


def test_text_is_read_at_its_end_whatever_the_padding(tower):
    tokenizer, apply, variables = tower
    ids = tokenizer.encode(CORPUS)
    features = apply(variables, ids)
    assert features.cls.shape == (2, 16) and features.tokens.shape == (2, 8, 16)
    np.testing.assert_array_equal(features.cls[0], features.tokens[0, 4])
    padded_otherwise = np.where(ids == 0, 1, ids)
    np.testing.assert_allclose(apply(variables, padded_otherwise).cls, features.cls, atol=1e-6)


def test_no_token_sees_a_later_one(tower):
    tokenizer, apply, variables = tower
    ids = tokenizer.encode(["a red circle"])
    changed = ids.copy()
    changed[0, 3] = 1
    want, got = apply(variables, ids).tokens, apply(variables, changed).tokens
    np.testing.assert_allclose(got[0, :3], want[0, :3], atol=1e-6)
    assert jnp.abs(got[0, 3:] - want[0, 3:]).max() > 1e-3


def test_without_causality_and_read_at_the_last_place(tower):
    _, _, variables = tower
    model = TextTransformer(12, 8, dim=16, depth=1, heads=2, causal=False, end=last_place)
    variables = jax.jit(model.init)(KEY, jnp.zeros((1, 8), int))
    ids = jnp.arange(8)[None]
    features = jax.jit(model.apply)(variables, ids)
    np.testing.assert_array_equal(features.cls, features.tokens[:, -1])
    changed = jax.jit(model.apply)(variables, ids.at[0, -1].set(9)).tokens
    assert jnp.abs(changed[0, 0] - features.tokens[0, 0]).max() > 1e-5


def test_wrong_tokens_are_named(tower):
    _, apply, variables = tower
    with pytest.raises(ValueError, match=r"int \[B, L\]"):
        apply(variables, jnp.zeros((2, 8)))
    with pytest.raises(ValueError, match="length 9"):
        apply(variables, jnp.zeros((2, 9), int))
    with pytest.raises(ValueError, match="text_b"):
        text_encoder("text_x", vocabulary=10)


def test_bytes_round_trip_and_long_texts_keep_their_end():
    tokenizer = byte_tokenizer(length=8)
    ids = tokenizer.encode(["né", "a long text", ""])
    assert ids.shape == (3, 8) and ids.dtype == np.int32
    assert bytes(ids[0][1:4].tolist()).decode() == "né"
    assert (ids.max(-1) == tokenizer.vocabulary - 1).all()
    assert ids[1, -1] == tokenizer.vocabulary - 1 and ids[2].tolist()[:3] == [256, 257, 0]
    with pytest.raises(TypeError, match="wrap it in a list"):
        tokenizer.encode("text")


def test_words_do_not_depend_on_the_order_of_the_corpus():
    a, b = word_tokenizer(CORPUS), word_tokenizer(CORPUS[::-1] + CORPUS)
    assert a.vocabulary == b.vocabulary
    np.testing.assert_array_equal(a.encode(CORPUS), b.encode(CORPUS))
    known, unknown = a.encode(["A RED square"]), a.encode(["a purple square"])
    assert (known[0, 1:4] > 1).all() and unknown[0, 2] == 1
    with pytest.raises(ValueError, match="no words"):
        word_tokenizer([""])


def test_logit_scale_starts_at_clips_and_stays_below_its_maximum():
    model = LogitScale()
    variables = model.init(KEY)
    np.testing.assert_allclose(model.apply(variables), 1 / 0.07, rtol=1e-5)
    beyond = {"params": {"log_scale": jnp.array(5.0)}}
    np.testing.assert_allclose(model.apply(beyond), 100.0, rtol=1e-5)
    raising, lowering = (jax.grad(lambda v, s=sign: s * model.apply(v))(beyond) for sign in (-1.0, 1.0))
    assert raising["params"]["log_scale"] == 0 and lowering["params"]["log_scale"] > 0
