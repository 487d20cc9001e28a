"""Every field of every experiment with values that make no sense: one line at once, nothing written."""

import importlib
from dataclasses import fields, replace
from typing import get_type_hints

import jax
import numpy as np
import pytest

from jssl import experiments
from jssl.data import from_arrays
from jssl.run.plan import plan
from jssl.run.settings.numbers import PLAIN, _ranges
from jssl.run.settings.options import Options
from tests.run.tiny import tower

NUMBERS = (float("nan"), float("inf"), float("-inf"), -1, -0.5, 10**12, 2**64, 1e300)
WORDS = ("", "no_such_thing", "../../etc/passwd", "nul\0byte", "x" * 5_000, "ünïcode 🙂", "--out")


def few_images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    return from_arrays(images, np.arange(40) % 2, name="few", caption=np.ones((40, 12), np.int32))


@pytest.fixture(autouse=True)
def untraced(monkeypatch):
    """Plans end before the step is traced: what is refused by then costs no time."""

    class Traced(Exception):
        pass

    def stop(*args):
        raise Traced

    monkeypatch.setattr("jssl.run.plan.state_shapes", stop)
    return Traced


def said_of(settings, options, traced) -> str | None:
    """The one line that refuses a plan; None where it is accepted."""
    try:
        plan(settings, options)
    except traced:
        return None
    except (ValueError, OSError, ImportError) as refused:
        return " ".join(str(refused).split())
    raise AssertionError("a plan that is neither traced nor refused")


def numeric(hint) -> bool:
    parts = getattr(hint, "__args__", ())
    return hint in (int, float) or any(numeric(part) for part in parts)


@pytest.mark.parametrize("name", experiments.REGISTRY)
def test_every_field_of_an_experiment(name, tmp_path, untraced):
    demo = importlib.import_module(f"jssl.experiments.{name}").demo
    demo = replace(demo, data=few_images(), batch=8, size=16)
    if getattr(demo, "teacher", None) == "runs/clip-demo":
        demo = replace(demo, teacher=tower(patch=8, dim=8, depth=1, heads=2))
    options = Options(out=str(tmp_path / "run"))
    assert said_of(demo, options, untraced) is None
    hints = get_type_hints(type(demo), include_extras=True)
    for field in fields(demo):
        if field.name == "data":
            continue
        hint = hints[field.name]
        if not numeric(hint):
            for value in WORDS if field.name in ("encoder", "views", "remat") else ():
                said = said_of(replace(demo, **{field.name: value}), options, untraced)
                assert said and len(said) < 6_000, (field.name, value, said)
            continue
        least = next(_ranges(hint), PLAIN).low
        several = isinstance(getattr(demo, field.name), tuple)
        for value in (*NUMBERS, *([0] if least > 0 else [])):
            given = (value,) if several else value
            said = said_of(replace(demo, **{field.name: given}), options, untraced)
            assert said and f"--{field.name.replace('_', '-')}" in said, (field.name, value, said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", [field.name for field in fields(Options)])
def test_every_option(field, tmp_path, untraced):
    demo = replace(experiments.simclr.demo, data=few_images(), batch=8, size=16)
    options = Options(out=str(tmp_path / "run"))
    wrong = {"mesh": WORDS[1:5], "dtype": WORDS, "out": (__file__, "nul\0byte")}
    for value in wrong.get(field, (*NUMBERS, *([-(2**70)] if field == "seed" else []))):
        said = said_of(demo, replace(options, **{field: value}), untraced)
        fine = field == "coordinator" or (field == "seed" and value == 10**12)
        assert said or fine, (field, value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong, words",
    [
        (dict(batch=41), "batch of 41 is larger than the data, which has 36 samples"),
        (dict(data="npz:/nowhere.npz"), "no such file"),
        (dict(data="folder:/nowhere"), "/nowhere"),
        (dict(data="digit"), "unknown data 'digit'"),
        (dict(data="imagenet"), "unknown data"),
        (dict(encoder="vit_z16"), "did you mean"),
        (dict(views="simcrl"), "--views must be one of"),
        (dict(scan=True), "--scan is for transformers"),
        (dict(remat="blocks"), "--remat is for transformers"),
        (dict(epochs=0.0, steps=None), "--epochs must be more than 0"),
        (dict(epochs=1e9, steps=None), "a run must have 1 to 2,147,483,647 steps"),
        (dict(warmup=10.0), "--warmup of 10 epochs"),
    ],
)
def test_settings_that_do_not_fit_together(wrong, words, tmp_path, untraced):
    demo = replace(experiments.simclr.demo, data=few_images(), batch=8, size=16)
    said = said_of(replace(demo, **wrong), Options(out=str(tmp_path / "run")), untraced)
    assert said and words in said, said
    assert list(tmp_path.iterdir()) == [] and jax.process_index() == 0


@pytest.mark.parametrize(
    "options, given, words",
    [
        (dict(accumulate_exactly=True), {}, "--accumulate-exactly is about a batch in parts"),
        ({}, dict(continued_rate=0.5), "--continued-rate is of runs that continue from weights"),
    ],
)
def test_settings_without_effect(options, given, words, tmp_path):
    demo = replace(experiments.simclr.demo, data=few_images(), batch=8, size=16, **given)
    with pytest.raises(ValueError, match=words):
        plan(demo, Options(out=str(tmp_path / "run"), **options), given=set(given))
