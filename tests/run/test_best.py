"""A run that stops when its probes are worse goes back to the best one."""

import json

import jax.numpy as jnp
import pytest

from jssl import run
from jssl.checkpoint import Checkpoints
from jssl.run.directory.best import Best, Worse, earlier, forgotten
from jssl.run.evaluation.probing import Probes
from tests.run import tiny

PROBES = {0: 0.5, 2: 0.6, 4: 0.7, 6: 0.6, 8: 0.65, 10: 0.9, 12: 0.9}


def test_it_keeps_the_best_and_stays_there(tmp_path, monkeypatch):
    monkeypatch.setattr(Probes, "on_a_part", lambda self, state: {"knn_top1": PROBES[int(state.step)]})
    settings = dict(out=str(tmp_path), eval_every=2, checkpoint_every=5, log_every=2)
    for _ in range(2):  # and again, when nothing is left to do
        result = run(tiny.Tiny, **settings, stop_when_worse=2)
        assert int(result.state.step) == 4 and "learned" in result.table
        page = (tmp_path / "report.html").read_text()
        assert "<h2>Next</h2>" in page and "<dt>took</dt>" in page
        assert Checkpoints(tmp_path / "checkpoints").steps[-1] == 4
    assert json.loads((tmp_path / "stopped.json").read_text()) == {"kept": 4, "stopped": 8}
    rows = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert max(rows) == 8
    assert int(run(tiny.Tiny, **settings).state.step) == 12  # without the option it goes on


def test_the_last_probe_is_compared_on_the_images_of_those_before(tmp_path, monkeypatch):
    monkeypatch.setattr(Probes, "on_a_part", lambda self, state: {"knn_top1": 0.9 - int(state.step) / 100})
    monkeypatch.setattr(Probes, "scores", lambda self, state: {"knn_top1": 1.0})  # more images, more votes
    result = run(tiny.Tiny, out=str(tmp_path), eval_every=6, stop_when_worse=2)
    assert int(result.state.step) == 0


def test_only_figures_on_the_same_images_say_that_a_run_forgets():
    whole = {"step": 0, "before_training_knn_top1": 0.8}  # on all images, where the probe has a part
    assert forgotten([whole], {"knn_top1": 0.7}) == []
    assert forgotten([whole | {"started_knn_top1": 0.7}], {"knn_top1": 0.7}) == []
    assert len(forgotten([whole | {"started_knn_top1": 0.7}], {"knn_top1": 0.68})) == 1


def test_the_weights_a_run_started_from_may_be_the_best(monkeypatch):
    best = Best(1, {0: {"knn_top1": 0.8}})
    with pytest.raises(Worse, match="best at step 0, 80.0%") as stop:
        best.add(3, {"knn_top1": 0.7})
    assert (stop.value.best, stop.value.step) == (0, 3)
    told = iter([0, 2, 4, 0.9])  # what process 0 has, where it has not stopped at 3
    monkeypatch.setattr("jssl.run.directory.best.of_first_process", lambda number: next(told))
    other = Best(1, {0: {"knn_top1": 0.8}})
    other.add(3, {"knn_top1": 0.7})
    with pytest.raises(Worse, match="best at step 4, 90.0%"):
        other.add(5, {"knn_top1": 0.7})
    patient = Best(None)
    for step in range(9):
        patient.add(step, {"knn_top1": 1 - step / 10})
    assert patient.step == 0


def test_the_start_is_ranked_though_its_checkpoint_is_still_being_written(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, {"w": jnp.ones((256, 256))}, {"knn_top1": 0.9})
    assert earlier(checkpoints) == {0: {"knn_top1": 0.9}}
    checkpoints.close()
