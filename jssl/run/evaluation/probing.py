"""Evaluates the representation before, during and after training, beside two baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Sharding

from jssl.data.reading.resident import take
from jssl.data.source import Source
from jssl.data.splits import evenly
from jssl.evaluate import (
    Labelled,
    embedding_health,
    extract_features,
    knn_protocol,
    linear_protocol,
    pair_health,
)
from jssl.evaluate.protocols.base import score
from jssl.evaluate.table import CENTRED, CHANCE, LEARNED, RANDOM, RAW, Table
from jssl.methods.base import Method
from jssl.run.ahead import Ahead
from jssl.run.evaluation.baselines import pixel_scores
from jssl.run.settings.experiment import Experiment
from jssl.train import TrainState

BANK, QUERIES = 4_000, 1_000  # images for protocols during training; the table at the end is of all images
WHILE_TRAINING = (knn_protocol(),)  # on a part of the data, for the curve
AT_THE_ENDS = (knn_protocol(), linear_protocol(steps=500))  # on all of the data, for the table
STARTED = "before training"  # the row of the network that a run starts from, where it is not random
GUESSES = {  # metrics of a method's own task -> the scores of a guess
    "accuracy": "chance",
    "cross_entropy": "trivial",
    "error": "trivial",
}
FEATURES, PAIRS = 128, 32  # images for the health of features, and of pairs of views
ASKED = 256  # images of a batch in a method's own task


class Probes:
    """The protocols of one experiment on labelled data."""

    def __init__(self, experiment: Experiment, train: Source, test: Source):
        """Prepares them.

        Args:
            experiment: The experiment whose method and evaluation view are used.
            train: Labelled images.
            test: Labelled images of the same classes.
        """
        method = experiment.method
        self._cls, self._both = _Cls(method), experiment.probed
        self._view = jax.tree_util.Partial(experiment.evaluation_view)
        self._train, self._test = (Labelled(source.images, source.labels) for source in (train, test))
        self._bank, self._queries = _some(self._train, BANK), _some(self._test, QUERIES)
        self._logits = experiment.logits

        def task(params, teacher, memory, images, index):
            return method.task(params, teacher, memory, experiment.evaluation_view(images), index)

        self._task = None if method.task is None else jax.jit(task)
        self.classes = train.classes

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of training and test images for protocols during training."""
        return len(self._bank.labels), len(self._queries.labels)

    def on_a_part(self, state: TrainState) -> dict[str, float]:
        """Scores a state on a part of the data, for the curve."""
        return self._score(state, self._bank, self._queries, WHILE_TRAINING)

    def scores(self, state: TrainState) -> dict[str, float]:
        """Scores a state on all of the data."""
        return self._score(state, self._train, self._test, AT_THE_ENDS)

    def _score(self, state, train, test, protocols):
        own = [protocol for protocol in protocols if protocol.name == "linear" and self._both is not None]
        read = jax.tree_util.Partial(
            self._both if own else self._cls, state.params, state.teacher, state.memory
        )
        found = [extract_features(read, part.values, view=self._view) for part in (train, test)]
        labels = dict(train_labels=train.labels, test_labels=test.labels, classes=self.classes)
        figures = {}
        for protocol in protocols:
            seen = [one[protocol in own] for one in found] if own else found
            figures |= score([protocol], train_features=seen[0], test_features=seen[1], **labels)
        figures |= self._told(state, test.values)
        if self._logits is None:
            return figures
        head = jax.tree_util.Partial(self._logits, state.params, state.teacher, state.memory)
        found = np.asarray(extract_features(head, test.values, view=self._view)).argmax(-1)
        return figures | {"head_top1": float((found == np.asarray(test.labels)).mean())}

    def _told(self, state, images) -> dict[str, float]:
        """Scores the method's own task on images, beside a guess; empty without a task.

        Batches have one size, so that they compile once; a few images may be left over.
        """
        if self._task is None:
            return {}
        parts = -(-len(images) // ASKED)
        batches = np.arange(len(images) // parts * parts).reshape(parts, -1)
        found = [
            self._task(state.params, state.teacher, state.memory, images[rows], rows) for rows in batches
        ]
        mean = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
        names = {f"task_{name}": name for name, guess in GUESSES.items() if {name, guess} <= mean.keys()}
        names |= {f"{ROWS[CHANCE]}{task}": GUESSES[name] for task, name in names.items()}
        return {task: mean[name] for task, name in names.items()}

    def pixels(self) -> Table:
        """Scores raw pixels on all of the data, or reads their cached scores."""
        return pixel_scores(self._train, self._test, classes=self.classes, protocols=AT_THE_ENDS)

    def baselines(
        self, state: TrainState, *, pixels: Callable[[], Table] | None = None, network: str = RANDOM
    ) -> Table:
        """Scores raw pixels, and the network of `state`, which has not been trained yet.

        Args:
            state: The first one.
            pixels: Gives the scores of raw pixels, perhaps from another thread; by default `self.pixels`.
            network: What the table calls it: `RANDOM`, or `STARTED` where it starts from weights.
        Returns:
            A table; where the method has a task of its own, it has the score of a guess too.
        """
        scores, mark = self.scores(state), ROWS[CHANCE]
        guesses = {name.removeprefix(mark): scores.pop(name) for name in [*scores] if name.startswith(mark)}
        guessed = {CHANCE: guesses} if guesses else {}
        return {**(pixels or self.pixels)(), **guessed, network: scores}

    def at_start(self, table: Table) -> dict[str, float]:
        """Takes the curve's first values from the baselines: the scores of the untrained network."""
        names = (*(f"{protocol.name}_" for protocol in WHILE_TRAINING), "task_")
        first = table[STARTED if STARTED in table else RANDOM]
        return {name: value for name, value in first.items() if name.startswith(names)}


def features_of(method: Method, state: TrainState):
    """Makes features_fn of a state; the state is an argument of the compiled function, which compiles once.

    Args:
        method: The method that is trained.
        state: Of the run.
    Returns:
        images as the evaluation view makes them -> [B, D].
    """
    return jax.tree_util.Partial(_Cls(method), state.params, state.teacher, state.memory)


@dataclass(frozen=True)
class _Cls:
    """A function that is equal for the same method, so that its compiled program is found again."""

    method: Method

    def __call__(self, params, teacher, memory, images):
        return self.method.features(params, teacher, memory, images).cls


def health_of(
    experiment: Experiment,
    source: Source,
    train: Source,
    *,
    place: Sharding | None = None,
    state: TrainState | None = None,
    ahead: Ahead | None = None,
):
    """Makes a function that measures health of a few images, on the device and without waiting for it.

    Args:
        experiment: The experiment whose method is measured.
        source: Images as probes see them; `FEATURES` of them are used.
        train: Images as steps see them; the first two projections of `PAIRS` of them are used, if there are
            such.
        place: Where the images are kept on the devices; None: on the default one.
        state: The shapes of the train state, each array with its place.
        ahead: Threads that compile it meanwhile, if `state` is given.
    Returns:
        state -> {name: scalar}.
    """
    method, some = experiment.method, evenly(len(source), FEATURES)  # of all classes, in whatever order
    few = evenly(len(train), PAIRS)
    images, batch = jax.device_put((source.images[some], take(train.arrays, few)), place)

    @jax.jit
    def figures(params, teacher, memory, images, batch):
        health = embedding_health(
            method.features(params, teacher, memory, experiment.evaluation_view(images)).cls
        )
        if method.outputs is None:
            return health
        key = jax.random.key(0)  # the same views every time: a curve shows the network's change alone
        student = method.outputs(params, teacher, memory, experiment.views(key, batch), key).student
        paired = "cls" in student and student["cls"].ndim == 3 and len(student["cls"]) > 1
        return health | (pair_health(*student["cls"][:2]) if paired else {})

    program: Callable = figures
    if ahead is not None and state is not None:
        program = ahead.compiled(figures, state.params, state.teacher, state.memory, images, batch)
    return lambda state: program(state.params, state.teacher, state.memory, images, batch)


ROWS = {
    CENTRED: "raw_pixels_centred_",
    RAW: "raw_pixels_",
    CHANCE: "chance_",
    RANDOM: "random_network_",
    STARTED: "before_training_",
    LEARNED: "",
}


def as_figures(table: Table) -> dict[str, float]:
    """Names a table's cells as metrics of a log; the row "learned" keeps the plain names.

    Args:
        table: {row: {metric: value}}, rows among `ROWS`.
    Returns:
        {name: value}.
    Examples:
        >>> as_figures({"raw pixels": {"knn_top1": 0.1}, "learned": {"knn_top1": 0.3}})
        {'raw_pixels_knn_top1': 0.1, 'knn_top1': 0.3}
    """
    return {f"{ROWS[row]}{metric}": value for row in table for metric, value in table[row].items()}


def from_figures(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Reads the table back from the lines of metrics.jsonl, with the last value of each figure.

    A figure belongs to the table if a baseline has it too.

    Args:
        rows: The lines, in order.
    Returns:
        {row: {metric: value}}, baselines first; rows without a figure are left out.
    Examples:
        >>> from_figures([{"raw_pixels_knn_top1": 0.1, "knn_top1": 0.1}, {"loss": 2.0, "knn_top1": 0.3}])
        {'raw pixels': {'knn_top1': 0.1}, 'learned': {'knn_top1': 0.3}}
    """
    figures = {name: value for row in rows for name, value in row.items()}
    table: dict[str, dict[str, float]] = {row: {} for row in (RAW, *ROWS)}
    for name, value in figures.items():
        row = next((row for row, prefix in ROWS.items() if prefix and name.startswith(prefix)), None)
        if row is None:
            continue
        metric = name.removeprefix(ROWS[row])
        table[row][metric] = np.nan if value is None else value
        if metric in figures:
            table[LEARNED][metric] = np.nan if figures[metric] is None else figures[metric]
    return {row: scores for row, scores in table.items() if scores}


def _some(data: Labelled, count: int) -> Labelled:
    rows = np.linspace(0, len(data.labels) - 1, min(count, len(data.labels))).round().astype(int)
    return Labelled(*(np.asarray(part)[rows] for part in data))
