"""How steps get their data."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jssl.data.resident import batch_indices, resident, take
from jssl.data.source import Source
from jssl.train import Batch, feed, scanned


class Supply(NamedTuple):
    """Data as `fit` wants it.

    advance:  (state, step, n) -> (state, metrics).
    batch_of: step -> the batch of that step, a function of the seed and the step alone.
    waited:   () -> seconds spent waiting for data so far.
    stepwise: whether steps are started one by one, so that something can be done after each.
    how:      the same in words.
    """

    advance: Callable
    batch_of: Callable[[int], Batch]
    waited: Callable[[], float]
    stepwise: bool
    how: str


def supply(step, source: Source, *, batch: int, seed: int, sharding: Any = None) -> Supply:
    """Data that fits on the device lives there; each batch is gathered where it is used.

    step: an uncompiled train step. sharding: where the whole data lies; by default on the default device.

    Returns: a `Supply`.
    """
    data = resident(source, sharding=sharding)

    def batch_at(step, data):
        return take(data, batch_indices(seed, step, n=len(source), batch=batch))

    gather, clock = jax.jit(batch_at), Clock()

    def batch_of(step):
        with clock:
            return gather(step, data)

    if jax.default_backend() == "cpu":  # whose loops are slow, see `scanned`
        advance = feed(jax.jit(step, donate_argnums=0), batch_of)
        return Supply(advance, batch_of, clock.read, True, "in memory, one step at a time")
    return Supply(scanned(step, batch_at, data), batch_of, clock.read, False, "on the device, many steps at a time")


class Clock:
    """Adds up the time spent inside `with clock:`."""

    def __init__(self):
        self._seconds = 0.0

    def read(self) -> float:
        return self._seconds

    def __enter__(self):
        self._started = time.perf_counter()

    def __exit__(self, *_):
        self._seconds += time.perf_counter() - self._started
