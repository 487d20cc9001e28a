"""The command line: flags made of a dataclass, and refusals in one line."""

import errno
import json
import re
from dataclasses import dataclass, fields
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import jssl
from jssl import command
from jssl.arrays.programs import keep_compiled
from jssl.run import Data, Options, Settings, main
from jssl.run.command import once_said, parse, unwritten
from tests.run import streamed, tiny


def parsed(*arguments):
    return parse(tiny.demo, list(arguments), command=["tiny"])


def test_defaults_demo_and_explicit_flags():
    settings, options = parsed()
    assert settings.steps == 12 and options == Options()
    settings, options = parsed("--demo")
    assert settings.steps == 6 and options == Options(out="runs/tiny-demo")
    settings, options = parsed("--demo", "--steps", "7", "--out", "x", "--dtype", "bfloat16")
    assert isinstance(settings, tiny.Tiny) and settings.steps == 7 and settings.batch == 8
    assert options.out == "x" and options.dtype == "bfloat16"
    assert parsed("--data", "digits")[0].data == "digits"


def test_help_shows_every_flag_and_what_it_is(capsys):
    with pytest.raises(SystemExit) as end:
        parsed("--help")
    assert end.value.code == 0
    text = " ".join(re.sub("[│─╭╮╰╯]", " ", capsys.readouterr().out).split())
    for field in (*fields(tiny.Tiny), *fields(Options)):
        assert f"--{field.name.replace('_', '-')}" in text
    for words in ("linear, or a name that jssl knows", "Number of the image", "--demo", "Run directory;"):
        assert words in text


def refused(arguments, capsys, demo=tiny.demo):
    """The one line on stderr."""
    with pytest.raises(SystemExit) as end:
        main(demo, list(map(str, arguments)))
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
        (["--batch", 0], ["--batch must be at least 1"]),
        (["--steps", 0], ["--steps must be at least 1"]),
        (["--steps", 10**12], ["--steps must be at most 2,147,483,647"]),
        (["--steps", "x"], ["--steps", "'x'"]),
        (["--learning-rate", "nan"], ["--learning-rate must be a finite number, got nan"]),
        (["--learning-rate", "inf"], ["--learning-rate must be a finite number, got inf"]),
        (["--learning-rate", -1], ["--learning-rate must be at least 0, got -1"]),
        (["--size", -3], ["--size must be at least 1"]),
        (["--seed", 2**64], ["--seed must be from 0 to 18446744073709551615"]),
        (["--seed", -1], ["--seed must be from 0"]),
        (["--accumulate", 3], ["--accumulate 3", "batch of 8"]),
        (["--log-every", 0], ["--log-every must be at least 1"]),
    ],
)
def test_bad_input_costs_one_line_and_no_directory(arguments, words, capsys, tmp_path):
    line = refused([*arguments, "--out", tmp_path / "run"], capsys)
    assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()


def test_a_folder_whose_name_is_no_utf8_is_named_in_escapes(capsys, tmp_path):
    name = streamed.write(tmp_path / "caf\udce9")
    tiny.main(tiny.demo, ["--data", name, "--plan", "--out", str(tmp_path / "run")])
    assert r"caf\udce9: 48 images" in capsys.readouterr().out


def test_images_of_another_rank_are_refused(capsys, tmp_path):
    np.savez(tmp_path / "flat.npz", images=np.zeros((9, 64), np.uint8))
    line = refused(["--data", f"npz:{tmp_path / 'flat.npz'}", "--out", tmp_path / "run"], capsys)
    assert "[N, H, W, C]" in line and "(9, 64)" in line


def test_a_directory_of_something_else_is_refused_and_untouched(capsys, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    assert "thesis.tex" in refused(["--out", tmp_path], capsys)
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused(["--out", tmp_path / "file"], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "thesis.tex"]


def test_a_directory_of_another_run_is_refused_naming_the_difference(capsys, tmp_path):
    config = {"experiment": "dino", "settings": {}, "numbers": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "belongs to experiment dino, not tiny" in refused(["--out", tmp_path], capsys)
    assert json.loads((tmp_path / "config.json").read_text()) == config

    settings = {field.name: field.default for field in fields(tiny.Tiny)} | {"data": ["colored", "colored"]}
    numbers = {"seed": 0, "dtype": "float32", "accumulate": 1}
    config = {"experiment": "tiny", "settings": settings | {"temperature": 0.1}, "numbers": numbers}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "temperature is 0.1 there, 0.2 here" in refused(["--out", tmp_path], capsys)
    config["settings"]["temperature"] = 0.2
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "seed is 0 there, 5 here" in refused(["--out", tmp_path, "--seed", 5], capsys)


def test_compiled_programs_are_kept_where_the_user_says_and_on_no_cpu_or_pod(monkeypatch, tmp_path):
    reset = []
    monkeypatch.setattr(compilation_cache, "reset_cache", lambda: reset.append(True))
    before = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        keep_compiled(tmp_path)
        assert jax.config.jax_compilation_cache_dir is None
        monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
        with monkeypatch.context() as pod:  # where each machine may have a directory of its own
            pod.setattr(jax, "process_count", lambda: 2)
            keep_compiled(tmp_path)
        assert jax.config.jax_compilation_cache_dir is None
        keep_compiled(tmp_path)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path) and reset == [True]
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "elsewhere"))
        keep_compiled(tmp_path)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "elsewhere") and reset == [True]
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


