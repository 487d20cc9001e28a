"""The run directory: what was asked for, what was measured, and refusing to mix two runs."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jssl.checkpoint import first_difference
from jssl.extras import extra

CONFIG, METRICS, CHECKPOINTS, FIGURES, REPORT = (
    "config.json",
    "metrics.jsonl",
    "checkpoints",
    "figures",
    "report.html",
)
LEFT = (".writer", f".{CONFIG}.new")  # what a run that was killed at its very beginning leaves


def as_path(directory):
    """Makes a path of a name, local or in a bucket such as gs://bucket/run."""
    from etils import epath

    return epath.Path(directory)


def check_directory(directory, config: Mapping[str, Any]) -> None:
    """Refuses a directory where a run of this configuration may not live: it may in a new or empty one, or in
    its own.

    Args:
        directory: Of the run.
        config: {"experiment": name, "settings": {...}, ...}, JSON types.
    Raises:
        ValueError: naming what is in the way, or the first setting that differs.
    """
    path = as_path(directory)
    if not path.exists():
        return
    if not path.is_dir():
        raise ValueError(f"--out {directory} is a file; give a directory")
    if not (path / CONFIG).exists():
        if names := sorted(child.name for child in path.iterdir() if child.name not in LEFT):
            raise ValueError(
                f"--out {directory} holds other files, such as {names[0]}; give a directory of its own"
            )
        return
    there = read_config(directory)
    if (name := there.get("experiment")) != config["experiment"]:
        raise ValueError(
            f"--out {directory} belongs to experiment {name}, not {config['experiment']}; give another"
        )
    if difference := first_difference(compared(there), compared(config)):
        raise ValueError(
            f"--out {directory} belongs to a run with other settings: {difference}; give another"
        )


def read_config(directory) -> dict[str, Any]:
    """Reads what a run wrote about itself.

    Raises:
        ValueError: where there is no run, or its config.json is not what a run writes.
    """
    path = as_path(directory) / CONFIG
    if not path.exists():
        raise ValueError(f"{directory} holds no run: there is no {CONFIG} in it")
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
        raise ValueError(f"{directory}: {CONFIG} there cannot be read; give another directory")
    return config


def compared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Picks what a resumed run has to share of a configuration: all that changes the numbers, not where files
    lie.
    """
    config = json.loads(json.dumps(config))
    settings = {name: value for name, value in config.get("settings", {}).items() if name != "data_dir"}
    return {"experiment": config.get("experiment"), **settings, **config.get("numbers", {})}


class Record:
    """A run directory, written by process 0 alone; the others' records do nothing.

    Args:
        directory: Made where it is missing; `check_directory` has allowed it.
        config: Written once, as config.json.
    """

    def __init__(self, directory, config: Mapping[str, Any]):
        self.directory = as_path(directory)
        self._writes = jax.process_index() == 0
        self._board = None
        if not self._writes:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        if not (self.directory / CONFIG).exists():
            self._replace(CONFIG, json.dumps(config, indent=2) + "\n")
        if "://" not in str(directory):
            with extra():
                from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(self.directory), write_to_disk=True)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was written, in order; a last line cut short by a crash is left out."""
        path = self.directory / METRICS
        return list(_parsed(path.read_text())) if path.exists() else []

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one line of metrics.jsonl, and the same in TensorBoard's events."""
        if not self._writes:
            return
        plain = {name: value if math.isfinite(value) else None for name, value in values.items()}
        line = json.dumps({"step": step, **plain}) + "\n"
        path = self.directory / METRICS
        if "://" in str(path):  # buckets cannot append
            path.write_text((path.read_text() if path.exists() else "") + line)
        else:
            with path.open("a") as file:
                file.write(line)
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()

    def forget_after(self, step: int) -> None:
        """Forgets what was measured after the step that training resumes from: it is about to be measured
        again.
        """
        if self._writes and (self.directory / METRICS).exists():
            kept = [json.dumps(row) + "\n" for row in self.rows if row["step"] <= step]
            self._replace(METRICS, "".join(kept))

    def figure(self, name: str, png: bytes) -> None:
        """Writes figures/<name>.png."""
        if self._writes:
            (self.directory / FIGURES).mkdir(parents=True, exist_ok=True)
            (self.directory / FIGURES / f"{name}.png").write_bytes(png)

    def text(self, name: str, content: str) -> None:
        """Writes a file of text, such as report.html."""
        if self._writes:
            self._replace(name, content)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def _replace(self, name: str, content: str) -> None:
        whole = self.directory / f".{name}.new"  # so that a crash leaves the old file or the new one
        whole.write_text(content)
        whole.replace(self.directory / name)


def _parsed(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
