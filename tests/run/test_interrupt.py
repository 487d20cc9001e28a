"""Signals: none is lost, none is taken for something else, and what is said is so."""

import os
import signal
import warnings

import jax
import pytest

from jssl.checkpoint import Checkpoints
from jssl.run import Interrupted
from jssl.run.command import main
from jssl.run.interrupt import Interrupts, listening
from tests.run import tiny
from tests.test_checkpoint import a_state, filled, same


def interrupt():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_what_is_under_way_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with listening() as interrupts, pytest.raises(Interrupted, match="^interrupted while planning$"):
        signal.raise_signal(number)
    assert signal.getsignal(number) == before and not interrupts._holding


def test_it_passes_through_what_catches_every_exception():
    with pytest.raises(Interrupted), listening():
        try:
            interrupt()
        except Exception:
            pass


def test_while_holding_it_is_noted_and_raised_at_the_end_unless_asked_about():
    done = []
    with listening() as interrupts:
        interrupts.doing = "preparing"
        with pytest.raises(Interrupted, match="while preparing"), interrupts.holding():
            assert not interrupts.requested(1)
            interrupt()
            assert interrupts.requested(2)
            done.append(1)
        assert done
        with pytest.raises(Interrupted), interrupts.holding():  # what somebody swallowed is not lost
            done.append(2)
        assert done == [1]


def test_a_second_one_raises_at_once_and_says_that_steps_are_lost():
    with listening() as interrupts:
        interrupts.doing = "training"
        with pytest.raises(Interrupted, match="twice while training") as stop, interrupts.holding():
            interrupt()
            interrupt()
        assert stop.value.lost
        interrupts.ignore()
        interrupt()


def test_of_several_processes_jax_is_told_and_all_stop_at_the_same_question(monkeypatch):
    heard, asked = [], []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("SIGTERM"))
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    reached = "jax.experimental.multihost_utils.reached_preemption_sync_point"
    monkeypatch.setattr(reached, lambda number: asked.append(number) or number == asked[0] + 2)
    try:
        with listening() as interrupts, interrupts.holding():
            interrupt()
            stops = [interrupts.requested(step) for step in (10, 20, 25)]  # the last one may come sooner
        assert heard == ["SIGTERM"] and stops == [False, False, True]
        assert asked == [asked[0], asked[0] + 1, asked[0] + 2]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "stop, saved, said, lost",
    [
        (Interrupted(step=30), [20, 30], "interrupted at step 30, saved", False),
        (
            Interrupted(step=30),
            [20],
            "interrupted at step 30, not saved; the last checkpoint is step 20",
            True,
        ),
        (Interrupted(step=3), [], "interrupted at step 3, not saved; there is no checkpoint yet", True),
        (
            Interrupted("while preparing"),
            [],
            "interrupted while preparing; there is no checkpoint yet",
            False,
        ),
        (
            Interrupted("twice while training", lost=True),
            [20],
            "interrupted twice while training; the last checkpoint is step 20",
            True,
        ),
    ],
)
def test_what_is_said_is_what_is_on_disk(stop, saved, said, lost):
    assert str(stop.after(saved)) == said and stop.after(saved).lost == lost
    (cell,) = stop.after(saved)._render_traceback_()  # what a notebook shows
    assert cell == f"{said}; run the cell again to {'take the lost steps and ' if lost else ''}go on"


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_while_restoring_never_makes_a_checkpoint_damaged(tmp_path, monkeypatch, times):
    checkpoints = filled(Checkpoints(tmp_path / "checkpoints"), [3, 6])
    restore = checkpoints._checkpointer.restore

    def slow(*args, **kwargs):
        for _ in range(times):
            interrupt()
        return restore(*args, **kwargs)

    states = []
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(checkpoints._checkpointer, "restore", slow)
        with listening() as interrupts, pytest.raises(Interrupted), interrupts.holding():
            slow_once = checkpoints.restore(a_state())
            states.append(slow_once)
    assert checkpoints.steps == [3, 6]
    assert same(checkpoints.restore(a_state()), a_state(6))
    checkpoints.close()


@pytest.mark.parametrize(
    "patched, said",
    [
        ("jssl.run.command.plan", "interrupted while planning; resume with: python"),
        (
            "jssl.run.training.supply",
            "interrupted while preparing; there is no checkpoint yet; resume with: python",
        ),
    ],
)
def test_a_signal_before_training_costs_one_line(patched, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(patched, lambda *args, **kwargs: interrupt())
    with pytest.raises(SystemExit) as end:
        main(tiny.demo, ["--data", "bare", "--out", str(tmp_path / "run")])
    out, err = capsys.readouterr()
    assert end.value.code == 0 and "Traceback" not in err
    assert out.strip().splitlines()[-1].startswith(said)


def test_a_signal_while_the_report_is_written_costs_one_line(tmp_path, monkeypatch, capsys):
    def drawn(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)

    arguments = ["--data", "bare", "--steps", "2", "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr("jssl.run.training.write_summary", drawn)
        main(tiny.demo, arguments)
    said = "interrupted while writing the report; the last checkpoint is step 2; resume with: "
    assert end.value.code == 0 and capsys.readouterr().out.strip().splitlines()[-1].startswith(said)
    main(tiny.demo, arguments)
    assert "resumed at step 2 of 2" in capsys.readouterr().out and (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("fails", [False, True])
def test_a_second_signal_while_saving_says_saved_only_where_it_is(fails, tmp_path, monkeypatch, capsys):
    wait = Checkpoints.wait

    def interrupted_once(self):
        if self._saving == 3 and not fails:
            monkeypatch.setattr(Checkpoints, "wait", wait)
            interrupt()
        wait(self)

    def no_space(self, step, state, metrics=None):
        warnings.warn(f"checkpoint {step} could not be saved", stacklevel=2)

    monkeypatch.setattr(
        Interrupts, "requested", lambda self, step: step == 3 and (setattr(self, "_noted", True) or True)
    )
    monkeypatch.setattr(Checkpoints, "wait", interrupted_once)
    if fails:
        monkeypatch.setattr(Checkpoints, "save", no_space)
    with pytest.raises(SystemExit) as end, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(
            tiny.demo,
            ["--data", "bare", "--steps", "6", "--checkpoint-every", "9", "--out", str(tmp_path / "run")],
        )
    last = capsys.readouterr().out.strip().splitlines()[-1]
    kept = [path.name for path in (tmp_path / "run").glob("checkpoints/*")]
    if fails:
        assert "at step 3, not saved; there is no checkpoint yet" in last and kept == []
    else:
        assert "twice while training; the last checkpoint is step 3" in last and kept == ["3"]
    assert end.value.code == int(fails) and "3, saved" not in last
