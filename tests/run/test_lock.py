"""One run directory has one writer, and what several processes want is computed by one."""

import json
import os
import socket
import threading
import time

import numpy as np
import pytest

import jssl
from jssl.data import from_arrays, in_memory
from jssl.run import Occupied
from jssl.run.directory.lock import LOCK, writer_of
from jssl.run.directory.record import check_directory
from jssl.run.evaluation import features
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


def test_features_that_two_want_at_once_are_computed_once(tmp_path, monkeypatch):
    records, said, made = in_memory(from_arrays(np.zeros((2, 4, 4, 3), np.uint8))), [], []

    def wanted():
        found = features.computed(None, records, mark="x", tokens="cls", directory=tmp_path, say=said.append)
        np.testing.assert_array_equal(found.features, np.eye(2))

    def embed(loaded, records, kept, **settings):
        made.append(threading.Thread(target=wanted))
        made[-1].start()
        while not said and made[-1].is_alive():
            time.sleep(0.001)
        np.savez(kept, features=np.eye(2))

    monkeypatch.setattr(features, "embed", embed)
    wanted()
    made[0].join()
    assert len(made) == 1 and said[0].startswith("waiting for another process, which makes ")
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_buckets_have_no_locks():
    with writer_of("gs://bucket/run"):
        pass
