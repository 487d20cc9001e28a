"""What the rows of `cases.py` are made of: arrays drawn for a batch, and what several rows share."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

K, N, Q, V, G = 6, 5, 8, 4, 2  # prototypes or classes, tokens, queue, views, teacher's views


class Case(NamedTuple):
    """A loss and its laws.

    loss:    the function, hyper-parameters filled in, arrays by keyword.
    arrays:  (rng, batch) -> arrays by keyword, float64, integer or bool.
    trained: the names that get a gradient; every other float gets none.
    partial: those of them that make targets as well, which have no gradient.
    cosine:  the names whose rows may be scaled.
    batched: the axis of the batch by name.
    returns: "B", "2B" or "" for a statistic of the batch.
    least:   the smallest batch that it is defined for.
    optimum: arrays at which the mean loss is as small as it gets, and that value.
    """

    loss: Callable
    arrays: Callable
    trained: tuple[str, ...]
    batched: dict[str, int]
    cosine: tuple[str, ...] = ()
    returns: str = "B"
    least: int = 1
    partial: tuple[str, ...] = ()
    optimum: tuple[dict, float] | None = None


def normal(*shape, **more):
    """Arrays of a batch: a shape per name in which 0 stands for the batch."""
    shapes = dict(zip(shape[::2], shape[1::2], strict=True))

    def arrays(rng, batch):
        drawn = {
            name: rng.normal(size=[batch if n == 0 else n for n in sizes]) for name, sizes in shapes.items()
        }
        return drawn | {name: make(rng, batch) for name, make in more.items()}

    return arrays


def positive(rng, batch):
    return np.asarray(rng.uniform(1.0, 4.0))


def probabilities(rng, batch):
    draws = rng.uniform(0.1, 1.0, (G, batch, K))
    return draws / draws.sum(-1, keepdims=True)


def region_targets(rng, batch):
    draws = rng.uniform(0.1, 1.0, (batch, N - 1, K))
    return draws / draws.sum(-1, keepdims=True)


def codes(rng, batch):
    draws = rng.uniform(0.1, 1.0, (batch, N, K))
    return draws / draws.sum(-1, keepdims=True)


def kept(rng, batch):
    return (rng.uniform(size=(batch, 2, 2, 1)) < 0.6).astype(float)


def mask(rng, batch):
    return rng.uniform(size=(batch, N)) < 0.6


def corrupted(rng, batch):
    return rng.uniform(size=(batch, 2, 2)) < 0.6


def ids(high, *shape):
    return lambda rng, batch: rng.integers(high, size=[batch, *shape]).astype(np.int32)


D = 7
TWO = dict(batched=dict(z_a=0, z_b=0), trained=("z_a", "z_b"))
TWO_COSINE = TWO | dict(cosine=("z_a", "z_b"))
PAIRS = normal("z_a", (0, D), "z_b", (0, D))
TOWERS = dict(batched=dict(a=0, b=0), cosine=("a", "b"))
TEACHER = dict(batched=dict(prediction=0, target=0), trained=("prediction",), cosine=("prediction", "target"))
VIEWS = normal("student_logits", (V, 0, K), "teacher_logits", (G, 0, K), "center", (K,))
PATCHES = normal("student_logits", (0, N, K), "teacher_logits", (0, N, K), "center", (K,), mask=mask)
TOKENS = dict(batched=dict(prediction=0, target=0, mask=0), trained=("prediction",))
EYE = np.eye(4, D)
SPREAD = np.array([[a, b] for a in (-2.0, 2.0) for b in (-2.0, 2.0)])
