"""Reads what the earlier run in a directory was, and checks whether a run may continue it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jssl.run.data.gather import Gathered
from jssl.run.directory.record import BUDGET
from jssl.run.settings.experiment import DataInfo, Settings
from jssl.weights.directory import CONFIG, as_path, read_config

MARKS = "marks"  # the entry of config.json with the marks that identify its data


class Shorter(NamedTuple):
    """A run before it was extended.

    Attributes:
        steps: How many it was planned to have.
        learning_rate: Its schedule, step -> rate.
    """

    steps: int
    learning_rate: Callable[[Any], Any]


def config_of(directory) -> dict[str, Any] | None:
    """Reads the configuration in a run directory; None where there is no run."""
    return read_config(directory) if (as_path(directory) / CONFIG).exists() else None


def check_data(out, before: Mapping[str, Any] | None, data: Gathered, info: DataInfo) -> None:
    """Refuses a directory among the run's own images, where its figures would be trained on, and data that
    have changed since the run began.

    Args:
        out: The run's directory.
        before: Its config, as `config_of` reads it.
        data: Its data.
        info: The data's sizes and counts.
    Raises:
        ValueError: saying which of the two.
    """
    kind, _, root = info.name.partition(":")
    here = None if "://" in str(out) else Path(out).resolve()
    if here and kind == "folder" and Path(root).is_dir() and here.is_relative_to(Path(root).resolve()):
        raise ValueError(
            f"--out {out} lies in --data {root}, so that its figures would be images to train on; give "
            "another --out"
        )
    kept = before or {}
    counts = kept.get("data")
    if data.passing is not None or not isinstance(counts, Mapping):
        return
    advice = f"give the data as it was, or another directory, with --start {out} to go on from its weights"
    counted = {"images": ("examples", info.examples), "classes": ("classes", info.classes)}
    for word, (name, now) in counted.items():
        if (then := counts.get(name, now)) != now:
            raise ValueError(
                f"--data {info.name} has {now:,} {word}, and had {then:,} when the run in --out {out} began; "
                + advice
            )
    marks = kept.get(MARKS)
    if not isinstance(marks, Mapping):  # of an earlier version, which kept none
        return
    for word, mark in data.marks.items():
        if marks.get(word, mark) != mark:
            raise ValueError(
                f"--data {info.name}: its {word} are others than when the run in --out {out} began, or in "
                f"another order; {advice}"
            )


def extended(
    out, before: Mapping[str, Any] | None, settings: Settings, info: DataInfo, steps: int
) -> Shorter | None:
    """Returns the earlier plan of a run that is extended to more steps.

    Args:
        out: The run's directory.
        before: Its config, as `config_of` reads it.
        settings: Of the run that continues it.
        info: Sizes and counts of its data.
        steps: The new number of steps.
    Returns:
        A `Shorter`; None for a new run, or one with the same number of steps.
    Raises:
        ValueError: for fewer steps than it had.
    """
    had = steps if before is None else before.get("steps", steps)
    if before is None or had == steps:
        return None
    if had > steps:
        raise ValueError(
            f"--out {out} holds a run of {had:,} steps, which may become longer, not {steps:,}; "
            "give another directory"
        )
    budget = {name: value for name, value in before["settings"].items() if name in BUDGET}
    return Shorter(had, replace(settings, **budget).build(info).learning_rate)
