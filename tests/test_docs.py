"""What the pages show is run, in miniature; commands that take long are read as the command reads them."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from jssl import command
from jssl.run.command import parse
from jssl.run.options import Options
from jssl.run.systems import module_of

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TINY = "--batch 8 --steps 2 --size 16 --hidden 16 --dim 8 --encoder vit_n8"


def blocks(page, language):
    text = (DOCS / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of 48 pictures of two kinds, in the working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(48):
        folder = tmp_path / "photos" / ("day", "night")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture = rng.integers(0, 60, (20, 24, 3)) + 150 * (1 - number % 2)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_the_first_page_goes_from_a_folder_to_what_is_alike(photos, monkeypatch, capsys):
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    _, train, *rest = [shlex.split(line) for line in blocks("start.md", "")[0].strip().splitlines()]
    for words in (train + shlex.split(TINY), *rest):
        command.main(words[1:])
    said = capsys.readouterr().out
    assert "--preset small, for 44 images: vit_n8 at 16 pixels, batches of 8, 2 steps" in said
    assert said.startswith("simclr on folder:photos: 2 steps of 8 images")
    assert "next: jssl open runs/photos; jssl embed runs/photos folder:photos --out" in said
    assert Path("runs/photos/report.html").exists() and Path("encoder.safetensors").exists()
    with np.load("features.npz") as file:
        assert len(file["features"]) == len(file["names"]) == 48
    scope = {}
    given = dict(zip(("batch", "steps", "size", "hidden", "dim"), (8, 2, 16, 16, 8), strict=True))
    given |= {"encoder": "vit_n8"}
    (python,) = blocks("start.md", "python")
    assert len([line for line in python.splitlines() if line]) <= 8
    small = python.replace('preset="small"', f"preset='small', **{given}")
    exec(compile(small, "start.md", "exec"), scope)  # the run has ended already, and is opened
    assert len(scope["alike"]) == 48 and all(len(names) == 5 for names in scope["alike"].values())


@pytest.mark.parametrize("page", ["compose.md", "data.md"])
def test_what_the_page_computes_is_computed(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, block in enumerate(blocks(page, "python")):
        block = block.replace("handwriting(size=16)", "handwriting(size=8)")  # compiles sooner
        exec(compile(block, f"{page}, {number}", "exec"), scope := {})
    if page == "compose.md":
        assert int(scope["state"].step) == 4 and [step for step, _ in scope["history"]] == [2, 4]
        loop = block[block.index("digits, history") :].splitlines()
        assert len([line for line in loop if line.strip()]) <= 15
    else:
        assert int(scope["result"].state.step) == 2 and scope["result"].table == {}


def test_a_pretext_task_of_ones_own_takes_fifteen_lines():
    (block,) = blocks("own_pretext.md", "python")
    exec(compile(block, "own_pretext.md", "exec"), scope := {})
    lines = [line for line in block.splitlines() if line.strip()]
    own = lines[lines.index(next(line for line in lines if line.startswith("def mirrored"))) :]
    task = own[: 1 + [line.startswith("method = ") for line in own].index(True)]
    assert len(task) <= 15 and int(scope["state"].step) == 5
    assert 0 <= float(scope["metrics"]["accuracy"]) <= 1 and scope["features"].shape == (2, 96)
    assert 0 <= float(scope["asked"]["accuracy"]) <= 1 and float(scope["asked"]["chance"]) == 0.5
    images = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1) * np.ones((64, 1, 1, 1), np.float32)
    inputs, labels = scope["mirrored"](jax.random.split(jax.random.key(0), 64), images)
    backwards = np.asarray(inputs[:, 0, 0, 0]) == 3  # the first pixel is what the last was
    np.testing.assert_array_equal(labels["mirrored"], backwards)
    assert 16 < backwards.sum() < 48


def commands():
    """Every `jssl train` line of the pages and the README, with the page that it stands on."""
    for page in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]:
        for block in re.findall(r"```\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if found := re.search(r"\bjssl train (\w+ .*)", line.partition("   #")[0]):
                    yield pytest.param(found[1].rstrip(" '"), id=f"{page.stem}: {found[1].strip()[:60]}")


@pytest.mark.parametrize("line", commands())
def test_commands_are_ones_that_can_be_given(line):
    name, *arguments = [word for word in shlex.split(line) if word != "..."]
    if "--help" not in arguments:
        settings, options = parse(module_of(name).demo, arguments, command=["jssl", "train", name])
        assert type(settings) is type(module_of(name).demo) and isinstance(options, Options)


def test_every_page_is_in_the_sites_table():
    listed = (ROOT / "mkdocs.yml").read_text()
    assert all(f" {page.name}" in listed for page in DOCS.glob("*.md"))


@pytest.mark.skipif("JSSL_SITE" not in os.environ, reason="JSSL_SITE says where mkdocs is installed")
def test_the_site_is_built_without_a_warning(tmp_path):
    build = [os.environ["JSSL_SITE"], "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "start" / "index.html").exists()
