"""Weights that settings name: opened, fitted to an experiment, and read when they are needed."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, get_type_hints

import jax

from jssl.run.settings.experiment import AS_DRAWN, DataInfo, Experiment, Settings, Weights
from jssl.run.weights.from_weights import Start, beside, fitted, in_words, opened
from jssl.weights.directory import NETWORK
from jssl.weights.loaded import Loaded


def settings_with_weights(
    settings: Settings, config: Mapping[str, Any] | None, loaded: Loaded | None = None
) -> tuple[Settings, Loaded | None]:
    """Opens all weights that the settings name: those that a run starts from, and a frozen teacher's.

    Args:
        settings: Of the experiment.
        config: What the run's config.json holds; None before it is begun.
        loaded: The weights to start from, if they have been opened already.
    Returns:
        The settings with opened weights, and those of `start`; None without it.
    """
    told = config or {}
    further: dict[str, Any] = {
        name: opened(value, told.get(name), flag=name)
        for name, value in _beside(settings).items()
        if value != AS_DRAWN
    }
    settings, start = replace(settings, **further), getattr(settings, "start", None)
    if start is None:
        return settings, None
    loaded = loaded or opened(start, told.get(NETWORK), flag="start")
    changed: dict[str, Any] = {"start": loaded}  # a field of classes of settings, not of all
    return replace(settings, **changed), loaded


def by_name(settings: Settings, before: Settings) -> Settings:
    """Puts names back in place of opened weights.

    Args:
        settings: With opened weights.
        before: The same settings before the weights were opened.
    """
    opened_ones = (x.name for x in fields(before) if isinstance(getattr(settings, x.name), Loaded))
    return replace(settings, **{name: getattr(before, name) for name in opened_ones})


def told_beside(settings: Settings) -> dict[str, Any]:
    """Describes for config.json the weights besides those of --start, which are the run's own network.

    Args:
        settings: With opened weights.
    Returns:
        {setting: the description that `opened` reads}.
    """
    return {name: in_words(value) for name, value in _beside(settings).items() if isinstance(value, Loaded)}


def _beside(settings: Settings) -> dict[str, Any]:
    """Weights that settings name besides those of --start, such as a frozen teacher's."""
    hints = get_type_hints(type(settings))
    named = [field.name for field in fields(settings) if hints[field.name] == Weights | None]
    values = {name: getattr(settings, name) for name in named if name != "start"}
    return {name: value for name, value in values.items() if value is not None}


def fit(experiment: Experiment, info: DataInfo, loaded: Loaded, name: str) -> Start:
    """Fits weights to an experiment's method, see `fitted`."""
    e = experiment
    shapes = jax.eval_shape(
        lambda batch: e.method.init(jax.random.key(0), e.views(jax.random.key(0), batch)), info.batch(e.batch)
    )
    side = e.preprocess.crop if e.preprocess is not None else info.side
    return fitted(loaded, e.method, shapes, side=side, name=name)


def begun_with(settings: Settings, info: DataInfo, start: Start, name: Any) -> Callable[[], Start | None]:
    """Makes the function that returns the arrays that a run begins with. Weights that were not read, because
    the run had begun already, are read when the function is called.

    Args:
        settings: By name.
        info: Sizes of the data.
        start: Arrays, or shapes that stand in for them.
        name: Of the weights of `start`, for messages.
    """

    def begin() -> Start | None:
        if start.read:
            return start
        again, weights = settings_with_weights(settings, None)
        experiment = again.build(info)
        own = None if weights is None else fit(experiment, info, weights, name)
        return beside(own, experiment.given)

    return begin
