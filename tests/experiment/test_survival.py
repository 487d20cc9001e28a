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

from jssl.checkpoint import Checkpoints
from jssl.experiment.plan import Options, plan, state_shapes
from jssl.experiment.record import compared
from tests.experiment import tiny
from tests.experiment.test_run import raw, rows

STEPS = 400
FLAGS = ["--data", "bare", "--steps", str(STEPS), "--log-every", "5", "--checkpoint-every", "20"]


def start(out, *flags) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.experiment.tiny", *FLAGS, "--out", str(out), *flags]
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


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
    planned = plan(tiny.experiment, dict(data="bare", steps=STEPS), Options(out=str(out)), name="tiny")
    checkpoints = Checkpoints(Path(out) / "checkpoints", config=compared(planned.config))
    state = checkpoints.restore(state_shapes(planned))
    checkpoints.close()
    assert int(state.step) == STEPS
    return raw(state)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    finish(out)
    return out


def test_killed_three_times_equals_uninterrupted(whole, tmp_path):
    rng, out = random.Random(0), tmp_path / "run"
    for low, high in ((5, 100), (120, 200), (220, 340)):
        process = start(out)
        wait_for(process, out, 5 * rng.randrange(low // 5, high // 5))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
    assert "resumed at step" in finish(out)
    assert last_state(out) == last_state(whole)
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
    assert "saved; resume with: python -m tests.experiment.tiny" in last and str(out) in last
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

    limit = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)); "  # bytes a file may have
    code = limit + "runpy.run_module('tests.experiment.tiny', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", code, *FLAGS, "--out", str(out), "--log-every", "200"]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    full = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    said = full.stdout + full.stderr
    assert "could not be saved" in said and f"the last good one is {before}" in said, said
    assert f"resumed at step {before}" in finish(out)
    assert np.isfinite(rows(out)[-1]["loss"])
