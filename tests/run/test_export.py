"""What is exported is what was evaluated."""

import json
import os
from functools import partial
from importlib import metadata
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

from jssl import init_state, methods, open_run, run, weights
from jssl.data import evaluation_view
from jssl.models import Predictor, ViT, batch_norm, dino_head
from jssl.models.encoders.vit import ConvStem
from jssl.run.evaluation import comparison, protocols
from jssl.run.weights.export import ROOT, code_version, evaluated, export, family_of
from jssl.weights import Loaded
from jssl.weights.archive import read_archive
from jssl.weights.own import heads_of_state
from tests.run import tiny


def test_the_features_of_the_file_are_those_of_the_run(tmp_path):
    result = run(
        tiny.Tiny, method="center", data="bare", steps=3, out=str(tmp_path / "run"), checkpoint_every=2
    )
    file = tmp_path / "encoder.safetensors"
    assert export(tmp_path / "run", file) == "jssl"
    names, header = read_archive(file)
    assert header["method"] == "tiny" and header["data"] == "bare" and header["size"] == "8"
    assert header["encoder"] == "linear" and header["mean"] and header["std"]
    assert header.get("commit") == code_version().get("commit") and header["jax_version"] == jax.__version__
    assert {"params/Dense_0/kernel", "batch_stats/BatchNorm_0/mean"} <= set(names) and not any(
        "head" in name for name in names
    )
    stored = tiny.colored().images[:5]
    images = evaluation_view(8)(stored)
    state = result.state
    saved = open_run(tmp_path / "run")
    features = saved.method.features(state.params, state.teacher, state.memory, images)
    loaded = weights.load(file)
    again = loaded.encoder.apply(loaded.variables, images)
    np.testing.assert_array_equal(features.cls, again)
    assert jax.tree.all(jax.tree.map(np.array_equal, saved.variables, loaded.variables))
    of_run = weights.load(tmp_path / "run")
    assert jax.tree.all(jax.tree.map(np.array_equal, of_run.variables, loaded.variables))
    np.testing.assert_allclose(loaded.preprocess(stored), images, atol=0.05)
    np.testing.assert_array_equal(saved.encoder.apply(saved.variables, saved.preprocessing(stored)), again)
    np.testing.assert_allclose(saved.features(stored), again, rtol=1e-4, atol=1e-5)
    assert saved.settings.method == "center" and saved.config["experiment"] == "tiny"
    statistics = state.memory["statistics"]["student"]["encoder"]
    assert not np.allclose(
        again, tiny.Linear().apply({"params": state.params["encoder"], **statistics}, images)
    )


def test_the_commit_is_that_of_the_checkout_or_of_what_was_installed(tmp_path, monkeypatch):
    commit, asked = "0123456789abcdef", []

    def git(command, **settings):
        asked.append(command)
        return SimpleNamespace(stdout=f"{commit}\n")

    monkeypatch.setattr("jssl.run.weights.export.subprocess.run", git)
    assert (ROOT / "jssl" / "__init__.py").exists()
    monkeypatch.setattr("jssl.run.weights.export.ROOT", tmp_path)
    assert "commit" not in code_version() and not asked
    (tmp_path / ".git").mkdir()
    assert code_version()["commit"] == commit and asked[0][:3] == ["git", "-C", str(tmp_path)]
    (tmp_path / ".git").rmdir()
    origin = json.dumps(
        {"url": "https://example.org/jssl", "vcs_info": {"vcs": "git", "commit_id": "fedcba"}}
    )
    installed = SimpleNamespace(version="9.9", read_text=lambda name: origin)
    monkeypatch.setattr(metadata, "distribution", lambda name: installed)
    assert code_version() == {"jssl": "9.9", "commit": "fedcba"}


def test_where_there_is_nothing_to_export(tmp_path):
    for opened in (lambda: export(tmp_path, tmp_path / "x"), lambda: open_run(tmp_path)):
        with pytest.raises(ValueError, match="holds no run"):
            opened()
        (tmp_path / "config.json").write_text("[1, 2")
        with pytest.raises(ValueError, match="config.json there is not what a run writes"):
            opened()
        (tmp_path / "config.json").unlink()


@pytest.mark.parametrize(
    "names, family", [("timm", "timm_vit"), ("meta", "dinov2"), ("hub", "hf_dinov2_registers")]
)
@pytest.mark.parametrize("kind", ["file.safetensors", "folder"])
def test_under_published_names_and_back(names, family, kind, tmp_path):
    encoder = ViT(patch=4, dim=128, depth=1, heads=2, registers=1, layer_scale=0.5)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    variables = jax.jit(encoder.init)(jax.random.key(0), images)
    saved = Loaded(encoder, variables, preprocess=weights.Preprocess(18, 16, mean=(0.5,) * 3, std=(0.5,) * 3))
    assert family_of(names, saved) == family
    weights.save(saved, tmp_path / kind, family=family)
    loaded = weights.load(tmp_path / kind)
    assert loaded.preprocess == saved.preprocess
    np.testing.assert_allclose(loaded.features(images).cls, saved.features(images).cls, atol=1e-5)


