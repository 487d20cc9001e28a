"""Watches a run without slowing it down: the log, the progress bar, and what stops it."""

import functools
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.programs import used_seldom
from jssl.run.directory.record import Record
from jssl.run.interrupt import Interrupted, Interrupts

QUEUED = 2  # steps that may be under way on the device: enough to keep it busy, few enough to stop soon


class NonFinite(Exception):
    """A figure of a step is not finite.

    Args:
        step: Its number.
        terms: The figures' names.
        where: Words about the last good checkpoint.
    """

    def __init__(self, step: int, terms: tuple[str, ...], where: str = ""):
        super().__init__(f"step {step}: {', '.join(terms)} not finite{where}")
        self.step, self.terms = step, terms

    def after(self, steps: list[int], directory) -> "NonFinite":
        """Adds to the message which checkpoint was the last good one.

        Args:
            steps: Its step alone, or nothing.
            directory: Where it is.
        """
        good = (
            f"the last good checkpoint is step {steps[0]} in {directory}"
            if steps
            else "there is no checkpoint yet"
        )
        return NonFinite(
            self.step, self.terms, f"; {good}; a lower learning rate or a longer warm-up may help"
        )


class Log:
    """Reads the metrics of a logged step at the next logged step: the device has computed them by then, and
    nothing waits.

    Args:
        batch: Images per step.
        rates: Functions of the step, such as the learning rate, by name.
        waited: () -> seconds spent waiting for data so far.
        show: Called with the figures, for the progress bar.
    """

    def __init__(
        self, record: Record, *, batch: int, rates, waited: Callable[[], float], show=lambda figures: None
    ):
        self._record, self._batch, self._waited, self._show = record, batch, waited, show
        self._rates = jax.jit(lambda step: {name: jnp.asarray(rate(step)) for name, rate in rates.items()})
        self._pending: tuple[int, Mapping[str, Any], dict[str, float]] | None = None
        self._since: tuple[int, float, float] | None = None

    def restart_clock(self, step: int) -> None:
        """Starts to measure speed from here on, so that compiling and evaluating do not count."""
        self._since = step, time.perf_counter(), self._waited()

    @property
    def timed(self) -> bool:
        return self._since is not None

    def __call__(self, step: int, state, metrics) -> None:
        metrics = {**metrics, **self._rates(jax.device_put(np.int32(step - 1)))}
        for value in jax.tree.leaves(metrics):
            value.copy_to_host_async()
        speed = {}
        if self._since is not None and step > self._since[0]:
            first, started, waited = self._since
            seconds = max(time.perf_counter() - started, 1e-9)
            share = (self._waited() - waited) / seconds
            speed = {
                "images_per_second": (step - first) * self._batch / seconds,
                "data_wait": min(share, 1.0),
            }
        self.restart_clock(step)
        self.flush()
        self._pending = step, metrics, speed

    def flush(self, also: Mapping[str, float] | None = None) -> None:
        """Writes the step that is waiting; with `also`, further figures of the same step."""
        if self._pending is None:
            return
        (step, metrics, speed), self._pending = self._pending, None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        figures = values | speed | dict(also or {})
        self._record.write(step, figures)
        self._show(figures)

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds further figures of a step: on the step's line, or on one of their own."""
        if self._pending is not None and self._pending[0] == step:
            self.flush(also=figures)
        else:
            self.flush()
            self._record.write(step, figures)


class Pace:
    """Called after every step: advances the bar, keeps few steps queued, and stops when asked to or at
    figures that are not finite. Figures of every step are checked, but read from the device only now and
    then, together.

    Args:
        every: Steps between two readings.
        skips: How many steps with figures that are not finite may be skipped, if the step function skips
            them.
    """

    def __init__(
        self,
        interrupts: Interrupts,
        log: Log,
        advance_bar: Callable[[int], None],
        *,
        every: int = 1,
        skips: int = 0,
    ):
        self._interrupts, self._log, self._advance_bar = interrupts, log, advance_bar
        self._every, self._skips = every, skips
        self._queue: deque = deque()
        self._done: list[tuple[int, Mapping[str, Any]]] = []

    def __call__(self, step: int, state, metrics) -> None:
        self._advance_bar(step)
        self._queue.append((step, metrics))
        self._wait(QUEUED if self._log.timed else 0)
        if step % self._every == 0:
            self._read()
        if not self._log.timed:
            self._log.restart_clock(step)
        if self._interrupts.requested(step):
            self.check()
            raise Interrupted(step=step, state=state)

    def check(self) -> None:
        """Waits for all steps that are under way and reads their figures.

        Raises:
            NonFinite: for a step that may not be skipped.
        """
        self._wait(0)
        self._read()

    def _wait(self, queued: int) -> None:
        """Returns when at most so many steps are under way."""
        while len(self._queue) > queued:
            step, metrics = self._queue.popleft()
            self._done.append((step, jax.block_until_ready(metrics)))

    def _read(self) -> None:
        done, self._done = jax.device_get(self._done), []
        for step, metrics in done:
            try:
                check_finite(step, metrics)
            except NonFinite:
                self._skips -= 1
                if self._skips < 0:
                    raise


def check_finite(step: int, metrics: Mapping[str, Any]) -> None:
    """Waits for a step's metrics.

    Raises:
        NonFinite: naming those that are not finite, terms before the loss that they sum to.
    """
    bad = [name for name, value in metrics.items() if not np.all(np.isfinite(np.asarray(value)))]
    if bad:
        raise NonFinite(step, tuple(sorted(bad, key=lambda name: (name in ("loss", "gradient_norm"), name))))


def parameters_finite(params) -> jax.Array:
    """Returns 1 where all parameters are finite, else NaN, as a metric that `check_finite` takes.

    Args:
        params: A pytree of arrays.
    """
    return _all_finite()([x for x in jax.tree.leaves(params) if jnp.issubdtype(x.dtype, jnp.inexact)])


@functools.cache
def _all_finite():
    return used_seldom(
        lambda arrays: jnp.where(jnp.all(jnp.array([jnp.isfinite(x).all() for x in arrays])), 1.0, jnp.nan)
    )
