"""Keeps the best probe of a run, and stops the run when later ones stay below it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jssl.checkpoint import Checkpoints
from jssl.run.directory.record import Record
from jssl.sharding import of_first_process

METRIC = "knn_top1"  # what checkpoints are ranked by
AT_START = f"started_{METRIC}"  # the same of the weights that a run started from, on as many images
MARK = "stopped.json"  # the file of a run that has stopped: it names the checkpoint that it went back to


class Worse(Exception):
    """Ends training: the probes have been below the best for long enough.

    Attributes:
        step: Of the last probe.
        best: Of the best one, whose checkpoint is kept.
    """

    def __init__(self, step: int, best: int, value: float):
        super().__init__(
            f"stopped at step {step}: {METRIC} was best at step {best}, {value:.1%}, which is what is kept"
        )
        self.step, self.best = step, best


class Best:
    """The best probe so far.

    Args:
        patience: Probes in a row that may be below the best; None: any number.
        probes: Earlier ones, {step: figures}.
    """

    def __init__(self, patience: int | None, probes: Mapping[int, Mapping[str, float]] = {}):
        self.patience = patience
        self.step, self.value, self._below = -1, float("-inf"), 0
        for step in sorted(probes):
            self._seen(step, probes[step])

    def _seen(self, step: int, figures: Mapping[str, float]) -> None:
        value = figures.get(METRIC)
        if value is None or step <= self.step:
            return
        self._below += 1
        if value > self.value:
            self.step, self.value, self._below = step, value, 0

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds a probe; of several processes, whose devices may round otherwise, process 0 decides.

        Raises:
            Worse: where it is one too many below the best.
        Examples:
            >>> best = Best(2)
            >>> for step, value in enumerate((0.5, 0.6, 0.55, 0.58)):  # doctest: +ELLIPSIS
            ...     best.add(step, {"knn_top1": value})
            Traceback (most recent call last):
            ...
            jssl.run.directory.best.Worse: stopped at step 3: knn_top1 was best at step 1, 60.0%, ...
        """
        self._seen(step, figures)
        if self.patience is not None and of_first_process(self._below) >= self.patience:
            raise Worse(step, int(of_first_process(self.step)), float(of_first_process(self.value)))


def earlier(checkpoints: Checkpoints) -> dict[int, dict[str, float]]:
    """Reads what checkpoints were ranked by, {step: figures}; waits for the one that is being written."""
    checkpoints.wait()
    return {step: checkpoints.metrics(step) for step in checkpoints.steps}


def go_back(worse: Worse, checkpoints: Checkpoints, record: Record, like: Any) -> Any:
    """Makes the best checkpoint the newest one, and notes that the run has stopped there.

    Returns:
        Its state.
    """
    checkpoints.wait()
    checkpoints.forget_after(worse.best)
    record.text(MARK, json.dumps({"kept": worse.best, "stopped": worse.step}) + "\n")
    return checkpoints.restore(like)


def kept_at(directory: Any) -> int | None:
    """Returns the step of the checkpoint at which a run has stopped; None where it has not.

    Args:
        directory: Of the run, as a path.
    Raises:
        OSError: for a file of this name that no run has written.
    """
    path = directory / MARK
    try:
        told = json.loads(path.read_text()) if path.exists() else {}
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise OSError(f"{path} is not what a run writes; remove it to go on training")
    return told.get("kept")


def forgotten(rows: Sequence[Mapping[str, Any]], figures: Mapping[str, float]) -> list[str]:
    """Warns where a run is worse than the weights that it started from, by more than a percentage point.

    Args:
        rows: Of metrics.jsonl; the first has the figure of the weights.
        figures: Of a probe on the same images: with more training images kNN is better for any network.
    Returns:
        One sentence, or none.
    Examples:
        >>> forgotten([{"step": 0, "started_knn_top1": 0.8}], {"knn_top1": 0.7})[0][:45]
        'knn_top1 is 70.0%, below the 80.0% of the wei'
    """
    before = next((row[AT_START] for row in rows if row.get(AT_START) is not None), None)
    now = figures.get(METRIC)
    if before is None or now is None or now >= before - 0.01:
        return []
    return [
        f"{METRIC} is {now:.1%}, below the {before:.1%} of the weights that the run started from: it "
        "forgets; lower --continued-rate or --layer-decay, hold --frozen-blocks, or choose --stop-when-worse"
    ]
