"""What the pages show is run, in miniature; commands that take long are read as the command reads them, and
the experiments that they ask for are built.
"""

import ast
import importlib
import importlib.util
import re
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jssl.experiments import REGISTRY
from PIL import Image

import jssl
from jssl import command
from jssl.run import DataInfo
from jssl.run.command import parse
from jssl.run.settings.options import Options
from jssl.run.settings.systems import module_of, named

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TINY = "--batch 8 --steps 2 --size 16 --hidden 16 --dim 8 --encoder vit_n8 --scan"


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
    given |= {"encoder": "vit_n8", "scan": True}
    (python,) = blocks("start.md", "python")
    assert len([line for line in python.splitlines() if line]) <= 8
    small = python.replace('preset="small"', f"preset='small', **{given}")
    exec(compile(small, "start.md", "exec"), scope)  # the run has ended already, and is opened
    assert len(scope["alike"]) == 48 and all(len(names) == 5 for names in scope["alike"].values())


def torch_of_numpy():
    """As much of torch as the page of data uses, where it is not installed."""

    class TensorDataset:
        def __init__(self, *tensors):
            self.tensors = tensors

    class DataLoader:
        def __init__(self, samples, *, batch_size):
            self.tensors, self.size = samples.tensors, batch_size

        def __len__(self):
            return -(-len(self.tensors[0]) // self.size)

        def __iter__(self):
            for number in range(len(self)):
                yield [x[number * self.size : (number + 1) * self.size] for x in self.tensors]

    utils = SimpleNamespace(data=SimpleNamespace(TensorDataset=TensorDataset, DataLoader=DataLoader))
    rng = np.random.default_rng(0)
    return SimpleNamespace(rand=lambda *shape: rng.random(shape), arange=np.arange, utils=utils)


@pytest.mark.parametrize("page", ["compose.md", "data.md"])
def test_what_the_page_computes_is_computed(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scopes = []
    for number, block in enumerate(blocks(page, "python")):
        block = block.replace("handwriting(size=16)", "handwriting(size=8)")  # compiles sooner
        scope = {}
        if "import torch\n" in block and importlib.util.find_spec("torch") is None:
            scope, block = {"torch": torch_of_numpy()}, block.replace("import torch\n", "")
        exec(compile(block, f"{page}, {number}", "exec"), scope)
        scopes.append(scope)
    if page == "compose.md":
        assert int(scope["state"].step) == 4 and [step for step, _ in scope["history"]] == [2, 4]
        loop = block[block.index("digits, history") :].splitlines()
        assert len([line for line in loop if line.strip()]) <= 15
        own, remembers = (next(s for s in scopes if name in s) for name in ("Mine", "objective"))
        built = own["Mine"](steps=7).build(DataInfo("digits", 1000, (24, 24, 3), 24, 10, {}))
        outputs = jssl.Outputs(*[{"cls": np.zeros((2, 3, 4), np.float32)}] * 2)
        loss, center, _ = remembers["objective"].apply(np.zeros(4, np.float32), outputs, 0)
        assert (built.steps, built.batch) == (7, 128) and np.isclose(loss, np.log(4)) and not center.any()
    else:
        assert int(scope["result"].state.step) == 2 and scope["result"].table == {}
        results = [*scopes[0]["results"].values(), scopes[1]["result"], scopes[2]["result"]]
        assert all(int(one.state.step) == 2 and "learned" in one.table for one in results)


def test_the_page_of_weights_works_from_top_to_bottom(photos):
    """Its cells, but for that of two towers, and what it does with a run; on small networks and images."""
    cases = ROOT / "tests/weights/cases"
    tiny = dict(batch=8, steps=1, warmup=0, size=16)
    decoder = dict(decoder_dim=16, decoder_depth=1, decoder_heads=2)
    heads = dict(prototypes=8, hidden=16, bottleneck=8, locals=0)
    jssl.run("dino", data="photos", encoder="vit_n4", out="runs/dino", **tiny, **heads)
    small = {
        '"facebook/dinov2-small"': f'"{cases / "hf_dinov2_registers"}"',
        '"checkpoint.pth", part="student"': f'"{cases / "dinov2_checkpoint"}", part="teacher"',
        "folder:/images": "photos",
        '"mae_vitb16"': '"runs/dino"',
        "batch=64, epochs=20": "**tiny, **decoder",
        'jssl.load("digits"), jssl.load("digits", split="test")': "own, own",
        "batch=32, epochs=50": "**tiny",
    }
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (48, 16, 16, 3), np.uint8)
    scope = {"tiny": tiny, "decoder": decoder, "images": images[:2], "query": "photos/day/0.png"}
    scope["own"] = jssl.data.from_arrays(images, np.arange(48) % 2)
    page, found = "\n---\n".join(blocks("weights.md", "python")), 0
    for shown, ours in small.items():
        assert shown in page
        page = page.replace(shown, ours)
    for number, block in enumerate(page.split("\n---\n")):
        if "openai/clip" not in block:
            exec(compile(block, f"weights.md, {number}", "exec"), scope)
            found += 1
        if number == 0:  # the page's images are of 224 pixels, on which a patch of 7 makes 1,024 tokens
            w = scope["w"]
            scope["w"] = replace(w, preprocess=replace(w.preprocess, size=28, crop=28))
    assert found == 7 and scope["student"].part == "teacher"
    assert scope["features"].shape == (48, 32) and len(scope["names"]) == len(scope["labels"]) == 48
    assert any(name.endswith("day/0.png") for name in scope["names"][np.asarray(scope["nearest"][0])])
    assert Path("runs/continued/report.html").exists() and Path("runs/fine_tune/report.html").exists()
    written = {"dino.safetensors": "dino_vit", "same": "hf_dinov2_registers", "folder": "timm_vit"}
    assert {path: jssl.weights.load(path).family for path in written} == written

    lines = [
        line for line in code_of(DOCS / "weights.md") if re.match(r"jssl (embed|export) runs/dino ", line)
    ]
    for line in lines:
        line = line.replace("tfds:cifar10 --split test", "photos").replace("8 9 10 11", "0 1")
        command.main(shlex.split(line)[1:])
    with np.load("features.npz") as file:
        assert len(lines) == 2 and file["features"].shape == (48, 2 * 2 * 96)
    assert jssl.weights.load("dino_timm").family == "timm_vit"


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


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


def code_of(page):
    """The lines of a page's blocks without a language, and its spans of code."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
    text = page.read_text()
    for language, block in fence.findall(text):
        if not language:
            yield from (line.partition("   #")[0] for line in block.replace("\\\n", " ").splitlines())
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", fence.sub("", text)))


def shown_by_help():
    """The commands that systems' own pages and `--help` show, each with what shows it.

    Those with no flags but --demo, --data and --out are left out: they can be given to any system.
    """
    texts = {name: named(name).__doc__ for name in REGISTRY}
    for name, entry in command.COMMANDS.items():
        texts[name] = importlib.import_module(entry.function.partition(":")[0]).__doc__
    for name, text in texts.items():
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            said = re.split(r"\s+#|\s{3,}", line.strip())[0]
            flags = set(re.findall(r"--\S+", said)) - {"--demo", "--data", "--out"}
            if said.startswith("jssl ") and (flags or not said.startswith("jssl train ")):
                yield name, said


def commands(pattern):
    """What the pages' commands say after a pattern's beginning, each with the page that it stands on."""
    shown = [(page.stem, line) for page in PAGES for line in code_of(page)]
    for page, line in [*shown, *shown_by_help()]:
        if found := re.search(rf"\b{pattern}", line):
            said = found[1].partition(" > ")[0].rstrip(" '\")")
            yield pytest.param(said, id=f"{page}: {said[:60]}")


def given(line):
    """The words of a command; where it leaves one open there is an example, or nothing."""
    examples = {"NAME": "dino", "NAME...": "knn"} | dict.fromkeys(("RUN", "SOURCE", "runs/*"), "runs/dino")
    words = [examples.get(word, word) for word in shlex.split(line)]
    pairs = zip(["", *words], words, strict=False)
    return [
        "digits" if word == "..." else word for before, word in pairs if word != "..." or before[:2] == "--"
    ]


@pytest.mark.parametrize("line", commands(r"(?:jssl train |python -m experiments\.)(\w+ .*)"))
def test_commands_are_ones_that_can_be_given(line):
    name, *arguments = given(line)
    if "--help" in arguments:
        return
    settings, options = parse(module_of(name).demo, arguments, command=["jssl", "train", name])
    assert type(settings) is type(module_of(name).demo) and isinstance(options, Options)
    weights = (
        None if name != "fine_tune" else jssl.weights.load(ROOT / "tests/weights/cases/hf_dinov2_registers")
    )
    settings = replace(settings, start=weights)  # which nobody has here
    settings = replace(settings, teacher=None) if hasattr(settings, "teacher") else settings
    data = DataInfo("photos", 100_000, (256, 256, 3), 256, 10, {"caption": ((32,), "int32")})
    experiment = settings.build(data)
    assert experiment.batch == settings.batch and experiment.steps >= 1


class Reached(BaseException):
    """A command line was read, and the function that does the work was called."""


WORK = {
    "compare": "jssl.run.evaluation.comparison.compare",
    "curate": "jssl.run.curate.curate",
    "embed": "jssl.run.evaluation.embed.embed",
    "evaluate": "jssl.run.evaluation.protocols.evaluate",
    "export": "jssl.run.weights.export.export",
    "gallery": "jssl.run.gallery.write_gallery",
    "open": "jssl.run.directory.opening.read_config",
}


@pytest.mark.parametrize("line", commands(r"jssl (?!train)(\w+ .*)"))
def test_other_commands_are_ones_that_can_be_given(line, tmp_path, monkeypatch, capsys):
    def reached(*_, **__):
        raise Reached

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "dino" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "dino" / "config.json").write_text("{}")
    for function in WORK.values():
        monkeypatch.setattr(function, reached)
    name, *arguments = given(line)
    if name in WORK and "--list" not in arguments:
        with pytest.raises(Reached):
            command.main([name, *arguments])
    else:
        command.main([name, *arguments])
        assert capsys.readouterr().out


@pytest.mark.parametrize("line", commands(r"python -m (benchmarks\.\w+.*)"))
def test_benchmarks_have_the_flags_that_pages_give_them(line):
    module, *arguments = line.split()
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    assert all(f'"{flag}"' in source for flag in arguments if flag.startswith("--"))


@pytest.mark.parametrize("target", commands(r"make (\w+)$"))
def test_make_has_the_targets_that_pages_name(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", ["own_images_dinov2.md", "pods.md", "weights.md"])
def test_what_a_page_takes_of_the_library_is_there(page):
    """Pages whose lines need files that nobody has here: their names are looked up."""
    found = 0
    for node in (node for block in blocks(page, "python") for node in ast.walk(ast.parse(block))):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) or name.name in REGISTRY for name in node.names)
        elif re.fullmatch(r"(jssl|weights)(\.\w+)+", said := ast.unparse(node)):
            eval(said, {"jssl": jssl, "weights": jssl.weights})
            found += 1
    assert found
