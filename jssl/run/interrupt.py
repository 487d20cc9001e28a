"""Signals that end a run between two steps instead of inside one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import jax


class Interrupted(Exception):
    """A run was asked to stop.

    Args:
        step, state: Where it stands; None where there is nothing to save.
    """

    def __init__(self, step: int | None = None, state=None):
        super().__init__("interrupted" if step is None else f"interrupted at step {step}")
        self.step, self.state = step, state


class Interrupts:
    """SIGINT and SIGTERM, while `listening`.

    Before and after training, when there is nothing to save, a signal raises `Interrupted` at once. While
    `holding`, it is only noted, for the loop to ask about between steps; a second one raises.
    """

    def __init__(self):
        self._noted, self._holding = False, False

    def note(self, *_) -> None:
        if not self._holding or self._noted:
            raise Interrupted
        self._noted = True

    def requested(self, step: int) -> bool:
        """Whether to stop after this step. Of several processes, all are told so at the same step."""
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._noted

    @contextmanager
    def holding(self) -> Iterator[None]:
        self._holding = True
        try:
            yield
        finally:
            self._holding = False


@contextmanager
def listening() -> Iterator[Interrupts]:
    """Handles SIGINT and SIGTERM inside; elsewhere than in the main thread, where Python allows none,
    nothing.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    alone = jax.process_count() == 1  # of several processes, jax handles SIGTERM, so that all learn of it
    numbers = [signal.SIGINT, *([signal.SIGTERM] if alone else [])]
    before = {number: signal.signal(number, interrupts.note) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
