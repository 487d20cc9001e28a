"""The run directory: what is no run's is refused in one line; what cannot be written ends a run in one."""

import json
import os
import shutil

import pytest

from benchmarks.survival import shown
from jssl.run.directory.board import Board
from jssl.run.directory.record import Record, check_directory
from jssl.weights.directory import read_config

CONFIG = {"experiment": "x", "settings": {"a": 1}, "numbers": {"seed": 0}}
GOOD = json.dumps({"step": 3, "loss": 1.5, "knn_top1": None})


def test_a_report_makes_no_removed_directory_again(tmp_path):
    record = Record(tmp_path / "run", CONFIG)
    record.figure("loss", b"png", b"svg")
    shutil.rmtree(tmp_path / "run")
    for write in (lambda: record.figure("map", b"png", b"svg"), lambda: record.text("report.html", "<p>")):
        with pytest.raises(FileNotFoundError, match="removed or replaced"):
            write()
    assert not (tmp_path / "run").exists()
    record.close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"\xff\xfe\0",
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"experiment": "x"}',
        b'{"settings": 3, "numbers": {}}',
        b'{"settings": {}, "numbers": []}',
        "a folder",
        "a pipe",
    ],
    ids=lambda content: repr(content)[:30],
)
def test_a_config_that_is_not_ours_costs_one_line(content, tmp_path):
    path = tmp_path / "config.json"
    if content == "a folder":
        path.mkdir()
    elif content == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    for read in (read_config, lambda directory: check_directory(directory, CONFIG)):
        with pytest.raises(ValueError, match="config.json there is not what a run writes") as refused:
            read(tmp_path)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        "no json",
        "[]",
        "3",
        "{}",
        '{"step": "3"}',
        '{"step": 4, "loss": "x"}',
        '{"step": true}',
        "\0\0",
        '{"step": 1.5}',
    ],
)
def test_metrics_that_are_not_ours_cost_one_line_and_stay(wrong, tmp_path):
    Record(tmp_path, CONFIG).close()
    path = tmp_path / "metrics.jsonl"
    path.write_text(f"{GOOD}\n{wrong}\n{GOOD}\n")
    with pytest.raises(ValueError, match=r"metrics.jsonl: line 2 is not what a run writes; move"):
        check_directory(tmp_path, CONFIG)
    assert path.read_text() == f"{GOOD}\n{wrong}\n{GOOD}\n"
    path.write_text(f"{GOOD}\n{wrong}")  # at the end it is what a crash has cut short
    check_directory(tmp_path, CONFIG)


def test_metrics_that_are_no_file_cost_one_line(tmp_path):
    Record(tmp_path, CONFIG).close()
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="move the file elsewhere"):
        check_directory(tmp_path, CONFIG)


@pytest.mark.parametrize("left", [[".config.json.new"], [".writer"], [".writer", ".config.json.new"]])
def test_what_a_run_killed_at_its_beginning_leaves_is_in_nobodys_way(left, tmp_path):
    for name in left:
        (tmp_path / name).write_text('{"exper')
    check_directory(tmp_path, CONFIG)
    Record(tmp_path, CONFIG).close()
    assert read_config(tmp_path) == CONFIG


@pytest.mark.parametrize("harm", ["removed", "replaced"])
def test_a_directory_that_goes_away_ends_the_run_and_is_not_made_again(harm, tmp_path):
    record = Record(tmp_path / "run", CONFIG)
    record.write(1, {"loss": 1.0})
    if harm == "removed":
        shutil.rmtree(tmp_path / "run")
    else:
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        Record(tmp_path / "run", CONFIG).close()
    with pytest.raises(FileNotFoundError, match="--out .*run was removed or replaced"):
        record.write(2, {"loss": 1.0})
    with pytest.raises(FileNotFoundError):
        record.check_there()
    assert (tmp_path / "run").exists() == (harm == "replaced")


def test_tensorboard_shows_every_step_once_after_a_resume(tmp_path):
    for after, steps in ((-1, range(6)), (3, range(4, 8)), (5, range(6, 9))):
        record = Record(tmp_path, CONFIG)
        record.forget_after(after)
        for step in steps:
            record.write(step, {"loss": step + 0.5})
        record.close()
    assert shown(tmp_path) == [(step, "train/loss", step + 0.5) for step in range(9)]
    assert [row["step"] for row in record.rows] == list(range(9))


def test_a_write_for_tensorboard_that_fails_warns_once_and_is_switched_off(tmp_path, monkeypatch):
    board = Board(tmp_path, after=-1)

    def full(event):
        raise OSError("[Errno 28] No space left on device")

    monkeypatch.setattr(board._file, "write_event", full)
    with pytest.warns(UserWarning, match="events are written no more: .*No space left") as caught:
        for step in range(100):
            board.write(step, {"loss": 1.0})
        board.close()
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="events are written no more"):
        Board(tmp_path / "nowhere", after=-1).write(0, {"loss": 1.0})
