"""Supplies training steps with their data."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jssl.data.reading.clock import Clock
from jssl.data.reading.loader import loader
from jssl.data.reading.resident import batch_indices, resident, take
from jssl.run.ahead import Ahead
from jssl.run.data.gather import Gathered
from jssl.sharding import over_batch, placed, replicated
from jssl.train import Batch, TrainState, feed, scanned


class Supply(NamedTuple):
    """Data in the form that `fit` takes.

    Args:
        advance: (state, step, n) -> (state, metrics).
        batch_of: step -> the batch of that step, a function of the seed and the step alone.
        waited: () -> seconds spent waiting for data so far.
        stepwise: whether steps are started one by one, so that something can be done after each.
        how: where the batches come from, in words.
    """

    advance: Callable
    batch_of: Callable[[int], Batch]
    waited: Callable[[], float]
    stepwise: bool
    how: str


def supply(
    step,
    data: Gathered,
    *,
    batch: int,
    seed: int,
    mesh: Mesh,
    stepwise: bool = False,
    state: TrainState | None = None,
    ahead: Ahead | None = None,
) -> Supply:
    """Supplies steps with data: data in memory is put on the devices, other data is read ahead, in one order.

    Args:
        step: a train step as `jax.jit` made it, its state donated.
        data: of the run.
        batch: images per step.
        seed: of the order.
        mesh: the devices.
        stepwise: start steps one by one even where many could be started at once.
        state: the shapes of the train state, each array with its place.
        ahead: threads that compile the step meanwhile, if `state` is given.
    Returns:
        A `Supply`.
    """
    if data.passing is not None:
        return _one_by_one(step, Stream(data.passing.at, mesh=mesh), "taken as they come")
    if data.records is not None:
        share = dict(process=jax.process_index(), processes=jax.process_count())
        read = partial(loader, data.records, batch=batch, canvas=data.canvas, seed=seed, **share)
        stream = Stream(lambda first: read(position=first * batch), mesh=mesh)
        return _one_by_one(step, stream, "read ahead from where they are")

    arrays, clock = resident(data.train, sharding=replicated(mesh)), Clock()

    def batch_at(step, arrays):
        gathered = take(arrays, batch_indices(seed, step, n=len(data), batch=batch))
        return jax.lax.with_sharding_constraint(gathered, over_batch(mesh))

    compiled = jax.jit(batch_at)

    def batch_of(step):
        with clock:
            return compiled(step, arrays)

    if stepwise or jax.default_backend() == "cpu":  # whose loops are slow, see `scanned`
        program = step
        if ahead is not None and state is not None:
            shapes = placed(jax.eval_shape(batch_at, 0, arrays), over_batch(mesh))
            program = ahead.compiled(program, state, shapes)
        return Supply(feed(program, batch_of), batch_of, clock.read, True, "in memory, one step at a time")
    return Supply(
        scanned(step, batch_at, arrays), batch_of, clock.read, False, "on the device, many steps at a time"
    )


class Stream:
    """Batches that are read one after another, in order; the last one can be read again.

    Args:
        begin: step -> this process's shares of the batches from that step on.
        mesh: the devices that they are put on.
    """

    def __init__(self, begin: Callable[[int], Iterator[dict[str, np.ndarray]]], *, mesh: Mesh):
        self.clock, self._begin, self._place = Clock(), begin, over_batch(mesh)
        self._next: int | None = None  # the step of the batch that comes next
        self._batch: Batch = {}

    def __call__(self, step: int) -> Batch:
        if self._next is None or step not in (self._next - 1, self._next):
            self._batches, self._next = self._begin(step), step
        if step == self._next:
            with self.clock:
                mine = next(self._batches)
            put = jax.make_array_from_process_local_data
            arrays = {name: values for name, values in mine.items() if values.dtype.kind in "iufb"}
            self._batch = {name: put(self._place, values) for name, values in arrays.items()}
            self._next += 1
        return self._batch


def _one_by_one(step, stream: Stream, how: str) -> Supply:
    return Supply(feed(step, stream), stream, stream.clock.read, True, how)
