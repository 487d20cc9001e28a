"""SimCLR v2's three stages as a chain of runs: a head is cut, and its statistics and a teacher travel."""

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
from jssl.run.plan import Options, plan

SETTINGS = dict(batch=8, steps=1, warmup=0, size=16, encoder="resnet10x0.125_cifar", rate_per=None)


def test_a_chain_of_runs(tmp_path):
    rng = np.random.default_rng(0)
    data = from_arrays(rng.integers(0, 256, (16, 16, 16, 3), np.uint8), np.arange(16) % 2)
    data, first, second = (data, data), str(tmp_path / "first"), str(tmp_path / "second")
    jssl.run(SimCLRV2(data=data, hidden=16, dim=8, learning_rate=0.5, **SETTINGS), out=first)
    tuning = SimCLRV2FineTune(data=data, start=first, share=1.0, hidden=16, learning_rate=0.1, **SETTINGS)
    begun = plan(tuning, Options(out=second)).start()
    head, before = begun.tree["params"]["cls"], weights.load(first).heads["cls"][1]
    assert set(head) == {"layers_0", "layers_1"} and "head cls taken" in begun.sentence
    np.testing.assert_array_equal(head["layers_0"]["kernel"], before["params"]["layers_0"]["kernel"])
    moved = begun.tree["memory"]["statistics"]["cls"]["batch_stats"]
    assert set(moved) == {"layers_1"} and np.any(np.asarray(moved["layers_1"]["mean"]) != 0)
    np.testing.assert_array_equal(moved["layers_1"]["mean"], before["batch_stats"]["layers_1"]["mean"])
    jssl.run(tuning, out=second)
    student = SimCLRV2Distil(data=data, teacher=second, learning_rate=0.1, **SETTINGS)
    result = jssl.run(student, out=str(tmp_path / "third"))
    held = result.state.memory["statistics"]["taught"]["frozen"]
    tuned = weights.load(second)
    for ours, theirs in (
        (held["params"]["encoder"], tuned.variables["params"]),
        (held["params"]["cls"], tuned.heads["cls"][1]["params"]),
    ):
        assert all(
            np.array_equal(*x) for x in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
        )
    with pytest.raises(ValueError, match="--teacher tells 0 classes"):
        plan(replace(student, teacher=first), Options(out=str(tmp_path / "a")))
    with pytest.raises(ValueError, match="frozen network without its weights"):
        plan(replace(student, teacher=None), Options(out=str(tmp_path / "a")))


def test_flip_is_tuned_on_whole_images_from_all_that_it_has_learned(tmp_path):
    data = (scenes(count=16, side=16),) * 2
    settings = replace(demo, data=data, scan=True, batch=8, steps=1, warmup=0, size=16, dim=8)
    first = str(tmp_path / "first")
    jssl.run(settings, out=first)
    tuned = plan(replace(settings, start=first, ratio=0.0), Options(out=str(tmp_path / "second"))).start()
    for head in ("image", "caption", "logit_scale"):
        assert f"head {head} taken" in tuned.sentence
    assert "new here" not in tuned.sentence
