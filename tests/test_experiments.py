"""Every experiment builds with its paper's settings, and its demo takes steps on tiny data and writes a report."""

import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest

from jssl.data import from_arrays
from jssl.data.sources import scenes
from jssl.run import Experiment, run
from jssl.run.plan import experiment_name

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__")
TINY = dict(batch=8, steps=2, size=16)
SMALLER = {  # of the demos' own settings, to compile quickly
    "encoder": {"resnet10x0.25_cifar": "resnet10x0.125_cifar"},
    "queue": 16,
    "examples": 32,
    "prototypes": 8,
    "clusters": (3, 4),
    "negatives": 4,
    "hidden": 16,
    "features": 8,
    "bottleneck": 8,
    "locals": 1,
    "decoder_dim": 16,
    "predictor_dim": 24,
    "dim": 8,
    "min_keep": 2,
}


def module(name):
    return importlib.import_module(f"experiments.{name}")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """32 scenes with captions, as an npz and in memory."""
    drawn = scenes.scenes(count=32, side=16)
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    arrays = dict(images=drawn.images, labels=drawn.labels, class_names=np.array(drawn.class_names))
    np.savez(path, **arrays, test_images=drawn.images, test_labels=drawn.labels)
    return f"npz:{path}"


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is(name):
    told, function = module(name).__doc__, module(name).experiment
    assert "arXiv:" in told and f"python -m experiments.{name} --demo" in told and "The paper" in told
    assert set(module(name).demo) <= set(inspect.signature(function).parameters)
    assert experiment_name(function) == name  # what its runs are called, and by what others' are refused


@pytest.mark.parametrize("name", NAMES)
def test_the_demo_takes_steps_and_reports(name, data, tmp_path):
    own, smaller = module(name).demo, {}
    for key, value in own.items():
        change = SMALLER.get(key)
        if change is not None:
            smaller[key] = change.get(value, value) if isinstance(change, dict) else change
    captioned = name in ("clip", "slip")  # an npz has no captions
    settings = own | smaller | TINY | ({} if captioned else {"data": data})
    if captioned:
        experiment = module(name).experiment(**settings)
        drawn = scenes.scenes(count=32, side=16)
        assert isinstance(experiment, Experiment)
        result = run(lambda: experiment._replace(data=drawn, test=drawn), out=str(tmp_path / name))
    else:
        result = run(module(name).experiment, **settings, out=str(tmp_path / name))
    assert int(result.state.step) == 2
    assert (tmp_path / name / "report.html").stat().st_size > 1000
    assert set(result.table) >= {"raw pixels", "random network", "learned"}


def test_a_source_without_labels_is_trained_on_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), np.uint8)
    settings = module("rotation").demo | TINY | {"encoder": "resnet10x0.125_cifar"}
    experiment = module("rotation").experiment(**(settings | {"data": "digits"}))
    result = run(lambda: experiment._replace(data=from_arrays(images)), out=str(tmp_path))
    assert int(result.state.step) == 2 and result.table == {}
