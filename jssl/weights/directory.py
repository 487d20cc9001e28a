"""Reads from a run's directory what its weights need: config.json and the newest checkpoint."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jssl.checkpoint import Checkpoints

CONFIG, CHECKPOINTS = "config.json", "checkpoints"
NETWORK, EVALUATED = "network", "evaluated"  # entries of config.json


def as_path(directory):
    """Makes a path of a name, local or in a bucket such as gs://bucket/run."""
    if "://" not in str(directory):
        return Path(directory)
    from etils import epath

    return epath.Path(directory)


def is_file(path) -> bool:
    """Whether this is a file that can be read to its end, and no pipe or device."""
    return "://" in str(path) or os.path.isfile(path)


def run_config(directory) -> dict[str, Any] | None:
    """Reads a run's config.json; None where the directory is not a run's."""
    path = as_path(directory) / CONFIG
    config: Any
    try:
        config = json.loads(path.read_text()) if is_file(path) else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(config, dict) or "experiment" not in config:
        return None
    return config if all(isinstance(config.get(part), dict) for part in ("settings", "numbers")) else None


def read_config(directory) -> dict[str, Any]:
    """Reads a run's config.json.

    Raises:
        ValueError: where there is no run, or its config.json is not what a run writes.
    """
    if not (as_path(directory) / CONFIG).exists():
        raise ValueError(f"{directory} holds no run: there is no {CONFIG} in it")
    config = run_config(directory)
    if config is None:
        raise ValueError(f"{directory}: {CONFIG} there is not what a run writes; give another directory")
    return config


def is_run(directory) -> bool:
    """Tells whether a run has written this directory: a folder of published weights has a config.json too."""
    path = as_path(directory)
    return run_config(directory) is not None or (path / CONFIG).exists() and (path / CHECKPOINTS).exists()


def newest_state(directory, like: Any = None) -> Any:
    """Reads the newest checkpoint of a run.

    Args:
        directory: Of the run.
        like: A state of the wanted structure; None: nested dicts.
    Raises:
        ValueError: where there is none.
    """
    checkpoints = Checkpoints(as_path(directory) / CHECKPOINTS)
    state = checkpoints.read(like)
    checkpoints.close()
    if state is None:
        raise ValueError(f"{directory} has no checkpoint yet; train it for a while first")
    return state


def encoder_variables(state: Any, config: Mapping[str, Any], directory) -> dict[str, Any]:
    """Selects the variables of the evaluated encoder from a state.

    Args:
        state: A train state, or nested dicts.
        config: What the run's config.json holds.
        directory: Of the run, for the error.
    Returns:
        The variables of the encoder's module: {"params": ..., and "batch_stats" where it has them}.
    Raises:
        ValueError: where the configuration does not say where in the state the encoder lies.
    """
    if EVALUATED not in config:
        raise ValueError(
            f"{directory}: its {CONFIG} does not say which network is evaluated; run it again to write it"
        )
    return {kind: take(state, place) for kind, place in config[EVALUATED].items()}


def take(state: Any, place: str) -> Any:
    """Selects a part of a state by its path, such as memory.statistics.teacher.encoder.

    Args:
        state: Nested mappings, or objects with attributes.
        place: Names joined by dots.
    """
    for name in place.split("."):
        state = state[name] if isinstance(state, Mapping) else getattr(state, name)
    return state
