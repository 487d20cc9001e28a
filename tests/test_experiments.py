"""Every system's experiment builds with its paper's settings, and its demo takes steps on tiny data and
writes a report.
"""

import inspect
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from jssl.experiments import REGISTRY

import jssl
from jssl.data.sources import scenes
from jssl.run import DataInfo, Settings, Training
from jssl.run.plan import experiment_name, plan
from jssl.run.settings.options import Options
from jssl.run.settings.systems import markdown_table, module_of, named, settings_page, text_table
from tests.run.tiny import tower

ROOT = Path(__file__).parent.parent
TINY = dict(batch=8, steps=2, size=16)


SMALLER = {  # of the demos' own settings, to compile quickly
    "encoder": {"resnet10x0.25_cifar": "resnet10x0.125_cifar"},
    "queue": 16,
    "prototypes": 8,
    "clusters": (3, 4),
    "recent": 16,
    "words": 16,
    "offsets": (1,),
    "patch": 8,
    "stride": 4,
    "levels": ("layer2",),
    "negatives": 4,
    "hidden": 16,
    "dim": 8,
    "ssl_dim": 8,
    "bottleneck": 8,
    "locals": 1,
    "decoder_dim": 16,
    "predictor_dim": 24,
    "min_keep": 1,
    "count": 2,
    "teacher": {"runs/clip-demo": tower(patch=8, dim=8, depth=1, heads=2)},
}
IMAGENET = DataInfo("imagenet", 1_281_167, (224, 224, 3), 224, 1000, {"caption": ((32,), "int32")})


@pytest.fixture(scope="module")
def drawn():
    """32 scenes with captions, to train and to test on."""
    return (scenes.scenes(count=32, side=16),) * 2


def test_the_registry_has_every_file_and_every_file_its_class():
    assert set(REGISTRY) == {path.stem for path in (ROOT / "experiments").glob("*.py")} - {"__init__"}
    for name, system in REGISTRY.items():
        assert named(name) is getattr(jssl.experiments, system.experiment)
        assert getattr(jssl.experiments, name) is module_of(name)
        assert type(module_of(name).demo) is named(name)
    with pytest.raises(AttributeError):
        _ = jssl.experiments.Dyno


def test_the_tables_have_every_system():
    text, markdown = text_table(REGISTRY).splitlines(), markdown_table(REGISTRY).splitlines()
    assert len(text) == 1 + len(REGISTRY) and len(markdown) == 2 + len(REGISTRY)
    for name, line, row in zip(REGISTRY, text[1:], markdown[2:], strict=True):
        assert line.startswith(f"{name} ") and row.startswith(f"| `{name}` | {REGISTRY[name].title} |")
        assert (
            REGISTRY[name].paper in line and REGISTRY[name].reaches in line and REGISTRY[name].reaches in row
        )


def test_the_readme_shows_the_table_of_the_registry():
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition("<!-- systems -->\n")[2].partition("\n<!-- /systems -->")[0]
    assert shown == markdown_table(REGISTRY)  # `python -m jssl list --markdown` prints it


def test_the_page_of_settings_is_that_of_the_experiments():
    assert (ROOT / "docs" / "systems.md").read_text().strip() == settings_page(REGISTRY).strip()


@pytest.mark.parametrize("name", REGISTRY)
def test_a_systems_sources_are_of_its_settings(name):
    assert set(module_of(name).SOURCES) - {""} <= {field.name for field in fields(named(name))}


@pytest.mark.parametrize("name", REGISTRY)
def test_says_what_it_is(name):
    kind = named(name)
    told = inspect.getdoc(kind)
    assert (
        f"arXiv:{REGISTRY[name].paper}" in told
        and f"jssl train {name} --demo" in told
        and "The paper" in told
    )
    assert is_dataclass(kind) and kind.__dataclass_params__.frozen and kind.__doc__ is not Training.__doc__
    assert experiment_name(kind) == name  # what its runs are called, and by what others' are refused


