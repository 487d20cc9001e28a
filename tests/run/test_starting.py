"""What makes a start quick: baselines that are kept, programs that are compiled meanwhile."""

import json
import shutil
import subprocess
import webbrowser

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import REGISTRY

from jssl import command
from jssl.evaluate import Labelled, knn_protocol, score_pixels
from jssl.run.ahead import working_ahead
from jssl.run.completion import script
from jssl.run.directory import opening
from jssl.run.evaluation import baselines
from jssl.run.settings.choosing import WITH, choices
from jssl.run.training import _time_left


def labelled(seed, count=20):
    rng = np.random.default_rng(seed)
    return Labelled(rng.integers(0, 256, (count, 4, 4, 3), np.uint8), rng.integers(0, 2, count))


def test_raw_pixels_are_scored_once_for_the_same_data_and_protocols(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def counted(*arguments, **settings):
        calls.append(settings)
        return score_pixels(*arguments, **settings)

    monkeypatch.setattr(baselines, "score_pixels", counted)
    train, test, settings = labelled(0), labelled(1, 8), dict(classes=2, protocols=(knn_protocol(k=3),))
    first, again = (baselines.pixel_scores(train, test, **settings) for _ in range(2))
    assert len(calls) == 1 and first == again == score_pixels(train, test, **settings)
    changed = Labelled(train.values.copy(), train.labels)
    changed.values[3, 1, 2, 0] ^= 1
    baselines.pixel_scores(changed, test, **settings)
    baselines.pixel_scores(train, test, **settings | dict(protocols=(knn_protocol(k=4),)))
    assert len(calls) == 3 and len(list((tmp_path / "jssl" / "baselines").glob("*.json"))) == 3
    for file in (tmp_path / "jssl" / "baselines").glob("*.json"):
        file.write_text(json.dumps(first)[:-5])  # cut short by a full disk
    assert baselines.pixel_scores(train, test, **settings) == first and len(calls) == 4


def test_a_cache_that_cannot_be_written_to_is_none(monkeypatch, tmp_path):
    (tmp_path / "jssl").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = dict(classes=2, protocols=(knn_protocol(k=3),))
    table = baselines.pixel_scores(labelled(0), labelled(1, 8), **settings)
    assert table == score_pixels(labelled(0), labelled(1, 8), **settings)


def test_a_program_compiled_ahead_is_the_same_program():
    traced = []

    def scaled(x, y):
        traced.append(jax.config.jax_default_matmul_precision)
        return x @ y

    x = jnp.arange(6.0).reshape(2, 3)
    with working_ahead() as ahead, jax.default_matmul_precision("highest"):
        program = ahead.compiled(jax.jit(scaled), jax.ShapeDtypeStruct((2, 3), x.dtype), x.T)
        assert ahead.start(sum, [1, 2]).result() == 3
    np.testing.assert_array_equal(program(x, x.T), x @ x.T)
    assert traced == ["highest"]  # once, and where it was asked for
    with pytest.raises(TypeError):
        program(x[:1], x.T)


def test_without_a_name_train_lists_systems_by_what_one_has():
    said = choices(REGISTRY)
    assert all(f"    {name} " in said for name in REGISTRY)
    images, captions = (
        said.index("You have a folder of images and"),
        said.index("You have images and captions"),
    )
    assert images < said.index("  dino ") < captions < said.index("  clip ")
    assert "jssl train NAME --data photos --preset small" in said and "jssl train NAME --demo" in said
    assert {system.needs for system in REGISTRY.values()} == set(WITH)  # for each a line that can be given


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    "typed, found",
    [
        ("jssl tr", ["train"]),
        ("jssl train sims", ["simsiam"]),
        ("jssl train dino --teacher-t", ["--teacher-temperature"]),
        ("jssl train dino --data dig", ["digits"]),
        ("jssl embed dinov2_vits14_r", ["dinov2_vits14_reg"]),
        ("jssl evaluate mae_vith", ["mae_vith14"]),
        ("jssl list simsi", ["simsiam"]),
        ("jssl train eva --teacher openai/clip-vit-large", ["openai/clip-vit-large-patch14"]),
    ],
)
def test_bash_completes(typed, found):
    words = typed.split()
    lines = [
        script("bash", command.COMMANDS),
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _jssl",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == found


def test_only_known_shells_are_completed(capsys):
    assert script("zsh", command.COMMANDS).startswith("autoload")
    with pytest.raises(SystemExit):
        command.main(["completion", "fish"])
    assert "knows bash and zsh, got 'fish'" in capsys.readouterr().err


def test_a_report_is_opened_where_there_is_one(monkeypatch, tmp_path, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    (tmp_path / "config.json").write_text(json.dumps({"experiment": "dino", "settings": {}, "numbers": {}}))
    with pytest.raises(ValueError, match="has no report.html yet"):
        opening.main([str(tmp_path)])
    (tmp_path / "report.html").write_text("<html>")
    opening.main([str(tmp_path), "--print"])
    assert not opened
    opening.main([str(tmp_path)])
    assert opened == [(tmp_path / "report.html").as_uri()]
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n" * 2


def test_what_comes_next_is_said_in_commands_that_can_be_typed():
    said = opening.next_commands("runs/my run", "folder:my photos")
    assert said[1] == "jssl embed 'runs/my run' 'folder:my photos' --out 'runs/my run'/features.npz"
    assert opening.next_commands("runs/x", "arrays")[1] == "jssl embed runs/x DATA --out runs/x/features.npz"
    placed = opening.next_commands("runs/x", "tfds:cifar10", data_dir="my sets")[1]
    assert placed == "jssl embed runs/x tfds:cifar10 --data-dir 'my sets' --out runs/x/features.npz"
    assert opening.next_commands("runs/x", "digits", named=False) == [
        "jssl open runs/x"
    ]  # others are refused


@pytest.mark.parametrize("seconds, words", [(40, "40 s"), (600, "10 min"), (9000, "2.5 h")])
def test_the_time_left_is_said_in_a_unit_that_one_reads(seconds, words):
    assert _time_left(seconds).startswith(f"about {words} of steps to go")


@pytest.mark.parametrize("name", [name for name in command.COMMANDS if name != "train"])
def test_the_help_of_every_command_has_an_example(name, capsys):
    try:
        command.main([name, "--help"])
    except SystemExit as end:
        assert end.code == 0
    said = capsys.readouterr().out
    assert said.startswith("usage:") and f"jssl {name} " in said.split("\n\n", 1)[1]
