"""Transfer: one network, many data sets, and the same logistic regression on each."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jssl.evaluate.protocols.base import Protocol, refusal
from jssl.evaluate.protocols.logistic import logistic_probe, logistic_protocol

STRENGTHS = tuple(float(c) for c in 10.0 ** np.linspace(-5, 6, 45))  # of weight decays 1e-6 ... 1e5


def transfer(
    *,
    strengths: Sequence[float] = STRENGTHS,
    validation: float = 0.2,
    iterations: int = 100,
    seed: int = 0,
) -> Protocol:
    """Makes the transfer suite: logistic regression on every data set, and the mean over them.

    The metrics of each set are "SET_top1" and "SET_mean_class_accuracy", by which some sets are judged. `jssl
    compare` shows how methods rank on different sets.

    Args:
        strengths: Values of C, the inverses of the authors' weight decays. Held-out training rows choose one
            for each set.
        validation: Share of the training rows that is held out to choose.
        iterations: The most steps of L-BFGS for each, 100 as scikit-learn's default.
        seed: Of the held-out rows.
    Returns:
        The `Protocol` "transfer", which needs `sets`: {name: what `logistic` needs}; its main metric is
        "mean_top1".
    References:
        arXiv:2011.13377; linusericsson/ssl-transfer, linear.py
    """
    settings = dict(strengths=tuple(strengths), validation=validation, iterations=iterations, seed=seed)

    def run(sets):
        found = {}
        for name, given in sets.items():
            if reason := refusal(logistic_protocol(), given):
                raise ValueError(f"transfer: {name}: {reason}")
            arrays = (given[part] for part in ("train_features", "train_labels", "test_features"))
            labels = np.asarray(given["test_labels"])
            probe = logistic_probe(*arrays, labels, classes=given["classes"], **settings)
            scores = jnp.asarray(given["test_features"]) @ probe.kernel + probe.bias
            accuracies = {"top1": probe.accuracy, "mean_class_accuracy": mean_class_accuracy(scores, labels)}
            found |= {f"{name.replace('_', '-')}_{metric}": float(x) for metric, x in accuracies.items()}
        return {"mean_top1": np.mean([x for name, x in found.items() if name.endswith("_top1")])} | found

    return Protocol("transfer", ("sets",), run, main="mean_top1", settings=settings)


def mean_class_accuracy(scores, labels) -> float:
    """Averages the accuracies of the classes that occur in the labels, with equal weights.

    Args:
        scores: [N, classes].
        labels: [N] integers.
    Returns:
        A share; 1 / classes where one class is always predicted.
    Examples:
        >>> mean_class_accuracy(np.eye(2)[[0, 0, 0, 0]], np.array([0, 0, 0, 1]))
        0.5
    """
    right, labels = np.asarray(scores).argmax(-1) == np.asarray(labels), np.asarray(labels)
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
