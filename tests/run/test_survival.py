"""Processes that are killed, and what the next one makes of what they leave."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.survival import survive
from jssl.checkpoint import Checkpoints
from jssl.run.directory.record import compared
from jssl.run.plan import plan
from jssl.run.settings.options import Options
from tests.flags import QUICK
from tests.run import streamed, tiny
from tests.run.outcome import raw, rows

STEPS = 400
FLAGS = ["--steps", str(STEPS), "--log-every", "5", "--checkpoint-every", "20"]
RESIDENT = ("tiny", dict(data="bare"))
ENVIRONMENT = os.environ | {"PYTHONPATH": os.getcwd(), "XLA_FLAGS": QUICK}  # one device


def start(out, mode=RESIDENT) -> subprocess.Popen:
    """A run as a process of its own. mode: its module and settings."""
    module, settings = mode
    flags = [
        *FLAGS,
        "--out",
        str(out),
        *(word for name, value in settings.items() for word in (f"--{name}", value)),
    ]
    command = [sys.executable, "-m", f"tests.run.{module}", *flags]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen(command, env=ENVIRONMENT, **pipes)


def finish(out, mode=RESIDENT) -> str:
    process = start(out, mode)
    said, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    return said


def logged(out) -> int:
    """The last step in the log."""
    path = Path(out) / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    try:
        return json.loads(lines[-1])["step"] if lines else 0
    except json.JSONDecodeError:
        return logged_before(lines)


def logged_before(lines) -> int:
    return json.loads(lines[-2])["step"] if len(lines) > 1 else 0


def wait_for(process, out, step):
    while logged(out) < step:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def last_state(out, settings=RESIDENT[1]):
    """The state of the last checkpoint, as bytes."""
    planned = plan(tiny.Tiny(**settings, steps=STEPS), Options(out=str(out)))
    checkpoints = Checkpoints(Path(out) / "checkpoints", config=compared(planned.config))
    state = checkpoints.restore(planned.state)
    checkpoints.close()
    assert int(state.step) == STEPS
    return raw(state)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    finish(out)
    return out


def kill_at(process, out, step):
    wait_for(process, out, step)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()


def test_killed_at_random_moments_equals_undisturbed(tmp_path):
    command = [sys.executable, "-m", "tests.run.tiny", *FLAGS, "--data", "bare"]
    outcome = survive(command, tmp_path, kills=2, rng=random.Random(0), environment=ENVIRONMENT)
    assert outcome.kills == 2 and outcome.differences == []


def test_killed_while_reading_from_disk_equals_uninterrupted(tmp_path):
    settings = dict(data=streamed.write(tmp_path / "images"), method="center")
    mode, whole, out = ("streamed", settings), tmp_path / "whole", tmp_path / "run"
    assert "read ahead" in finish(whole, mode)
    for step in (35, 230):
        kill_at(start(out, mode), out, step)
    assert "resumed at step" in finish(out, mode)
    assert last_state(out, settings) == last_state(whole, settings)
    assert rows(out) == rows(whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_says_how_to_resume_and_exits_with_0(whole, tmp_path, number):
    out = tmp_path / "run"
    process = start(out)
    wait_for(process, out, 30)
    process.send_signal(number)
    said, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    assert "Traceback" not in complaint
    last = said.strip().splitlines()[-1]
    assert "saved; resume with: python -m tests.run.tiny" in last and str(out) in last
    stopped = int(last.split("at step ")[1].split(",")[0])
    assert f"resumed at step {stopped} " in finish(out)
    assert last_state(out) == last_state(whole)
    assert rows(out) == rows(whole)


def test_a_full_disk_while_saving_is_said_and_the_earlier_checkpoint_still_loads(tmp_path):
    out = tmp_path / "run"
    first = start(out)
    wait_for(first, out, 30)
    first.terminate()
    first.communicate(timeout=120)
    before = max(int(path.name) for path in (out / "checkpoints").iterdir() if path.name.isdigit())

    # How many bytes a file may have.
    limit = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)); "
    code = limit + "runpy.run_module('tests.run.tiny', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", code, *FLAGS, "--data", "bare", "--out", str(out), "--log-every", "200"]
    full = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    said = full.stdout + full.stderr
    assert "could not be saved" in said and f"the last good one is {before}" in said, said
    assert f"resumed at step {before}" in finish(out)
    assert np.isfinite(rows(out)[-1]["loss"])