def test_names_that_are_not_known():
    with pytest.raises(ValueError, match="--as must be one of timm, meta, hub, jssl, got 'torch'"):
        family_of("torch", Loaded(VIT, {"params": {}}))


VIT = ViT(patch=4, dim=8, depth=1, heads=2, stem=ConvStem)


@pytest.mark.parametrize(
    "make, roots",
    [
        (lambda: methods.simclr(VIT), ["params.encoder", "memory.statistics.encoder"]),
        (lambda: methods.dino(VIT, prototypes=4), ["teacher.encoder", "memory.statistics.teacher.encoder"]),
        (
            lambda: methods.moco_v2(VIT, queue=16, groups=2),
            ["params.encoder", "memory.statistics.student.encoder"],
        ),
        (
            lambda: methods.i_jepa(
                VIT.clone(class_token=False), predictor=Predictor(dim=8, depth=1, heads=2)
            ),
            ["teacher.encoder", "memory.statistics.teacher"],
        ),
    ],
)
def test_the_evaluated_network_is_found(make, roots):
    method = make()
    params, statistics = roots
    found = evaluated(method, first_state(method))
    assert found == {"params": params, "batch_stats": f"{statistics}.batch_stats"}


@pytest.mark.parametrize(
    "make", [methods.simclr, partial(methods.dino, prototypes=4, head=partial(dino_head, norm=batch_norm))]
)
def test_the_statistics_of_heads_are_found_beside_an_encoder_without_any(make):
    method = make(ViT(patch=4, dim=8, depth=1, heads=2))
    state = first_state(method)
    places = evaluated(method, state)
    params, statistics = heads_of_state(state, places)
    names = params.keys() - {"encoder"}
    assert set(places) == {"params"} and names
    assert all("batch_stats" in statistics[name] for name in names)


def first_state(method):
    batch = {
        "image": jax.ShapeDtypeStruct((2, 16, 16, 3), np.float32),
        "index": jax.ShapeDtypeStruct((2,), np.int32),
    }
    views = lambda key, batch: batch | {"global": jax.numpy.stack([batch["image"]] * 2)}  # noqa: E731
    return jax.eval_shape(
        lambda b: init_state(method, optax.sgd(0.1), views, b, key=jax.random.key(0)), batch
    )


def hostile(header: bytes, size: int | None = None) -> bytes:
    return (len(header) if size is None else size).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        b"no safetensors",
        hostile(b"{}", 2**63),
        hostile(b"{}", 100),
        hostile(b"{"),
        hostile(b"[" * 10_000),
        hostile(b'{"a": 3}'),
        hostile(b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}'),
        hostile(b'{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}'),
        hostile(b'{"a": {"dtype": "F9", "shape": [0], "data_offsets": [0, 0]}}'),
        hostile(
            b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},'
            b' "a/b": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}'
        ),
    ],
    ids=lambda content: repr(content)[:24],
)
def test_a_hostile_safetensors_file_costs_one_line(content, tmp_path):
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"encoder\.safetensors") as refused:
        weights.load(str(path))
    assert "\n" not in str(refused.value)


def test_no_config_of_a_run_or_of_something_else_is_written_over(tmp_path):
    network = Loaded(tiny.Linear(), tiny.Linear().init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32)))
    weights.save(network, tmp_path / "own", family="jssl")
    weights.save(network, tmp_path / "own", family="jssl")  # again, over itself
    (tmp_path / "run").mkdir()
    held = '{"experiment": "tiny", "settings": {}, "numbers": {}}'
    for text, model in ((held, False), (held, True), ("{}", False)):
        (tmp_path / "run" / "config.json").write_text(text)
        if model:
            (tmp_path / "run" / "model.safetensors").write_bytes(b"")
        with pytest.raises(ValueError, match="run has a config.json of a run or of something else; give"):
            weights.save(network, tmp_path / "run", family="jssl")
        assert (tmp_path / "run" / "config.json").read_text() == text
        (tmp_path / "run" / "model.safetensors").unlink(missing_ok=True)


def test_a_folder_of_weights_is_evaluated_and_passed_over_by_comparisons(loaded, tmp_path):
    place, broken = str(tmp_path / "own"), tmp_path / "run"
    weights.save(loaded, place, family="jssl")  # with a config.json, as publishers' folders have
    subject = protocols._subject(place, "digits", None, tmp_path, print, {})
    assert subject.loaded.family == "jssl" and subject.towers is None
    assert str(protocols._place(place)) == "runs/evaluation/own"
    with pytest.raises(ValueError, match="own is a run or an evaluation"):
        comparison.main([place])
    (broken / "checkpoints").mkdir(parents=True)
    (broken / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="config.json there is not what a run writes"):
        protocols._subject(str(broken), "digits", None, tmp_path, print, {})


@pytest.mark.parametrize("place", ["pipe", "no/such/folder/x.safetensors"])
def test_what_is_no_file_is_neither_written_nor_read(place, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for out in (tmp_path / place, "/dev/full"):
        with pytest.raises(ValueError, match="is no place for a file"):
            export(tmp_path / "run", out)
    with pytest.raises((ValueError, OSError)) as refused:
        weights.load(str(tmp_path / place))
    assert "\n" not in str(refused.value)
