"""A run starts from weights: its encoder, its positions, its heads, on any number of devices."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from jssl.experiments import IBOT, MAE, Dino, FineTune, SimSiam

import jssl
from jssl import weights
from jssl.data import from_arrays
from jssl.models import ViT
from jssl.run.plan import plan
from jssl.run.settings.options import Options
from jssl.weights import Loaded, Preprocess

VIT = ViT(patch=8, dim=32, depth=2, heads=4, registers=2, layer_scale=0.1)
PIXELS = Preprocess(32, 32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
SMALL = dict(prototypes=8, hidden=16, bottleneck=8, locals=0, views="crops")
SETTINGS = dict(batch=8, steps=1, warmup=0, size=32, learning_rate=0.0)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A file of a tiny DINOv2 with registers, of images of 32 pixels."""
    variables = jax.jit(VIT.init)(
        jax.random.key(1), np.zeros((1, 32, 32, 3), np.float32), mask=np.zeros((1, 16), bool)
    )
    path = tmp_path_factory.mktemp("weights") / "dinov2"
    weights.save(Loaded(VIT, variables, preprocess=PIXELS), path, family="dinov2")
    return path


@pytest.mark.parametrize(
    "kind, own, mesh, scan",
    [
        (MAE, dict(decoder_dim=16, decoder_depth=1, decoder_heads=2), "data=1", False),
        (Dino, SMALL, "data=8", True),
    ],
)
def test_a_run_that_does_not_move_gives_the_source_s_features(
    kind, own, mesh, scan, source, images, tmp_path, monkeypatch, capsys
):
    w = weights.load(source)
    settings = kind(**own, **SETTINGS, data=from_arrays(images), start=str(source), scan=scan)
    result = jssl.run(settings, mesh=mesh, out=str(tmp_path))
    assert int(result.state.step) == 1
    first, *said, last = capsys.readouterr().out.splitlines()
    assert " on arrays: 1 steps of 8 images" in first and first.endswith(f"in {tmp_path}")
    assert any("starts from" in line for line in said) and last.startswith(f"next: jssl open {tmp_path}")
    inputs = w.preprocess(images)
    expected = w.features(inputs)
    again = weights.load(tmp_path)  # the run's own checkpoint
    np.testing.assert_allclose(again.features(again.preprocess(images)).cls, expected.cls, atol=2e-5)
    np.testing.assert_allclose(again.features(inputs).tokens, expected.tokens, atol=2e-5)
    saved = jssl.open_run(tmp_path)
    np.testing.assert_allclose(saved.features(images), expected.cls, atol=2e-5)
    monkeypatch.setattr("jssl.weights.load", None)  # the file is not read again
    assert int(jssl.run(settings, mesh=mesh, out=str(tmp_path)).state.step) == 1


def test_what_was_taken_is_said(source, images, tmp_path):
    settings = IBOT(data=from_arrays(images), start=str(source), **SMALL, **SETTINGS | {"size": 16})
    planned = plan(settings, Options(out=str(tmp_path)))
    sentence = planned.start().sentence
    for words in (
        "starts from",
        "in place of --encoder",
        "arrays of its encoder (dinov2",
        "positions resized from 4 x 4 to 2 x 2",
        "new here: cls",
    ):
        assert words in sentence
    assert "mask_token" not in sentence
    assert planned.experiment.encoder.registers == 2


def test_a_mask_token_without_a_place_is_left_over(source, images, tmp_path):
    planned = plan(
        Dino(data=from_arrays(images), start=str(source), **SMALL, **SETTINGS), Options(out=str(tmp_path))
    )
    assert "left over: encoder/mask_token" in planned.start().sentence
    assert planned.experiment.encoder.layer_scale is not None
    assert planned.experiment.peak_rate == 0.0


def test_rate_and_layers(source):
    w = weights.load(source)
    plain, started = (Dino(batch=256, learning_rate=1.0, start=start) for start in (None, w))
    assert plain.peak_rate == 1.0 and started.peak_rate == pytest.approx(0.1)
    assert replace(started, continued_rate=1.0).peak_rate == 1.0


def test_what_does_not_fit_costs_one_line(source, images, tmp_path):
    settings = Dino(data=from_arrays(images), start=str(source), **SMALL, **SETTINGS)
    w = weights.load(source)
    wrong = jax.tree.map(lambda x: x, w.variables)
    wrong["params"]["norm"]["bias"] = np.zeros(31, np.float32)
    with pytest.raises(ValueError, match=r"encoder/norm/bias has shape \(31,\) there, \(32,\) here"):
        plan(replace(settings, start=replace(w, variables=wrong)), Options(out=str(tmp_path / "a")))
    with pytest.raises(ValueError, match="20 x 20"):
        plan(replace(settings, size=20), Options(out=str(tmp_path / "a")))
    with pytest.raises(ValueError, match="no file, no folder and no published name"):
        plan(replace(settings, start="dinov4"), Options(out=str(tmp_path / "a")))
    assert not (tmp_path / "a").exists()


def test_a_run_starts_a_run_and_batch_statistics_travel(images, tmp_path):
    settings = SimSiam(
        encoder="resnet10x0.125_cifar",
        views="crops",
        **SETTINGS | {"learning_rate": 0.1},
        data=from_arrays(images),
    )
    jssl.run(settings, out=str(tmp_path / "first"))
    second = replace(settings, start=str(tmp_path / "first"))
    planned = plan(second, Options(out=str(tmp_path / "second")))
    tree = planned.start().tree
    assert "batch_stats" in tree["memory"]["statistics"]["encoder"]
    assert {"cls", "prediction"} <= set(tree["params"])  # the heads fit
    first = weights.load(tmp_path / "first")
    leaves = zip(
        jax.tree.leaves(tree["params"]["encoder"]), jax.tree.leaves(first.variables["params"]), strict=True
    )
    assert all(np.array_equal(a, b) for a, b in leaves)


@pytest.mark.parametrize("still", [True, False])
def test_labels_move_the_head_and_the_encoder_unless_it_is_frozen(still, source, images, tmp_path):
    data = from_arrays(images, np.arange(16) % 2)
    settings = FineTune(data=(data, data), start=str(source), frozen=still, per_class=6, rate_per=None)
    plain = dict(learning_rate=0.1, steps=2, magnitude=0, erasing=0.0)  # views that are soon compiled
    settings = replace(settings, **SETTINGS | plain)
    result = jssl.run(settings, out=str(tmp_path))
    before, after = weights.load(source).variables["params"], weights.load(tmp_path).variables["params"]
    for name in ("block_0", "block_1"):
        kernels = (params["blocks"][name]["mlp"]["fc1"]["kernel"] for params in (before, after))
        assert np.array_equal(*kernels) == still
    assert "head_top1" in result.table["learned"] and result.state.params["logits"]
    assert "trains on 12 of 16" in " ".join(plan(settings, Options(out=str(tmp_path / "x"))).data.notes)


def test_frozen_without_weights_is_refused(images, tmp_path):
    with pytest.raises(ValueError, match="--frozen .* give --start"):
        plan(
            FineTune(data=from_arrays(images, np.arange(16) % 2), frozen=True, **SETTINGS),
            Options(out=str(tmp_path / "x")),
        )
