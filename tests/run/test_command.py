"""The command line: flags made of a signature, and refusals in one line."""

import inspect
import json

import jax
import numpy as np
import pytest

from jssl.run import Experiment, Options, main
from jssl.run.command import keep_compiled, parse
from tests.run import tiny


def test_defaults_demo_and_explicit_flags():
    settings, options = parse(tiny.experiment, tiny.demo, [])
    assert settings["steps"] == 12 and options == Options()
    settings, options = parse(tiny.experiment, tiny.demo, ["--demo"])
    assert settings["steps"] == 6 and options.log_every == 2 and options.out == "runs/tiny-demo"
    settings, options = parse(
        tiny.experiment, tiny.demo, ["--demo", "--steps", "7", "--out", "x", "--dtype", "bfloat16"]
    )
    assert (
        settings["steps"] == 7
        and settings["batch"] == 8
        and options.out == "x"
        and options.dtype == "bfloat16"
    )
    assert set(settings) == set(inspect.signature(tiny.experiment).parameters)


def test_help_shows_every_flag_and_what_it_is(capsys):
    with pytest.raises(SystemExit) as end:
        parse(tiny.experiment, tiny.demo, ["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "--encoder",
        "linear, or a name that jssl knows",
        "--data-dir",
        "--out",
        "--seed",
        "--demo",
        "tiny",
    ):
        assert word in text


def test_a_demo_of_unknown_settings_is_an_error():
    with pytest.raises(ValueError, match="sets epochs"):
        parse(tiny.experiment, {"epochs": 3}, ["--demo"])


def refused(arguments, capsys, monkeypatch, make=tiny.experiment):
    """The one line on stderr."""
    monkeypatch.setattr("sys.argv", ["tiny", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main(make, tiny.demo)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == ""
    assert err.count("\n") == 1 and err.startswith("error: ") and "Traceback" not in err, err
    return err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--batc", 3], ["--batc", "did you mean --batch"]),
        (["--views.byol"], ["Unrecognized options: --views.byol"]),
        (["--batch", "many"], ["--batch", "many"]),
        (["--dtype", "float16"], ["--dtype", "float32", "bfloat16"]),
        (["stray"], ["stray"]),
        (["--data", "digit"], ["unknown data 'digit'", "digits", "tfds:<name>"]),
        (["--data", "npz:/nowhere/x.npz"], ["/nowhere/x.npz", "no such file"]),
        (["--data", "tfds:cifar10", "--data-dir", "/nowhere"], ["/nowhere", "not a directory"]),
        (["--encoder", "vit_z16"], ["unknown encoder 'vit_z16'", "did you mean"]),
        (["--encoder", "vit_n3"], ["8 x 8", "not divisible", "3"]),
        (["--batch", 49], ["batch of 49", "48 samples", "--batch 48"]),
        (["--batch", 0], ["batch must be at least 1"]),
        (["--steps", 0], ["--steps must be at least 1"]),
        (["--accumulate", 3], ["--accumulate 3", "batch of 8"]),
        (["--log-every", 0], ["--log-every must be at least 1"]),
    ],
)
def test_bad_input_costs_one_line_and_no_directory(arguments, words, capsys, monkeypatch, tmp_path):
    line = refused([*arguments, "--out", tmp_path / "run"], capsys, monkeypatch)
    assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()


def test_images_of_another_rank_are_refused(capsys, monkeypatch, tmp_path):
    np.savez(tmp_path / "flat.npz", images=np.zeros((9, 64), np.uint8))
    line = refused(["--data", f"npz:{tmp_path / 'flat.npz'}", "--out", tmp_path / "run"], capsys, monkeypatch)
    assert "[N, H, W, C]" in line and "(9, 64)" in line


def test_a_directory_of_something_else_is_refused_and_untouched(capsys, monkeypatch, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    assert "thesis.tex" in refused(["--out", tmp_path], capsys, monkeypatch)
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused(["--out", tmp_path / "file"], capsys, monkeypatch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "thesis.tex"]


def test_a_directory_of_another_run_is_refused_naming_the_difference(capsys, monkeypatch, tmp_path):
    config = {"experiment": "dino", "settings": {}, "numbers": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "belongs to experiment dino, not tiny" in refused(["--out", tmp_path], capsys, monkeypatch)
    assert json.loads((tmp_path / "config.json").read_text()) == config

    settings = {name: p.default for name, p in inspect.signature(tiny.experiment).parameters.items()}
    numbers = {"seed": 0, "dtype": "float32", "accumulate": 1}
    config = {"experiment": "tiny", "settings": settings | {"temperature": 0.1}, "numbers": numbers}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "temperature is 0.1 there, 0.2 here" in refused(["--out", tmp_path], capsys, monkeypatch)
    config["settings"]["temperature"] = 0.2
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "seed is 0 there, 5 here" in refused(["--out", tmp_path, "--seed", 5], capsys, monkeypatch)


def test_compiled_programs_are_kept_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        keep_compiled()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "jssl" / "xla")
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "elsewhere"))
        keep_compiled()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "elsewhere")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_a_defect_is_not_hidden_behind_one_line(monkeypatch, tmp_path):
    def broken(*, steps: int = 1) -> Experiment:
        raise ZeroDivisionError

    monkeypatch.setattr("sys.argv", ["tiny", "--out", str(tmp_path / "run")])
    with pytest.raises(ZeroDivisionError):
        main(broken, {})