class Kept(Exception):
    """Raised where programs would be kept from then on."""


@pytest.mark.parametrize(
    "start",
    [
        lambda out: tiny.main(tiny.demo, ["--data", "bare", "--out", out]),
        lambda out: jssl.run(tiny.Tiny, data="bare", out=out),
    ],
)
def test_programs_of_commands_and_of_notebooks_are_kept(start, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def keep(directory):
        raise Kept(str(directory))

    monkeypatch.setattr("jssl.run.training.keep_compiled", keep)
    with pytest.raises(Kept, match="cache/jssl/xla"):
        start(str(tmp_path / "run"))


@dataclass(frozen=True)
class Broken(Settings):
    data: Data = "digits"

    def build(self, data):
        raise ZeroDivisionError


def test_a_defect_is_not_hidden_behind_one_line(tmp_path):
    with pytest.raises(ZeroDivisionError):
        main(Broken(), ["--out", str(tmp_path / "run")])


def jssl_says(capsys, *arguments, code=0):
    try:
        command.main(list(arguments))
        ended = 0
    except SystemExit as end:
        ended = end.code
    out, err = capsys.readouterr()
    assert ended == code, err
    return out + err


def test_the_jssl_command(capsys, tmp_path):
    assert all(name in jssl_says(capsys) for name in command.COMMANDS)
    assert jssl_says(capsys, "--version").strip() == jssl.__version__
    assert "jssl has no command 'trian'; it has list, train" in jssl_says(capsys, "trian", code=2)
    assert "simclr" in jssl_says(capsys, "list") and "| `simclr` |" in jssl_says(capsys, "list", "--markdown")
    assert "unknown system 'dyno', did you mean dino; `jssl list`" in jssl_says(
        capsys, "train", "dyno", code=2
    )
    assert "dino" in jssl_says(capsys, "train") and "usage: jssl train NAME" in jssl_says(
        capsys, "train", "-h"
    )
    assert "holds no run" in jssl_says(capsys, "export", str(tmp_path), "--out", "x", code=2)
    said = jssl_says(
        capsys, "train", "clip", "--data", "digits", "--batch", "8", "--out", str(tmp_path / "run"), code=2
    )
    assert "--data digits has no caption" in said and not (tmp_path / "run").exists()


@pytest.mark.parametrize("said", ["", "interrupted at step 3, saved"])
def test_an_interrupted_command_ends_in_one_line(said, capsys, monkeypatch):
    def embed(arguments):
        raise KeyboardInterrupt(*filter(None, [said]))

    monkeypatch.setattr("jssl.run.evaluation.embed.main", embed)
    assert jssl_says(capsys, "embed", code=130) == f"{said or 'interrupted'}\n"


def test_the_help_of_a_system_is_its_page(capsys):
    said = " ".join(jssl_says(capsys, "train", "dino", "--help").split())
    assert "usage:" in said and "train dino" in said and "arXiv:2104.14294" in said
    assert "--rate-per {None}|INT" in said and "default: 65536" in said


def test_a_full_disk_is_said_with_its_directory_and_what_to_do():
    full = OSError(errno.ENOSPC, "No space left on device")
    line = "runs/x: [Errno 28] No space left on device; make room and run the same command again"
    assert str(unwritten(full, "runs/x")) == line
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory", "runs/x/metrics.jsonl")
    assert str(unwritten(gone, "runs/x")) == "[Errno 2] No such file or directory: 'runs/x/metrics.jsonl'"


def test_what_writers_say_after_a_failed_write_is_passed_over_and_nothing_else():
    said = []
    hook = once_said(lambda unraisable: said.append(str(unraisable.exc_value)))
    for words in ("Event loop is closed", "a defect"):
        hook(SimpleNamespace(exc_value=RuntimeError(words)))
    assert said == ["a defect"]
