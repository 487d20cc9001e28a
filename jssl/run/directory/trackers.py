"""Experiment trackers: with `--log wandb` or `--log mlflow`, a service gets what metrics.jsonl has.

A tracker is an object with `write(step, figures)`, `image(step, name, png)` and `close()`. metrics.jsonl
remains the complete record: a tracker that fails gives one warning and is switched off.
"""

import hashlib
import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from jssl.extras import extra


class Tracker(Protocol):
    """The methods of an experiment tracker."""

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Sends the figures of one step."""

    def image(self, step: int, name: str, png: bytes) -> None:
        """Sends a picture."""

    def close(self) -> None:
        """Ends the record."""


class Wandb:
    """Weights & Biases: a run of the project jssl, which is continued when the directory is resumed."""

    def __init__(self, directory, config: Mapping[str, Any]):
        with extra("log"):
            import wandb

        self._wandb = wandb
        name = f"{config['experiment']} {Path(str(directory)).name}"
        same = hashlib.blake2b(str(Path(str(directory)).absolute()).encode(), digest_size=8).hexdigest()
        self._run = wandb.init(project="jssl", name=name, id=same, resume="allow", config=dict(config))

    def write(self, step, figures):
        self._run.log({grouped(name): value for name, value in figures.items()}, step=step)

    def image(self, step, name, png):
        self._run.log({f"figures/{name}": self._wandb.Image(_opened(png))}, step=step)

    def close(self):
        self._run.finish()


class Mlflow:
    """MLflow: a run of the experiment jssl, on the server that MLFLOW_TRACKING_URI names."""

    def __init__(self, directory, config: Mapping[str, Any]):
        with extra("log"):
            import mlflow

        self._mlflow = mlflow
        mlflow.set_experiment("jssl")
        self._run = mlflow.start_run(run_name=f"{config['experiment']} {Path(str(directory)).name}")
        settings = {**config["settings"], **config["numbers"]}
        mlflow.log_params({name: str(value)[:250] for name, value in settings.items()})

    def write(self, step, figures):
        self._mlflow.log_metrics({grouped(name): value for name, value in figures.items()}, step=step)

    def image(self, step, name, png):
        self._mlflow.log_image(_opened(png), artifact_file=f"figures/{name}.png")

    def close(self):
        self._mlflow.end_run()


TRACKERS: dict[str, Callable[[Any, Mapping[str, Any]], Tracker]] = {"wandb": Wandb, "mlflow": Mlflow}


class Careful:
    """A tracker that is switched off at its first failure, with one warning.

    Args:
        tracker: The one that does the work.
        name: What it is called in the warning.
    """

    def __init__(self, tracker: Tracker, name: str):
        self._tracker: Tracker | None = tracker
        self._name = name

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Sends the figures of one step."""
        self._try(lambda tracker: tracker.write(step, figures))

    def image(self, step: int, name: str, png: bytes) -> None:
        """Sends a picture."""
        self._try(lambda tracker: tracker.image(step, name, png))

    def close(self) -> None:
        """Ends the record."""
        self._try(lambda tracker: tracker.close())
        self._tracker = None

    def _try(self, call: Callable[[Tracker], None]) -> None:
        if self._tracker is None:
            return
        try:
            call(self._tracker)
        except Exception as error:  # each service raises its own kinds
            self._tracker = None
            reason = " ".join(str(error).split())[:200]
            warnings.warn(f"{self._name} is written to no more: {reason}", stacklevel=4)


GROUPS = {
    "speed": ("images_per_second", "data_wait"),
    "probes": ("_top1", "_top5", "_accuracy"),
    "health": (
        *("feature_std", "rank", "rank_share", "uniformity", "dead_dimensions", "alignment"),
        *("projection_std", "teacher_entropy", "prototypes_used", "gradient_norm"),
    ),
}


def grouped(name: str) -> str:
    """Puts a figure into a group, which services show as one section.

    Args:
        name: As in metrics.jsonl.
    Examples:
        >>> grouped("loss"), grouped("knn_top1"), grouped("feature_std")
        ('train/loss', 'probes/knn_top1', 'health/feature_std')
    """
    return next((f"{group}/{name}" for group, ends in GROUPS.items() if name.endswith(ends)), f"train/{name}")


def _opened(png: bytes):
    from PIL import Image

    return Image.open(io.BytesIO(png))
