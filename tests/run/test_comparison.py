"""Runs side by side."""

import json
from pathlib import Path

import numpy as np
import pytest

from jssl.command import main
from jssl.run.evaluation.comparison import Compared, compare, correlations, table


def run_of(path, seed=0, name="dino", knn=0.5, linear=0.6, evaluations=(), **settings):
    """A directory as a run leaves it."""
    path.mkdir(parents=True)
    settings = {"batch": 8, "data": "digits"} | settings
    config = {"experiment": name, "settings": settings, "numbers": {"seed": seed, "dtype": "float32"}}
    (path / "config.json").write_text(json.dumps(config))
    rows = [
        {"step": 0, "raw_pixels_knn_top1": 0.1, "raw_pixels_linear_top1": 0.2},
        {"step": 9, "knn_top1": knn, "linear_top1": linear},
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if evaluations:
        (path / "evaluation").mkdir()
        held = {"source": str(path), "evaluations": list(evaluations)}
        (path / "evaluation" / "evaluation.json").write_text(json.dumps(held))
    return str(path)


def entry(metric, value, data="digits", row="learned"):
    held = {"protocol": metric.split("_")[0], "main": metric, "metrics": {metric: value}}
    return held | dict(row=row, data=data, network="a ViT", settings={}, looked_at=[], notes=[])


def test_seeds_are_one_row_and_settings_are_several(tmp_path):
    found = compare(
        [
            run_of(tmp_path / "a", 0, knn=0.5),
            run_of(tmp_path / "b", 1, knn=0.7),
            run_of(tmp_path / "c", 0, batch=16, knn=0.9),
            run_of(tmp_path / "d", 0, name="byol", temperature=None),
        ]
    )
    assert [row.name for row in found] == ["dino, batch 8", "dino, batch 16", "byol"]
    first = found[0]
    assert first.metrics["knn_top1"] == (0.5, 0.7) and first.mean("knn_top1") == pytest.approx(0.6)
    assert first.spread("knn_top1") == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert np.isnan(found[1].spread("knn_top1"))
    lines = table(found).splitlines()
    assert "60.0 ± 14.1" in lines[1] and "90.0 " in lines[2] and "±" not in lines[2]


def test_runs_on_other_arrays_of_the_same_name_are_no_seeds_of_each_other(tmp_path):
    runs = [run_of(tmp_path / str(i), seed=i, data="arrays", knn=i / 10) for i in range(3)]
    for run, images in zip(runs, ("1a2b3c", "1a2b3c", "4d5e6f"), strict=True):
        config = json.loads(Path(run, "config.json").read_text())
        Path(run, "config.json").write_text(json.dumps(config | {"marks": {"images": images}}))
    assert [(row.name, row.metrics["knn_top1"]) for row in compare(runs)] == [
        ("dino, data 1a2b", (0.0, 0.1)),
        ("dino, data 4d5e", (0.2,)),
    ]
    assert [row.name for row in compare(runs[:2])] == ["dino"]


def test_evaluations_of_a_run_and_of_weights_stand_beside(tmp_path):
    later = [
        entry("logistic_top1", 0.8),
        entry("knn_top1", 0.4, "scenes"),
        entry("knn_top1", 0, row="raw pixels"),
    ]
    run = run_of(tmp_path / "run", evaluations=later)
    (tmp_path / "dinov2").mkdir()
    (tmp_path / "dinov2" / "evaluation.json").write_text(
        json.dumps({"evaluations": [entry("knn_top1", 0.9, "scenes")]})
    )
    found = compare([run, str(tmp_path / "dinov2")])
    assert found[0].metrics["logistic_top1"] == (0.8,) and found[0].metrics["knn_top1"] == (0.5,)
    assert [row.mean("scenes: knn_top1") for row in found] == [0.4, 0.9]
    assert " -" in table(found).splitlines()[2]


def test_evaluations_of_two_networks_are_two_rows_whatever_their_directories_are_called(tmp_path):
    for name, value in (("dino", 0.9), ("mae", 0.4)):
        place = tmp_path / name / "evaluation"
        place.mkdir(parents=True)
        (place / "evaluation.json").write_text(json.dumps({"evaluations": [entry("knn_top1", value)]}))
    found = compare([str(tmp_path / name / "evaluation") for name in ("dino", "mae")])
    assert [row.mean("digits: knn_top1") for row in found] == [0.9, 0.4]
    assert [row.name for row in found] == [
        f"evaluation, of {tmp_path}/{name}/evaluation" for name in ("dino", "mae")
    ]


def test_evaluations_with_other_settings_or_sizes_have_columns_of_their_own(tmp_path):
    usual = {"k": 20, "temperature": 0.07}

    def knn(value, side=8, **changes):
        seen = f"learned: ViT of x; short side {side}, central {side} pixels"
        held = entry("knn_top1", value) | {"network": seen}
        return held | {"settings": {**usual, **changes}}

    runs = [
        run_of(tmp_path / "a", knn=0.1, evaluations=[knn(0.2, k=5), knn(0.3), knn(0.4, temperature=0.1)]),
        run_of(tmp_path / "b", knn=0.5, batch=16, evaluations=[knn(0.6, k=5)]),
        run_of(tmp_path / "c", batch=32, evaluations=[knn(0.7), knn(0.8, side=16)]),
    ]
    linear = knn(0.9, steps=1000) | {"protocol": "linear", "metrics": {"linear_top1": 0.9}}
    linear |= {"main": "linear_top1", "settings": {"steps": 1000}}  # runs themselves take 500
    for name in "abc":
        config = json.loads((tmp_path / name / "config.json").read_text())
        config["network"] = {"preprocess": {"kind": "Preprocess", "size": 8, "crop": 8}}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    (tmp_path / "a" / "evaluation.json").write_text(json.dumps({"evaluations": [linear]}))
    found = compare(runs)
    assert found[0].metrics == {
        "knn_top1": (0.3,),
        "linear_top1": (0.6,),
        "steps 1000: linear_top1": (0.9,),
        "k 5: knn_top1": (0.2,),
        "temperature 0.1: knn_top1": (0.4,),
        "short side 16, central 16 pixels: knn_top1": (),
    }
    assert found[1].metrics["knn_top1"] == (0.5,) and found[1].metrics["k 5: knn_top1"] == (0.6,)
    assert found[2].metrics["short side 16, central 16 pixels: knn_top1"] == (0.8,)
    assert found[2].metrics["knn_top1"] == (0.7,)


def test_a_run_that_has_not_ended_is_said_to_be_so(tmp_path):
    runs = [run_of(tmp_path / name, knn=knn) for name, knn in (("a", 0.5), ("b", 0.1), ("c", 0.4))]
    for name, steps in (("a", 9), ("b", 1000), ("c", 1000)):
        config = json.loads((tmp_path / name / "config.json").read_text())
        (tmp_path / name / "config.json").write_text(json.dumps(config | {"steps": steps}))
    (tmp_path / "c" / "stopped.json").write_text('{"kept": 4, "stopped": 9}')
    assert [(row.name, row.metrics["knn_top1"]) for row in compare(runs)] == [
        ("dino", (0.5, 0.4)),
        ("dino, at step 9 of 1,000", (0.1,)),
    ]


def test_an_evaluation_of_an_earlier_step_is_not_the_runs(tmp_path):
    knn = entry("knn_top1", 0.2) | {"step": 4}
    (row,) = compare([run_of(tmp_path / "a", knn=0.5, evaluations=[knn])])
    assert row.metrics["knn_top1"] == (0.5,) and row.metrics["step 4: knn_top1"] == (0.2,)
    (tmp_path / "a" / "stopped.json").write_text('{"kept": 4, "stopped": 9}')
    assert compare([str(tmp_path / "a")])[0].metrics["knn_top1"] == (0.2,)


def test_measures_that_rank_rows_alike():
    rows = [
        Compared(
            str(i), ("run",), {"linear_top1": (x,), "rank_me": (y,), "loss": (-x,), "rare": (x,) * (i < 2)}
        )
        for i, (x, y) in enumerate([(0.1, 3.0), (0.5, 9.0), (0.3, 20.0)])
    ]
    assert correlations(rows, "linear_top1") == {"rank_me": 0.5, "loss": -1.0}
    assert correlations(rows[:2], "linear_top1") == {}


def test_the_command_writes_table_figure_and_report(tmp_path, capsys):
    runs = [
        run_of(tmp_path / str(i), i % 2, name="abc"[i // 2], knn=0.1 * i, linear=0.05 * i) for i in range(6)
    ]
    (tmp_path / "other").mkdir()
    main(["compare", *runs, str(tmp_path / "other"), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert "+1.00  kNN top-1" in said and "rank correlation with linear top-1 over 3 rows" in said
    main(["compare", *runs, "--metrics", "knn_top1", "--out", str(tmp_path / "one")])
    said = capsys.readouterr().out
    assert "+1.00  kNN top-1" in said and "linear top-1, %" not in said
    held = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert held["rank_correlation"] == {"against": "linear_top1", "knn_top1": 1.0}
    assert held["rows"][1]["mean"]["knn_top1"] == pytest.approx(0.25)
    assert (tmp_path / "out" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    drawn = (tmp_path / "out" / "comparison.svg").read_text()
    assert "<svg" in drawn and "kNN top-1, %" in drawn
    assert (tmp_path / "out" / "comparison.md").read_text().startswith("|  | runs | kNN top-1, % |")
    assert "data:image/png" in (tmp_path / "out" / "comparison.html").read_text()
    for arguments, words in (
        ([str(tmp_path / "other")], "is a run or an evaluation"),
        ([runs[0], "--against", "loss"], "there is no such metric; the runs have knn_top1, linear_top1"),
        ([runs[0], "--metrics", "loss"], "there is no such metric"),
    ):
        with pytest.raises(SystemExit):
            main(["compare", *arguments])
        assert words in capsys.readouterr().err


def test_a_run_without_figures_is_named(tmp_path):
    run = run_of(tmp_path / "new")
    (tmp_path / "new" / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="new has no figures yet"):
        compare([run])