@pytest.mark.parametrize("name", REGISTRY)
def test_the_papers_settings_build_without_a_file(name, monkeypatch):
    def opened(*_, **__):
        raise AssertionError("build opens a file")

    settings = named(name)()
    monkeypatch.setattr("builtins.open", opened)
    experiment = settings.build(IMAGENET)
    assert experiment.batch == settings.batch and experiment.peak_rate == settings.peak_rate
    steps = settings.steps or round(settings.epochs * (IMAGENET.examples // settings.batch))
    per_epoch = steps / settings.epochs
    assert experiment.steps == steps
    if settings.warmup:  # SupCon's rises to where a cosine of all epochs is
        assert float(experiment.learning_rate(round(settings.warmup * per_epoch))) == pytest.approx(
            settings.peak_rate, rel=1e-3 if name == "supcon" else 1e-5
        )


@pytest.mark.parametrize("name", REGISTRY)
def test_every_number_of_a_paper_stands_on_its_page(name):
    """What a base class gives a default is a way to compile or to read, not a paper's number."""
    own, inherited = named(name), {"data_dir", "steps", "size", "scan", "remat", "attention", "head_norm"}
    inherited |= {
        "canvas",
        "share",
        "per_class",
        "only",
        "start",
        "teacher",
        "continued_rate",
        "layer_decay",
        "frozen_blocks",
        "lora",
        "start_rate",
        "drops",
    }
    assert {field.name for field in fields(own)} - set(own.__dict__["__annotations__"]) <= inherited


@pytest.mark.parametrize("constant, ratio", [(True, 2 / (1 + np.cos(0.75 * np.pi))), (False, 1.0)])
def test_simsiams_predictor_may_keep_its_rate(constant, ratio):
    settings = jssl.experiments.SimSiam(steps=4, weight_decay=0.0, constant_predictor=constant)
    optimizer = settings.build(IMAGENET).optimizer
    params = {part: {"kernel": np.ones((2, 2), np.float32)} for part in ("encoder", "cls", "prediction")}
    state = optimizer.init(params)
    for _ in range(4):
        updates, state = optimizer.update(params, state, params)
    moved = {part: float(update["kernel"][0, 0]) for part, update in updates.items()}
    assert moved["cls"] == moved["encoder"] < 0
    assert moved["prediction"] / moved["encoder"] == pytest.approx(ratio, rel=1e-5)


def small(name) -> tuple[Settings, dict]:
    """A system's demo, and what makes it small."""
    own, smaller = module_of(name).demo, {}
    for field in fields(own):
        value, change = getattr(own, field.name), SMALLER.get(field.name)
        if change is not None and value != getattr(named(name)(), field.name):
            smaller[field.name] = change.get(value, value) if isinstance(change, dict) else change
    return own, smaller | TINY


@pytest.mark.parametrize("name", REGISTRY)
def test_the_demo_is_planned(name, drawn):
    """Its first state and its step are traced: what does not fit together stops here."""
    own, smaller = small(name)
    planned = plan(replace(own, **smaller, data=drawn), Options())
    assert planned.experiment.steps == TINY["steps"] and planned.experiment.batch == TINY["batch"]


def reported(result):
    """The baselines stand beside what was learned, and there is a report."""
    assert set(result.table) >= {"raw pixels", "random network", "learned"}
    assert (result.directory / "report.html").stat().st_size > 1000
    return list(result.table.get("chance", {}))


def test_the_demo_is_probed_and_reported(drawn, tmp_path):
    own, smaller = small("dino")
    assert reported(jssl.run(own, **smaller, data=drawn, out=str(tmp_path))) == []


def test_a_run_is_started_by_name_by_class_and_by_settings(drawn, tmp_path):
    own, smaller = small("rotation")
    settings = replace(own, **smaller)
    changed = {field.name: getattr(settings, field.name) for field in fields(settings)}
    changed |= dict(data=drawn, out=str(tmp_path))
    result = jssl.run("rotation", **changed)
    assert int(result.state.step) == 2
    assert reported(result) == ["task_accuracy"]  # a guess at a method's own task has a row
    assert "task_accuracy" in result.table["learned"]
    for way in (jssl.experiments.Rotation, settings):  # each resumes at the end
        assert int(jssl.run(way, **changed).state.step) == 2
    with pytest.raises(ValueError, match="rotation has no setting bacth; did you mean batch?"):
        jssl.run("rotation", bacth=3)
    features = jssl.open_run(tmp_path).features(drawn[0].images)
    assert features.shape[0] == 32 and np.isfinite(features).all()
