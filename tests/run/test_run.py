"""A run: what it leaves behind, and that interrupting it changes nothing."""

import json
import os
import shutil
import signal
import warnings
from functools import cache, partial

import jax
import numpy as np
import pytest

from jssl import run
from jssl.checkpoint import Checkpoints
from jssl.data import DamagedImage
from jssl.data.reading.records import read
from jssl.run import Interrupted
from jssl.run.directory.record import Record, check_directory
from jssl.run.settings.options import Options
from jssl.run.watch import Log
from tests.run import streamed, tiny
from tests.run.outcome import raw, rows

SETTINGS = dict(log_every=3, eval_every=4, checkpoint_every=4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that nothing interrupted."""
    return run(tiny.Tiny, out=str(tmp_path_factory.mktemp("runs") / "whole"), **SETTINGS)


def test_the_directory_holds_everything(finished):
    names = {path.name for path in finished.directory.iterdir()}
    assert {"config.json", "metrics.jsonl", "checkpoints", "figures", "report.html"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert {path.name for path in (finished.directory / "figures").iterdir()} >= {
        *("loss.png", "health.png", "probe.png", "neighbours.png", "probe.svg")
    }
    config = json.loads((finished.directory / "config.json").read_text())
    assert config["experiment"] == "tiny" and config["settings"]["temperature"] == 0.2
    assert finished.directory.joinpath("report.html").read_text().count("data:image/png;base64") >= 4


def test_metrics_have_one_line_per_step_with_all_that_was_measured(finished):
    found = rows(finished.directory)
    steps = [row["step"] for row in found]
    assert steps == [0, 3, 4, 6, 8, 9, 12]
    logged = {row["step"]: row for row in found}
    assert {"loss", "learning_rate", "gradient_norm"} <= set(logged[3]) and "knn_top1" in logged[4]
    assert {"loss", "knn_top1", "linear_top1"} <= set(logged[12])
    assert {"raw_pixels_knn_top1", "random_network_linear_top1"} <= set(logged[0])
    speeds = [row for row in rows(finished.directory, without=()) if "images_per_second" in row]
    assert speeds and all(0 <= row["data_wait"] <= 1 and row["images_per_second"] > 0 for row in speeds)


def test_the_table_has_the_baselines(finished):
    assert list(finished.table) == ["raw pixels", "raw pixels, centred", "random network", "learned"]
    assert finished.table["learned"]["knn_top1"] == rows(finished.directory)[-1]["knn_top1"]


def test_running_again_resumes_at_the_end(finished):
    before = (finished.directory / "metrics.jsonl").read_text()
    again = run(tiny.Tiny, out=str(finished.directory), **SETTINGS)
    assert raw(again.state) == raw(finished.state)
    assert (finished.directory / "metrics.jsonl").read_text() == before


def test_interrupted_equals_uninterrupted(finished, tmp_path, monkeypatch):
    for stop in (2, 7):
        monkeypatch.setattr(
            "jssl.run.interrupt.Interrupts.requested", lambda self, step, stop=stop: step == stop
        )
        with pytest.raises(Interrupted) as interrupted:
            run(tiny.Tiny, out=str(tmp_path / "run"), **SETTINGS)
        assert interrupted.value.step == stop
    monkeypatch.undo()
    resumed = run(tiny.Tiny, out=str(tmp_path / "run"), **SETTINGS)
    assert raw(resumed.state) == raw(finished.state)
    assert rows(tmp_path / "run") == rows(finished.directory)


class Killed(Exception):
    """The end of a process, as far as a test can have it without ending its own."""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """method -> its run, over data in memory."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    start = partial(run, tiny.Tiny, data="bare", mesh="data=1", **SETTINGS)
    return cache(lambda method: start(method=method, out=str(folder / method)))


@pytest.mark.parametrize("method, mode", [("center", "resident"), ("pixels", "streamed")])
def test_killed_equals_uninterrupted(uninterrupted, method, mode, tmp_path, monkeypatch):
    """Whatever a method remembers: what was done since the last checkpoint is done again. And wherever its
    data is: the same images in the same order, so that a run that reads them from disk equals one that has
    them in memory.
    """
    data = "bare"
    if mode == "streamed":
        data = streamed.write(tmp_path / "images")
        monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", streamed.nothing_fits)
    start = partial(
        run, tiny.Tiny, data=data, method=method, mesh="data=1", out=str(tmp_path / "run"), **SETTINGS
    )

    def killed(self, step):
        if step == 6:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("jssl.run.interrupt.Interrupts.requested", killed)
        start()
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["4"]
    resumed, whole = start(), uninterrupted(method)
    assert raw(resumed.state) == raw(whole.state)
    assert rows(tmp_path / "run") == rows(whole.directory)


def test_a_signal_saves_between_steps(tmp_path, monkeypatch):
    def kill(self, step, state, metrics):
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Log, "__call__", kill)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as interrupted:
        run(tiny.Tiny, data="bare", out=str(tmp_path / "run"), **SETTINGS)
    assert interrupted.value.step == 3 and (tmp_path / "run" / "checkpoints" / "3").is_dir()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_damaged_checkpoint_costs_a_warning_not_the_run(finished, tmp_path):
    partial = dict(SETTINGS, out=str(tmp_path / "run"))
    whole = run(tiny.Tiny, **partial)
    assert raw(whole.state) == raw(finished.state)  # the same seed gives the same numbers
    newest = tmp_path / "run" / "checkpoints" / "12" / "arrays" / "manifest.ocdbt"
    newest.write_bytes(newest.read_bytes()[:20])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resumed = run(tiny.Tiny, **partial)
    assert raw(resumed.state) == raw(finished.state)
    assert (tmp_path / "run" / "checkpoints" / "damaged_12").is_dir()


