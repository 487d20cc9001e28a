"""Trackers, on modules that stand in for theirs: what is sent, what is missing, and what fails."""

import sys
import types

import numpy as np
import pytest

from jssl.run.directory.record import Record
from jssl.run.directory.trackers import Careful
from jssl.run.plan import plan
from jssl.run.settings.options import Options
from tests.run import tiny

CONFIG = {"experiment": "dino", "settings": {"batch": 8}, "numbers": {"seed": 0}, "steps": 4}


def png():
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


class Sent(list):
    """Notes every call as (name, arguments)."""

    def __getattr__(self, name):
        return lambda *a, **k: self.append((name, a, k))


@pytest.fixture
def wandb(monkeypatch):
    sent = Sent()
    stub = types.SimpleNamespace(
        init=lambda **settings: sent.append(("init", (), settings)) or sent, Image=lambda image: image.size
    )
    monkeypatch.setitem(sys.modules, "wandb", stub)
    return sent


def test_wandb_is_told_what_metrics_jsonl_has(wandb, tmp_path):
    record = Record(tmp_path, CONFIG, log="wandb")
    record.write(3, {"loss": 1.5, "knn_top1": 0.5})
    record.figure("loss", png(), b"<svg>")
    record.close()
    (_, _, begun), *rest = wandb
    assert begun["resume"] == "allow" and begun["config"] == CONFIG and begun["name"].startswith("dino ")
    assert rest == [
        ("log", ({"train/loss": 1.5, "probes/knn_top1": 0.5},), {"step": 3}),
        ("log", ({"figures/loss": (3, 2)},), {"step": 3}),
        ("finish", (), {}),
    ]
    again = Record(tmp_path, CONFIG, log="wandb")
    again.figure("loss", png(), b"<svg>")  # of a run that had ended: at its last step
    again.close()
    assert wandb[-2] == ("log", ({"figures/loss": (3, 2)},), {"step": 3})
    assert [call[2]["id"] for call in wandb if call[0] == "init"] == [begun["id"]] * 2  # the same run there


def test_mlflow_is_told_what_metrics_jsonl_has(monkeypatch, tmp_path):
    sent = Sent()
    monkeypatch.setitem(sys.modules, "mlflow", sent)
    record = Record(tmp_path, CONFIG, log="mlflow")
    record.write(3, {"loss": 1.5})
    record.figure("loss", png(), b"<svg>")
    record.close()
    assert [name for name, _, _ in sent] == [
        *("set_experiment", "start_run", "log_params", "log_metrics", "log_image", "end_run")
    ]
    assert sent[2][1] == ({"batch": "8", "seed": "0"},) and sent[3][1:] == (
        ({"train/loss": 1.5},),
        {"step": 3},
    )
    assert sent[4][2] == {"artifact_file": "figures/loss.png"}


def test_a_tracker_that_fails_warns_once_and_the_file_goes_on(wandb, tmp_path):
    record = Record(tmp_path, CONFIG, log="wandb")

    class Gone:
        def write(self, step, figures):
            raise ConnectionError("no route to host")

    record._tracker = Careful(Gone(), "wandb")
    with pytest.warns(UserWarning, match="wandb is written to no more: no route to host") as caught:
        for step in range(5):
            record.write(step, {"loss": 1.0})
        record.close()
    assert len(caught) == 1 and [row["step"] for row in record.rows] == list(range(5))


def test_a_missing_package_is_named_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r'wandb is not installed; `pip install "jssl\[log\]"` brings it'):
        plan(tiny.Tiny(), Options(out=str(tmp_path / "run"), log="wandb"))
    assert not (tmp_path / "run").exists()
