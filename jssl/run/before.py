"""What a run directory's earlier run was, and what may go on in it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jssl.run.data.gather import Gathered
from jssl.run.directory.record import BUDGET
from jssl.run.settings.experiment import DataInfo, Settings
from jssl.weights.directory import CONFIG, as_path, read_config

MARKS = "marks"  # the entry of config.json that says what its data is known again by


class Shorter(NamedTuple):
    """A run before it was extended.

    Attributes:
        steps: That it was to have.
        learning_rate: Its schedule, step -> rate.
    """

    steps: int
    learning_rate: Callable[[Any], Any]


def config_of(directory) -> dict[str, Any] | None:
    """Reads what a run directory says of its run; None where there is no run."""
    return read_config(directory) if (as_path(directory) / CONFIG).exists() else None


def check_data(out, before: Mapping[str, Any] | None, data: Gathered, info: DataInfo) -> None:
    """Refuses a run among its own images, whose figures would be trained on, and one whose data is not what
    it began with.

    Args:
        out: The run's directory.
        before: Its config, as `config_of` reads it.
        data: What it sees.
        info: What is counted of it.
    Raises:
        ValueError: saying which.
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
    """Says what the run in a directory was to be, where it had fewer steps.

    Args:
        out: The directory.
        before: Its config, as `config_of` reads it.
        settings: Of the run that is to go on.
        info: What is counted of its data.
        steps: That it is to have.
    Returns:
        A `Shorter`; None for a new run, or one of as many steps.
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
