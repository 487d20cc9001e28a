"""A frozen network that a run learns from: opened, fitted to the run, kept, and not needed again."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import beit, cluster_transfer, dinov2_distill, eva, simclr_v2_distil, spot_artifacts

import jssl
from jssl import weights
from jssl.data import from_arrays
from jssl.data.views import CLIP
from jssl.models import AutoEncoder, TokenEncoder, ViT, clip_head, dino_head, linear_head
from jssl.models.encoders.readouts import read_class, read_normed_class
from jssl.run import DataInfo, Interrupted, Options
from jssl.run.plan import plan
from jssl.run.weights.named import settings_with_weights, told_beside
from jssl.weights import Loaded, Preprocess

SIDE = 16
VIT = ViT(patch=8, dim=8, depth=1, heads=2, readout=read_normed_class)
PIXELS = Preprocess(SIDE, SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
IMAGES = np.random.default_rng(0).integers(0, 256, (16, SIDE, SIDE, 3), np.uint8)
INFO = DataInfo("noise", 16, (SIDE, SIDE, 3), SIDE, 0, {})
EVA = replace(eva.demo, teacher=None, encoder="vit_n8", size=SIDE, batch=8, warmup=0, count=2, min_block=1)
FLOATS = jax.random.normal(jax.random.key(1), (2, SIDE, SIDE, 3))


def loaded(**heads):
    variables = jax.jit(VIT.init)(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))
    return Loaded(VIT, variables, heads, PIXELS)


def predicted(settings, encoder, images):
    """What the frozen network of an experiment makes of views, [B, N, D]."""
    teacher, dim = settings.frozen_patches(INFO, encoder)
    held = teacher.given["memory"]["statistics"]["target"]
    outputs = teacher.network.apply({}, held, images)[0]
    return dim, outputs["patch"] if isinstance(outputs, dict) else outputs.tokens


@pytest.mark.parametrize("own", [True, False])
def test_clips_features_are_its_normalised_projected_tokens_of_images_as_it_knows_them(own):
    head = clip_head(6)
    projection = head.init(jax.random.key(2), jnp.zeros((1, 8)))
    heads = {"image": (None, projection)} if own else {"image_projection": (head, projection)}
    given, mean, std = loaded(**heads), np.asarray(CLIP.mean), np.asarray(CLIP.std)
    dim, found = predicted(replace(EVA, teacher=given), VIT, FLOATS)
    seen = (FLOATS * std + mean - 0.5) / 0.25
    tokens = VIT.clone(readout=read_class).apply(given.variables, seen).tokens
    expected = tokens @ projection["params"]["layers_0"]["kernel"]
    assert dim == 6
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_a_projection_they_are_the_tokens():
    given = loaded()
    dim, found = predicted(
        replace(EVA, teacher=replace(given, preprocess=Preprocess(16, 16, mean=CLIP.mean, std=CLIP.std))),
        VIT,
        FLOATS,
    )
    assert dim == 8
    np.testing.assert_allclose(
        found, VIT.clone(readout=read_class).apply(given.variables, FLOATS).tokens, atol=1e-5
    )


def test_a_run_keeps_its_teacher_and_resumes_without_the_file(tmp_path, monkeypatch):
    path, out = tmp_path / "teacher.safetensors", tmp_path / "run"
    weights.save(loaded(), path)
    settings = replace(EVA, steps=2, scan=True, data=from_arrays(IMAGES), teacher=str(path))
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("jssl.run.interrupt.Interrupts.requested", lambda self, step: step == 1)
        jssl.run(settings, out=str(out), log_every=1)
    path.unlink()
    again = jssl.run(settings, out=str(out), log_every=1)
    held = again.state.memory["statistics"]["target"]["frozen"]["params"]
    jax.tree.map(np.testing.assert_array_equal, held, dict(loaded().variables["params"]))
    assert int(again.state.step) == 2 and set(again.state.params) == {"encoder", "patch"}
    assert jssl.open_run(out).features(IMAGES).shape == (16, 96)


def test_words_are_those_of_a_tokenizer_that_is_given():
    encoder = TokenEncoder(8, 5, 4)
    variables = encoder.init(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))
    settings = replace(beit.demo, teacher=Loaded(encoder, variables), size=SIDE)
    teacher, words = settings.tokenizer(INFO, VIT, words=99)
    held = teacher.given["memory"]["statistics"]["target"]
    ids = teacher.network.apply({}, held, FLOATS)[0]
    assert words == 5
    np.testing.assert_array_equal(ids, encoder.apply(variables, FLOATS).tokens.argmax(-1))
    assert replace(settings, teacher=None).tokenizer(INFO, VIT, words=99)[1] == 99


TAUGHT = {  # settings, and where the method has its frozen network
    "cluster_transfer": (replace(cluster_transfer.demo, encoder="resnet10x0.125_cifar"), "taught"),
    "simclr_v2_distil": (replace(simclr_v2_distil.demo, encoder="resnet10x0.125_cifar"), "taught"),
    "dinov2_distill": (replace(dinov2_distill.demo, encoder="vit_n8", koleo_group=None), "teacher"),
    "eva": (EVA, "target"),
}


@pytest.mark.parametrize("name", TAUGHT)
def test_every_taught_system_sees_images_as_its_teacher_knows_them_and_needs_its_file_once(
    name, tmp_path, monkeypatch
):
    """From config.json alone come the same networks, with the same shapes, as from the file."""
    settings, at = TAUGHT[name]
    info = INFO._replace(classes=3)
    rows = jnp.zeros((1, 8))
    heads = {"dino": dino_head(512, hidden=256, bottleneck=64), "logits": linear_head(3)}
    heads["ibot"] = heads["dino"]
    made = {head: (module, module.init(jax.random.key(3), rows)) for head, module in heads.items()}
    positions = jax.jit(VIT.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), mask=jnp.zeros((1, 16), bool))
    path = tmp_path / "teacher"
    settings = replace(settings, batch=8, size=SIDE, teacher=str(path))
    monkeypatch.setattr("jssl.weights.load", lambda source: Loaded(VIT, positions, made, PIXELS))
    read = settings_with_weights(settings, None)[0]
    config = json.loads(json.dumps(told_beside(read)))
    monkeypatch.setattr("jssl.weights.load", None)
    again = settings_with_weights(settings, config)[0]
    first, second = (one.build(info) for one in (read, again))
    held, shapes = (e.given["memory"]["statistics"][at]["frozen"] for e in (first, second))
    assert jax.tree.structure(held) == jax.tree.structure(shapes)
    assert jax.tree.map(np.shape, held) == jax.tree.map(np.shape, shapes)
    encoder = held["params"].get("encoder", held["params"])
    assert encoder["positions"]["table"].shape[:2] == (2, 2) and "mask_token" not in encoder
    views = {"global": jnp.zeros((2, 8, SIDE, SIDE, 3)), "index": jnp.arange(8)}
    memory = jax.eval_shape(first.method.init, jax.random.key(0), views)[1]["statistics"][at]["frozen"]
    assert jax.tree.map(np.shape, memory) == jax.tree.map(np.shape, held)


def test_a_classifier_that_teaches_sees_the_views_as_it_knows_them():
    """Its features of images that are normalised for the run are those of the same images in its own way."""
    settings, _ = TAUGHT["cluster_transfer"]
    given = loaded()
    teacher = replace(settings, size=SIDE, teacher=given).frozen_teacher(INFO, VIT, at="taught")
    held = teacher.given["memory"]["statistics"]["taught"]
    mean, std = (np.asarray(x) for x in replace(settings, teacher=given).normalization)
    expected = VIT.apply(given.variables, (FLOATS * std + mean - 0.5) / 0.25).cls
    np.testing.assert_allclose(teacher.network.features({}, held, FLOATS).cls, expected, atol=1e-5)
    assert np.abs(expected - VIT.apply(given.variables, FLOATS).cls).max() > 1e-3
    head = linear_head(3)
    logits = {"logits": (head, head.init(jax.random.key(1), expected))}
    teacher = replace(settings, size=SIDE, teacher=given).frozen_teacher(INFO, VIT, at="taught", heads=logits)
    held = teacher.given["memory"]["statistics"]["taught"]
    np.testing.assert_allclose(teacher.network.encode({}, held, FLOATS)[0].cls, expected, atol=1e-5)


def test_images_are_painted_in_the_normalisation_that_the_painter_knows():
    code = AutoEncoder((4, 8), 4)
    settings = replace(spot_artifacts.demo, size=SIDE, teacher=Loaded(code, {}, preprocess=PIXELS))
    with pytest.raises(ValueError, match="--teacher paints images normalised by .* on the same views"):
        settings.autoencoder()
    with pytest.raises(ValueError, match="--teacher must be a run of autoencoder, got a ViT"):
        replace(settings, teacher=loaded()).autoencoder()


WRONG = {
    "none": (
        dict(),
        "eva needs --teacher, the weights whose features are predicted, such as openai",
    ),
    "unknown": (dict(teacher="runs/nowhere"), "--teacher runs/nowhere: "),
    "another grid": (
        dict(teacher=loaded(), encoder="vit_n4"),
        "--teacher makes 4 patches of a view of 16 pixels, --encoder 16; choose an encoder of its patch",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_missing_or_does_not_fit_costs_one_line(name, tmp_path):
    settings, line = WRONG[name]
    with pytest.raises(ValueError, match=line):
        plan(replace(EVA, data=from_arrays(IMAGES), steps=1, **settings), Options(out=str(tmp_path / "run")))