def test_bfloat16_and_accumulation_run(tmp_path):
    how = dict(data="bare", steps=3, dtype="bfloat16", accumulate=2)
    result = run(tiny.Tiny, out=str(tmp_path / "run"), **how)
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(result.state.params))


def test_seeds_of_64_bits_are_seeds_and_give_other_numbers(uninterrupted, tmp_path):
    assert [Options(seed=seed).seed31 for seed in (0, 5, 2**31 - 1)] == [0, 5, 2**31 - 1]
    large = [Options(seed=seed).seed31 for seed in (2**31, 2**32, 20261126235959, 2**64 - 1)]
    assert len(set(large)) == 4 and all(0 <= seed < 2**31 for seed in large)
    how = dict(data="bare", mesh="data=1", method="center", seed=20261126235959)
    other = run(tiny.Tiny, out=str(tmp_path / "run"), **how, **SETTINGS)
    assert raw(other.state.params) != raw(uninterrupted("center").state.params)


def test_without_labels_it_trains_and_says_nothing_of_probes(tmp_path):
    source = tiny.from_arrays(tiny.colored().images, name="bare")
    result = run(tiny.Tiny, data=source, out=str(tmp_path / "run"), steps=3)
    assert result.table == {} and (tmp_path / "run" / "report.html").exists()


def test_a_record_forgets_what_will_be_measured_again_and_a_line_cut_short(tmp_path):
    record = Record(tmp_path / "run", {"experiment": "x"})
    for step in range(4):
        record.write(step, {"loss": float(step)})
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert [row["step"] for row in record.rows] == [0, 1, 2, 3]
    record.forget_after(1)
    assert [row["step"] for row in record.rows] == [0, 1]
    record.close()


def test_check_directory_accepts_new_empty_and_its_own(tmp_path):
    config = {"experiment": "x", "settings": {"a": 1, "data_dir": "here"}, "numbers": {"seed": 0}}
    check_directory(tmp_path / "new", config)
    check_directory(tmp_path, config)
    Record(tmp_path / "own", config).close()
    check_directory(tmp_path / "own", config | {"settings": {"a": 1, "data_dir": "moved"}})
    with pytest.raises(ValueError, match="a is 1 there, 2 here"):
        check_directory(tmp_path / "own", config | {"settings": {"a": 2}})


