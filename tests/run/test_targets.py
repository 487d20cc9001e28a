"""A frozen network whose features are predicted: opened, fitted to the run, kept, and not needed again."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import beit, eva

import jssl
from jssl import weights
from jssl.data import from_arrays
from jssl.data.views import CLIP
from jssl.models import TokenEncoder, ViT, clip_head
from jssl.models.encoders.vit import read_class, read_normed_class
from jssl.run import DataInfo, Options
from jssl.run.plan import plan
from jssl.weights import Loaded, Preprocess

SIDE = 16
VIT = ViT(patch=8, dim=8, depth=1, heads=2, readout=read_normed_class)
PIXELS = Preprocess(SIDE, SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
IMAGES = np.random.default_rng(0).integers(0, 256, (16, SIDE, SIDE, 3), np.uint8)
INFO = DataInfo("noise", 16, (SIDE, SIDE, 3), SIDE, 0, {})
EVA = replace(eva.demo, target=None, encoder="vit_n8", size=SIDE, batch=8, warmup=0, count=2, min_block=1)
FLOATS = jax.random.normal(jax.random.key(1), (2, SIDE, SIDE, 3))


def loaded(**heads):
    variables = VIT.init(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))
    return Loaded(VIT, variables, heads, PIXELS)


def predicted(settings, encoder, images):
    """What the frozen network of an experiment makes of views, [B, N, D]."""
    target = settings.frozen_target(INFO, encoder)
    held = target.given["memory"]["statistics"]["target"]
    outputs = target.network.apply({}, held, images)[0]
    return target.dim, outputs["patch"] if isinstance(outputs, dict) else outputs.tokens


@pytest.mark.parametrize("own", [True, False])
def test_clips_features_are_its_normalised_projected_tokens_of_images_as_it_knows_them(own):
    head = clip_head(6)
    projection = head.init(jax.random.key(2), jnp.zeros((1, 8)))
    heads = {"image": (None, projection)} if own else {"image_projection": (head, projection)}
    given, mean, std = loaded(**heads), np.asarray(CLIP.mean), np.asarray(CLIP.std)
    dim, found = predicted(replace(EVA, target=given), VIT, FLOATS)
    seen = (FLOATS * std + mean - 0.5) / 0.25
    tokens = VIT.clone(readout=read_class).apply(given.variables, seen).tokens
    expected = tokens @ projection["params"]["layers_0"]["kernel"]
    assert dim == 6
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_a_projection_they_are_the_tokens():
    given = loaded()
    dim, found = predicted(
        replace(EVA, target=replace(given, preprocess=Preprocess(16, 16, mean=CLIP.mean, std=CLIP.std))),
        VIT,
        FLOATS,
    )
    assert dim == 8
    np.testing.assert_allclose(
        found, VIT.clone(readout=read_class).apply(given.variables, FLOATS).tokens, atol=1e-5
    )


def test_a_run_keeps_its_target_and_resumes_without_the_file(tmp_path):
    path, out = tmp_path / "teacher.safetensors", tmp_path / "run"
    weights.save(loaded(), path)
    data = from_arrays(IMAGES)
    settings = dict(data=data, target=str(path), out=str(out))
    jssl.run(replace(EVA, steps=1), **settings)
    path.unlink()
    again = jssl.run(replace(EVA, steps=2), **settings)
    held = again.state.memory["statistics"]["target"]["frozen"]["params"]
    jax.tree.map(np.testing.assert_array_equal, held, dict(loaded().variables["params"]))
    assert int(again.state.step) == 2 and set(again.state.params) == {"encoder", "patch"}
    assert jssl.open_run(out).features(IMAGES).shape == (16, 96)


def test_words_are_those_of_a_tokenizer_that_is_given():
    encoder = TokenEncoder(8, 5, 4)
    variables = encoder.init(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))
    settings = replace(beit.demo, target=Loaded(encoder, variables), size=SIDE)
    tokens = settings.tokenizer(INFO, VIT, words=99)
    held = tokens.given["memory"]["statistics"]["target"]
    ids = tokens.network.apply({}, held, FLOATS)[0]
    assert tokens.dim == 5
    np.testing.assert_array_equal(ids, encoder.apply(variables, FLOATS).tokens.argmax(-1))
    assert replace(settings, target=None).tokenizer(INFO, VIT, words=99).dim == 99


WRONG = {
    "none": (dict(), "eva needs --target, the weights whose features are predicted, such as clip_vitl14"),
    "unknown": (dict(target="runs/nowhere"), "--target runs/nowhere: "),
    "another grid": (
        dict(target=loaded(), encoder="vit_n4"),
        "--target makes 4 patches of a view of 16 pixels, --encoder 16; choose an encoder of its patch",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_missing_or_does_not_fit_costs_one_line(name, tmp_path):
    settings, line = WRONG[name]
    with pytest.raises(ValueError, match=line):
        plan(replace(EVA, data=from_arrays(IMAGES), steps=1, **settings), Options(out=str(tmp_path / "run")))
