"""Processes that are killed, and what the next one makes of what they leave."""

import json
import os
import random
import shutil
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
RESIDENT = [sys.executable, "-m", "tests.run.tiny", *FLAGS, "--data", "bare"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.getcwd(), "XLA_FLAGS": QUICK}  # one device


def start(out) -> subprocess.Popen:
    """A run as a process of its own."""
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen([*RESIDENT, "--out", str(out)], env=ENVIRONMENT, **pipes)


def finish(out) -> str:
    process = start(out)
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


def last_state(out):
    """The state of the last checkpoint, as bytes."""
    planned = plan(tiny.Tiny(data="bare", steps=STEPS), Options(out=str(out)))
    checkpoints = Checkpoints(Path(out) / "checkpoints", config=compared(planned.config))
    state = checkpoints.restore(planned.state)
    checkpoints.close()
    assert int(state.step) == STEPS
    return raw(state)


def stopped_by(number, out, step) -> tuple[int, str]:
    """Sends a signal to a run after a step; gives the step that was saved, and what the run said."""
    process = start(out)
    wait_for(process, out, step)
    process.send_signal(number)
    said, complaint = process.communicate(timeout=120)
    assert process.returncode == 0 and "Traceback" not in complaint, complaint
    last = said.strip().splitlines()[-1]
    assert "saved; resume with: python -m tests.run.tiny" in last and str(out) in last
    return int(last.split("at step ")[1].split(",")[0]), said


@pytest.fixture(scope="module")
def terminated(tmp_path_factory):
    """The directory of a run that SIGTERM has stopped, and the step that was saved."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, stopped_by(signal.SIGTERM, out, 30)[0]


def test_killed_at_random_moments_equals_undisturbed(tmp_path):
    """Its images stay on disk and are read ahead."""
    settings = ["--data", streamed.write(tmp_path / "images"), "--method", "center"]
    command = [sys.executable, "-m", "tests.run.streamed", *FLAGS, *settings]
    outcome = survive(command, tmp_path, kills=2, rng=random.Random(0), environment=ENVIRONMENT)
    assert outcome.kills == 2 and outcome.differences == []


def test_a_signal_saves_says_how_to_resume_and_exits_with_0(terminated, tmp_path):
    (first, step), out, whole = terminated, tmp_path / "run", tmp_path / "whole"
    shutil.copytree(first, out)
    again, said = stopped_by(signal.SIGINT, out, step + 50)
    assert f"resumed at step {step} " in said and f"resumed at step {again} " in finish(out)
    finish(whole)
    assert last_state(out) == last_state(whole)
    assert rows(out) == rows(whole)


def test_a_full_disk_while_saving_is_said_and_the_earlier_checkpoint_still_loads(terminated, tmp_path):
    (first, before), out = terminated, tmp_path / "run"
    shutil.copytree(first, out)

    # How many bytes a file may have.
    limit = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)); "
    code = limit + "runpy.run_module('tests.run.tiny', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", code, *FLAGS, "--data", "bare", "--out", str(out), "--log-every", "200"]
    full = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    said = full.stdout + full.stderr
    assert "could not be saved" in said and f"the last good one is {before}" in said, said
    assert f"resumed at step {before}" in finish(out)
    assert np.isfinite(rows(out)[-1]["loss"])