def test_the_lines_up_to_a_checkpoint_are_written_before_it(tmp_path, monkeypatch):
    found = []

    def saved(self, step, state, metrics=None):
        found.append((step, rows(tmp_path / "run")[-1]["step"]))

    monkeypatch.setattr(Checkpoints, "save", saved)
    run(tiny.Tiny, data="bare", out=str(tmp_path / "run"), log_every=2, checkpoint_every=4)
    assert found == [(4, 4), (8, 8), (12, 12)]


def test_a_run_may_become_longer_and_says_what_its_schedules_do(tmp_path, capsys):
    start = partial(run, tiny.Tiny, data="bare", out=str(tmp_path / "run"))
    start(steps=6)
    with pytest.raises(ValueError, match="a run of 6 steps, which may become longer, not 5"):
        start(steps=5)
    tiny.main(tiny.demo, ["--data", "bare", "--steps", "10", "--out", str(tmp_path / "run")])
    said = capsys.readouterr().out
    assert "extended from 6 to 10 steps" in said
    assert "from step 6 on, where the learning rate goes from 0 to 0.00" in said
    assert int(start(steps=10).state.step) == 10
    steps = [row["step"] for row in rows(tmp_path / "run")]
    assert (
        steps == sorted(set(steps))
        and json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 10
    )


def test_a_directory_removed_while_running_ends_the_run_in_one_line(tmp_path, monkeypatch, capsys):
    gone = lambda self, step: step == 3 and shutil.rmtree(tmp_path / "run")  # noqa: E731
    monkeypatch.setattr("jssl.run.interrupt.Interrupts.requested", gone)
    often = ["--steps", "8", "--log-every", "2", "--checkpoint-every", "8"]
    with pytest.raises(SystemExit) as end:
        tiny.main(tiny.demo, ["--data", "bare", *often, "--out", str(tmp_path / "run")])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert end.value.code == 1 and "was removed or replaced while the run wrote to it" in said
    assert not (tmp_path / "run").exists()


def test_images_that_cannot_be_read_end_the_run_in_one_line_and_it_resumes(tmp_path, monkeypatch, capsys):
    often = ["--steps", "9", "--checkpoint-every", "1", "--out", str(tmp_path / "run")]
    arguments, left = ["--data", streamed.write(tmp_path / "images"), *often], iter(range(30))

    def broken(*asked, **how):
        if next(left, None) is None:
            raise DamagedImage("the disk is away")
        return read(*asked, **how)

    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", streamed.nothing_fits)
    monkeypatch.setattr("jssl.data.reading.loader.read", broken)
    with pytest.raises(SystemExit) as end:
        tiny.main(tiny.demo, arguments)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert end.value.code == 1 and "100 images in a row cannot be read, from" in line
    monkeypatch.setattr("jssl.data.reading.loader.read", read)
    tiny.main(tiny.demo, arguments)
    assert [row["step"] for row in rows(tmp_path / "run") if "loss" in row][-1] == 9


def test_damaged_checkpoints_alone_cost_one_line_and_a_mended_one_resumes(tmp_path, capsys):
    arguments = ["--data", "bare", "--steps", "4", "--out", str(tmp_path / "run")]
    tiny.main(tiny.demo, arguments)
    kept = {
        path: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").glob("*/arrays/manifest.ocdbt")
    }
    for path in kept:
        path.write_bytes(b"")
    with pytest.raises(SystemExit) as end:
        tiny.main(tiny.demo, arguments)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert end.value.code == 2 and said.startswith("error: all checkpoints in")
    for path, content in kept.items():
        path.write_bytes(content)
    tiny.main(tiny.demo, arguments)
    assert "resumed at step 4 of 4" in capsys.readouterr().out
