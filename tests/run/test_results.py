"""Settings of protocols, results and comparisons of every wrong kind cost one line."""

import json

import numpy as np
import pytest

from jssl.run.directory.results import read_evaluations
from jssl.run.evaluation import comparison
from jssl.run.evaluation.choosing import chosen_protocols
from jssl.run.evaluation.protocols import evaluate

GOOD = dict(protocol="knn", main="knn_top1", metrics={"knn_top1": 0.5}, row="learned", data="digits")
GOOD |= dict(settings={}, network="x", looked_at=[], notes=[])
FOREIGN = [
    *(5, {}, [5], {"a": 1}, [{**GOOD, "metrics": [1]}], [{**GOOD, "metrics": {"knn_top1": "a"}}]),
    *([{**GOOD, "metrics": {"knn_top1": None}}], [{**GOOD, "metrics": {}}], [{**GOOD, "data": 3}]),
]


@pytest.mark.parametrize("value", ["abc", "1.5", "nan", "True", "None", "'5'", "{}"])
def test_a_setting_of_another_kind(value):
    with pytest.raises(ValueError, match="--set knn.k: expected .*, got"):
        chosen_protocols(["knn"], [f"knn.k={value}"])


def test_settings_of_their_kind():
    assert chosen_protocols(["knn"], ["knn.k=10,20", "knn.temperature=1"])[0].settings["k"] == (10, 20)


@pytest.mark.parametrize("entries", FOREIGN, ids=repr)
def test_results_that_no_evaluation_wrote(entries, tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps({"evaluations": entries}))
    with pytest.raises(ValueError, match="is not what jssl evaluate writes"):
        read_evaluations(tmp_path)


def test_what_a_protocol_found_is_kept_whatever_comes_next(tmp_path, monkeypatch):
    labels = np.arange(60) % 3
    np.savez(tmp_path / "f.npz", features=np.eye(4)[labels], labels=labels)

    def scored(one, *_):
        if one.name == "logistic":
            raise KeyboardInterrupt
        return GOOD

    monkeypatch.setattr("jssl.run.evaluation.protocols._scored", scored)
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path / "f.npz", protocols=["knn", "logistic"], out=tmp_path / "out")
    assert read_evaluations(tmp_path / "out") == [GOOD]
    assert {path.name[10:] for path in (tmp_path / "out").iterdir()} == {".json", ".md", ".html"}


def test_results_that_end_nowhere(tmp_path):
    (tmp_path / "evaluation.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="is not what jssl evaluate writes"):
        read_evaluations(tmp_path)


def test_a_run_that_is_not_there_is_not_left_out_of_a_comparison(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps({"evaluations": [GOOD]}))
    assert read_evaluations(tmp_path) == [GOOD]
    with pytest.raises(ValueError, match="typo is not there"):
        comparison.main([str(tmp_path), str(tmp_path / "typo"), "--out", str(tmp_path / "out")])
