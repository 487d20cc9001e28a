"""An environment that does not fit costs one line, before anything begins."""

import os
import subprocess
import sys

import pytest

from jssl.sharding import join_processes


@pytest.mark.parametrize("platform", ["cuda", "no_such_thing"])
def test_a_platform_that_is_not_there(platform, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "jssl", "train", "simclr", "--demo", "--plan"],
        env=os.environ | {"JAX_PLATFORMS": platform},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"JAX_PLATFORMS={platform}" in done.stderr


@pytest.mark.parametrize("coordinator", ["nonsense", "host:", ":80", "host:99999", "host:port"])
def test_a_coordinator_that_is_none(coordinator):
    with pytest.raises(ValueError, match="--coordinator must be host:port"):
        join_processes(coordinator, processes=1, process=0)


@pytest.mark.parametrize("processes, process", [(-1, 0), (0, 0), (2, 7), (2, -1)])
def test_processes_that_there_are_not(processes, process):
    with pytest.raises(ValueError, match="--process must be from 0"):
        join_processes("localhost:1", processes=processes, process=process)


@pytest.mark.parametrize("name", ["SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"])
def test_an_allocation_that_started_nothing(name, monkeypatch):
    monkeypatch.setenv(name, "2")
    with pytest.raises(ValueError, match=f"{name} says .* unset {name}"):
        join_processes()
