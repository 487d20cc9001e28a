"""Stages as a chain of runs: a head is cut, its statistics, a teacher and a text tower travel."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from jssl.experiments import SimCLRV2, SimCLRV2Distil, SimCLRV2FineTune
from jssl.experiments.flip import demo

import jssl
from jssl import weights
from jssl.data import from_arrays
from jssl.data.sources.scenes import scenes
from jssl.run import DataInfo
from jssl.run.plan import plan
from jssl.run.settings.options import Options
from jssl.weights import Loaded

SETTINGS = dict(batch=8, steps=1, warmup=0, size=16, encoder="resnet10x0.125_cifar", rate_per=None)


def same(a, b):
    return all(np.array_equal(*pair) for pair in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_simclr_v2_is_tuned_from_its_heads_first_layer_and_then_teaches(tmp_path):
    rng = np.random.default_rng(0)
    images = from_arrays(rng.integers(0, 256, (16, 16, 16, 3), np.uint8), np.arange(16) % 2)
    data, first, second = (images, images.some(np.arange(2))), *(str(tmp_path / x) for x in "ab")
    bare = from_arrays(images.images)  # without labels: its run is not probed
    jssl.run(SimCLRV2(data=bare, hidden=16, dim=8, learning_rate=0.5, **SETTINGS), out=first)
    tuning = SimCLRV2FineTune(data=data, start=first, share=1.0, hidden=16, learning_rate=0.1, **SETTINGS)
    begun = plan(tuning, Options(out=second)).start()
    head, before = begun.tree["params"]["cls"], weights.load(first).heads["cls"][1]
    assert set(head) == {"layers_0", "layers_1"} and "head cls taken" in begun.sentence
    assert same(head["layers_0"], before["params"]["layers_0"])
    moved = begun.tree["memory"]["statistics"]["cls"]["batch_stats"]
    assert set(moved) == {"layers_1"} and np.any(np.asarray(moved["layers_1"]["mean"]) != 0)
    assert same(moved["layers_1"], before["batch_stats"]["layers_1"])

    jssl.run(tuning, out=second)
    tuned, student = weights.load(second), SimCLRV2Distil(data=data, learning_rate=0.1, **SETTINGS)
    info = DataInfo("images", 16, (16, 16, 3), 16, 2, {})
    held = replace(student, teacher=tuned).classifier(info).given["memory"]["statistics"]["taught"]["frozen"]
    assert same(held["params"]["encoder"], tuned.variables["params"])
    assert same(held["encoder"]["batch_stats"], tuned.variables["batch_stats"])
    assert same(held["params"]["cls"], tuned.heads["cls"][1]["params"])
    taught = plan(replace(student, teacher=second), Options(out=str(tmp_path / "c")))
    assert taught.experiment.steps == 1
    # on the host, since no program takes arrays of one device beside those of eight
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(taught.start().tree))
    with pytest.raises(ValueError, match="--teacher tells 0 classes"):
        plan(replace(student, teacher=first), Options(out=str(tmp_path / "c")))
    with pytest.raises(ValueError, match="frozen network without its weights"):
        plan(student, Options(out=str(tmp_path / "c")))


def test_flip_is_tuned_on_whole_images_from_all_that_it_has_learned(tmp_path):
    data = (scenes(count=16, side=16),) * 2
    settings = replace(demo, data=data, scan=True, batch=8, steps=1, warmup=0, size=16, dim=8)
    planned = plan(settings, Options(out=str(tmp_path / "a")))
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), planned.state.params)
    towers = {name: (None, {"params": part}) for name, part in params.items() if name != "encoder"}
    loaded = Loaded(planned.experiment.encoder, {"params": params["encoder"]}, towers)
    tuning = replace(settings, start=loaded, ratio=0.0)
    begun = plan(tuning, Options(out=str(tmp_path / "b"))).start()
    for head in ("image", "caption", "logit_scale"):
        assert f"head {head} taken" in begun.sentence
    assert "new here" not in begun.sentence and same(begun.tree["params"], params)
