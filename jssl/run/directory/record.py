"""The run directory: what was asked for, what was measured, and refusing to mix two runs."""

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import jax

from jssl.checkpoint import first_difference
from jssl.run.directory.board import Board
from jssl.run.directory.trackers import TRACKERS, Careful, Tracker
from jssl.weights.directory import CONFIG, as_path, is_file, read_config

METRICS, FIGURES, REPORT = "metrics.jsonl", "figures", "report.html"
LEFT = (".writer", f".{CONFIG}.new")  # what a run that was killed at its very beginning leaves
BUDGET = ("steps", "epochs")  # settings that a run may be resumed with more of


def check_directory(directory, config: Mapping[str, Any]) -> None:
    """Refuses a directory that is neither new nor empty nor that of a run of this configuration.

    Args:
        directory: Of the run.
        config: {"experiment": name, "settings": {...}, ...}, JSON types.
    Raises:
        ValueError: naming what is in the way, or the first setting that differs.
    """
    if "\0" in str(directory):
        raise ValueError(f"--out {str(directory)!r} cannot be a directory's name; give another")
    if not str(directory).strip():
        raise ValueError("--out is empty; give a directory, or leave it out")
    if str(directory).startswith("~"):
        raise ValueError(
            f"--out {directory}: a shell turns ~ into a folder only where a word begins with it; write "
            "--out ~/..., without =, or the whole path"
        )
    path = as_path(directory)
    if not path.exists():
        check_can_be_made(directory, path)
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
    read_rows(path / METRICS)
    if (name := there.get("experiment")) != config["experiment"]:
        raise ValueError(
            f"--out {directory} belongs to experiment {name}, not {config['experiment']}; give another"
        )
    if difference := first_difference(compared(there), compared(config)):
        raise ValueError(
            f"--out {directory} belongs to a run with other settings: {difference}; give another"
        )


def check_can_be_made(directory, path) -> None:
    """Refuses a directory that cannot be made or written to.

    Args:
        directory: As it was given.
        path: Of it.
    Raises:
        ValueError: naming what is in the way.
    """
    if "://" in str(path):
        return
    above = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    broken = os.path.islink(path) and not path.exists()
    if broken or not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"--out {directory} cannot be made: {above} may not be written to; give another")


def compared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Selects the entries of a configuration that a resumed run must share: those that change its numbers.

    Places of files and the length of the run are not among them: a run may be extended.
    """
    config = json.loads(json.dumps(config))
    free = ("data_dir", *BUDGET)
    settings = {name: value for name, value in config.get("settings", {}).items() if name not in free}
    return {"experiment": config.get("experiment"), **settings, **config.get("numbers", {})}


class Record:
    """A run directory, written by process 0 alone; the others' records do nothing.

    Args:
        directory: Made where it is missing; `check_directory` has allowed it.
        config: Written as config.json, once, and again when a run is extended.
        log: One of `TRACKERS`, which gets everything too; None: no tracker.
    """

    def __init__(self, directory, config: Mapping[str, Any], *, log: str | None = None):
        self.directory = as_path(directory)
        self._writes = jax.process_index() == 0
        self._board: Board | None = None
        self._tracker: Careful | None = None
        self._last = 0  # the last step written, perhaps before the run was resumed
        if not self._writes:
            return
        if log is not None:
            self._tracker = Careful(TRACKERS[log](directory, config), log)
        self.directory.mkdir(parents=True, exist_ok=True)
        begun = (self.directory / CONFIG).exists()
        if not begun or read_config(directory).get("steps") != config.get("steps"):
            self._replace(CONFIG, json.dumps(config, indent=2) + "\n")
        self._mark = self._identity()
        self._last = max((row["step"] for row in self.rows), default=0)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The lines that were written, in order; a last one cut short by a crash is left out."""
        return read_rows(self.directory / METRICS)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one line of metrics.jsonl, and the same in TensorBoard's events.

        Raises:
            FileNotFoundError: as `check_there`.
        """
        if not self._writes:
            return
        self.check_there()
        plain = {name: value if math.isfinite(value) else None for name, value in values.items()}
        line = json.dumps({"step": step, **plain}) + "\n"
        path = self.directory / METRICS
        if "://" in str(path):  # buckets cannot append
            path.write_text((path.read_text() if path.exists() else "") + line)
        else:
            with path.open("a") as file:
                file.write(line)
        self._last = step
        for board in self._boards:
            board.write(step, values)

    def check_there(self) -> None:
        """Makes sure that the directory is still this run's.

        Raises:
            FileNotFoundError: where somebody has removed it, or put another in its place.
        """
        if self._writes and self._identity() != self._mark:
            raise FileNotFoundError(
                f"--out {self.directory} was removed or replaced while the run wrote to it; "
                "nothing more is written"
            )

    def forget_after(self, step: int) -> None:
        """Forgets what was measured after the step that training goes on from: it will be measured again.

        TensorBoard shows figures from here on.
        """
        if not self._writes:
            return
        if (self.directory / METRICS).exists():
            kept = [json.dumps(row) + "\n" for row in self.rows if row["step"] <= step]
            self._replace(METRICS, "".join(kept))
        if "://" not in str(self.directory):
            if self._board is not None:
                self._board.close()
            self._board = Board(self.directory, after=step)

    def figure(self, name: str, png: bytes, svg: bytes) -> None:
        """Writes figures/<name>.png, and the same as .svg."""
        if self._writes:
            self.check_there()
            (self.directory / FIGURES).mkdir(parents=True, exist_ok=True)
            for ending, content in (("png", png), ("svg", svg)):
                (self.directory / FIGURES / f"{name}.{ending}").write_bytes(content)
            for board in self._boards:
                board.image(self._last, name, png)

    def text(self, name: str, content: str) -> None:
        """Writes a file of text, such as report.html."""
        if self._writes:
            self.check_there()
            self._replace(name, content)

    def close(self) -> None:
        """Closes TensorBoard's events and the tracker."""
        for board in self._boards:
            board.close()

    @property
    def _boards(self) -> list[Tracker]:
        return [board for board in (self._board, self._tracker) if board is not None]

    def _replace(self, name: str, content: str) -> None:
        whole = self.directory / f".{name}.new"  # so that a crash leaves the old file or the new one
        whole.write_text(content, encoding="utf-8")
        whole.replace(self.directory / name)

    def _identity(self) -> tuple[int, int] | bool | None:
        """Identifies this directory's config.json; None where it is gone."""
        path = self.directory / CONFIG
        if "://" in str(path):
            return path.exists() or None
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns


def read_rows(path) -> list[dict[str, Any]]:
    """Reads the lines of a metrics.jsonl; a last one that a crash has cut short is left out.

    Args:
        path: Of the file.
    Returns:
        {"step": step, name: value} of each line; nothing where there is no file.
    Raises:
        ValueError: for a line that is not what a run writes.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines() if is_file(path) else [b"", b""]
    rows = [_row(line) for line in lines]
    if None in rows[:-1]:
        wrong = rows.index(None) + 1
        raise ValueError(f"{path}: line {wrong} is not what a run writes; move the file elsewhere")
    return [row for row in rows if row is not None]


def _row(line: bytes) -> dict[str, Any] | None:
    """A line's step and figures; None where it is not what `Record.write` writes."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(row, dict) and type(row.get("step")) is int
    return row if whole and all(type(value) in (int, float, type(None)) for value in row.values()) else None
