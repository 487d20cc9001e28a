"""One run directory has one writer."""

import json
import os
import socket

import pytest

import jssl
from jssl.run import Occupied
from jssl.run.directory.lock import LOCK, writer_of
from jssl.run.directory.record import check_directory
from tests.run import tiny


def test_the_second_writer_is_refused_naming_the_first(tmp_path):
    run = tmp_path / "run"
    with writer_of(run):
        who = f"process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(Occupied, match=f"{who}; wait for it"), writer_of(run):
            pass
        with pytest.raises(ValueError, match=who):
            jssl.run(tiny.Tiny, out=str(run))
        assert [path.name for path in run.iterdir()] == [LOCK]  # the second has written nothing
    with writer_of(run):
        pass


@pytest.mark.parametrize("left", ["", "{", json.dumps({"process": 1, "host": "elsewhere"})])
def test_what_a_killed_process_leaves_keeps_nobody_out(tmp_path, left):
    (tmp_path / LOCK).write_text(left)
    check_directory(tmp_path, {"experiment": "x"})
    with writer_of(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()
    assert (tmp_path / LOCK).read_text() == ""


def test_buckets_have_no_locks():
    with writer_of("gs://bucket/run"):
        pass
