"""How good the representation is: probes before, while and after training, beside two baselines."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from jssl.data.reading.resident import take
from jssl.data.source import Source
from jssl.evaluate import (
    Labelled,
    Scores,
    embedding_health,
    extract_features,
    knn_accuracy,
    pair_health,
    probe_network,
    probe_pixels,
)
from jssl.run.experiment import Experiment
from jssl.sharding import on_one_device
from jssl.train import TrainState

BANK, QUERIES = 4_000, 1_000  # images that kNN during training looks at; the table at the end has all
LINEAR = dict(steps=500)


class Probes:
    """The probes of one experiment on labelled data.

    train, test: sources of the same classes.
    """

    def __init__(self, experiment: Experiment, train: Source, test: Source):
        method = experiment.method

        def cls(params, teacher, memory, images):
            return method.features(params, teacher, memory, images).cls

        self._cls, self._view = cls, jax.tree_util.Partial(experiment.evaluation_view)
        self._train, self._test = (Labelled(source.images, source.labels) for source in (train, test))
        self._bank, self._queries = _some(self._train, BANK), _some(self._test, QUERIES)
        self.classes = train.classes

    @property
    def sizes(self) -> tuple[int, int]:
        """Images that kNN during training looks at, train and test."""
        return len(self._bank.labels), len(self._queries.labels)

    def features(self, state: TrainState):
        """images as the evaluation view makes them -> [B, D]; the state is its argument, so that it compiles once."""
        return jax.tree_util.Partial(self._cls, *on_one_device((state.params, state.teacher, state.memory)))

    def knn(self, state: TrainState) -> float:
        """Weighted kNN on a part of the data, for the curve."""
        bank, queries = (
            part._replace(values=extract_features(self.features(state), part.values, view=self._view))
            for part in (self._bank, self._queries)
        )
        k = min(20, len(bank.labels))
        return float(knn_accuracy(*bank, *queries, classes=self.classes, k=k))

    def scores(self, state: TrainState) -> Scores:
        """Both probes on all of the data."""
        settings = dict(classes=self.classes, view=self._view, **LINEAR)
        return probe_network(self.features(state), self._train, self._test, **settings)

    def baselines(self, state: TrainState) -> dict[str, Scores]:
        """Raw pixels, and the network of `state`, which has not been trained yet."""
        pixels = probe_pixels(self._train, self._test, classes=self.classes, **LINEAR)
        return {**pixels, "random network": self.scores(state)}


def health_of(experiment: Experiment, source: Source, train: Source, *, rows: int = 128, pairs: int = 32):
    """state -> health figures of a few images, on the device and without waiting for it.

    rows: how many images' features are looked at. pairs: of how many the first two views' projections, where the method has
        such.
    """
    method, some = experiment.method, np.arange(0, len(source), max(1, len(source) // rows))[:rows]
    few = np.arange(0, len(train), max(1, len(train) // rows))[:pairs]
    images, batch = source.images[some], take(train.arrays, few)

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

    return lambda state: figures(state.params, state.teacher, state.memory, images, batch)


ROWS = {
    "raw pixels": "raw_pixels_",
    "raw pixels, centred": "raw_pixels_centred_",
    "random network": "random_network_",
    "learned": "",
}


def as_figures(table: Mapping[str, Scores]) -> dict[str, float]:
    """The table's rows as metrics; what was learned goes by the plain names.

    >>> as_figures({"raw pixels": Scores(0.1, 0.2), "learned": Scores(0.3, 0.4)})
    {'raw_pixels_knn_top1': 0.1, 'raw_pixels_linear_top1': 0.2, 'knn_top1': 0.3, 'linear_top1': 0.4}
    """
    cells = [
        (f"{ROWS[row]}{probe}_top1", value) for row in table for probe, value in table[row]._asdict().items()
    ]
    return dict(cells)


def from_figures(rows: Sequence[Mapping[str, float]]) -> dict[str, Scores]:
    """The table again, of the lines of metrics.jsonl: of each figure the last."""
    figures = {name: value for row in rows for name, value in row.items()}
    names = {row: [f"{prefix}{probe}_top1" for probe in Scores._fields] for row, prefix in ROWS.items()}
    return {
        row: Scores(*map(figures.get, keys))
        for row, keys in names.items()
        if all(key in figures for key in keys)
    }


def _some(data: Labelled, count: int) -> Labelled:
    rows = np.linspace(0, len(data.labels) - 1, min(count, len(data.labels))).round().astype(int)
    return Labelled(*(np.asarray(part)[rows] for part in data))
