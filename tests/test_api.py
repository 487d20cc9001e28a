"""The public surface: every public function says its shapes, what it returns and where it is from."""

import importlib
import inspect
import pkgutil

import pytest

import jssl
from jssl import masks, methods, objectives
from jssl.methods import frames

LOSSES = [n for n in objectives.__all__ if inspect.isfunction(getattr(objectives, n))]
METHODS = [n for n in methods.__all__ if inspect.isfunction(getattr(methods, n))]
FRAMES = [module.name for module in pkgutil.iter_modules(frames.__path__) if hasattr(jssl, module.name)]


def test_all_public_names_exist():
    for package in (jssl, jssl.data, jssl.evaluate, jssl.methods, jssl.models, jssl.objectives, jssl.optim):
        for name in package.__all__:
            assert hasattr(package, name), f"{package.__name__}.{name}"
        assert sorted(package.__all__) == sorted(set(package.__all__))


@pytest.mark.parametrize("name", LOSSES)
def test_objectives_say_what_they_return_with_an_example(name):
    told = inspect.getdoc(getattr(objectives, name))
    assert "Returns:" in told and ">>>" in told


@pytest.mark.parametrize("name", [*LOSSES, *METHODS])
def test_hyper_parameters_are_keyword_only(name):
    """Arrays and networks come first; what has a default and is a number is passed by name."""
    function = getattr(objectives if name in LOSSES else methods, name)
    for parameter in inspect.signature(function).parameters.values():
        if isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool):
            assert parameter.kind is parameter.KEYWORD_ONLY, parameter


@pytest.mark.parametrize("name", [n for n in METHODS if n != "weighted_methods"])
def test_methods_name_their_paper_and_what_they_need(name):
    told = inspect.getdoc(getattr(methods, name))
    assert "arXiv:" in told and "Returns:" in told and "views:" in told
    assert "@" in jssl.citation(getattr(methods, name))


def test_frames_are_modules_of_their_own():
    assert len(FRAMES) == 7 and all(
        inspect.ismodule(importlib.import_module(f"jssl.methods.frames.{name}")) for name in FRAMES
    )
    assert not hasattr(frames, "__all__")


@pytest.mark.parametrize("name", FRAMES)
def test_frames_say_their_loss(name):
    told = inspect.getdoc(getattr(jssl, name))
    assert "loss = " in told and "Returns:" in told


@pytest.mark.parametrize(
    "name", ["random_mask", "unit_mask", "block_mask", "multiblock_masks", "hint_attention_mask"]
)
def test_masks_take_keys_first(name):
    assert next(iter(inspect.signature(getattr(masks, name)).parameters)) == "keys"
