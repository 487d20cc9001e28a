"""Signals that end a run between two steps instead of inside one."""

import itertools
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

# how often this process has asked whether to stop; equal in all processes of a run
_ASKED = itertools.count(1)


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop.

    As Python's own KeyboardInterrupt, it passes through every `except Exception` under way, in any library.

    Attributes:
        step: The step that was reached; None where no steps were being taken.
        state: The train state of that step, until it is saved.
        lost: Whether steps have to be taken again.
    """

    def __init__(self, where: str = "", *, step: int | None = None, state: Any = None, lost: bool = False):
        """Makes one.

        Args:
            where: What was interrupted, in words such as "while planning".
            step, state, lost: As the attributes.
        """
        super().__init__(f"interrupted {where or f'at step {step}'}")
        self.where, self.step, self.state, self.lost = where, step, state, lost

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [f"{self}; run the cell again to {'take the lost steps and ' if self.lost else ''}go on"]

    def after(self, saved: list[int]) -> "Interrupted":
        """Adds to the message what of the run is kept.

        Args:
            saved: The steps of its checkpoints.
        """
        if self.step is not None and self.step in saved:
            return Interrupted(f"at step {self.step}, saved", step=self.step)
        last = f"the last checkpoint is step {saved[-1]}" if saved else "there is no checkpoint yet"
        if self.step is not None:
            return Interrupted(f"at step {self.step}, not saved; {last}", step=self.step, lost=True)
        return Interrupted(f"{self.where}; {last}", lost=self.lost)


class Interrupts:
    """SIGINT and SIGTERM, while `listening`.

    A signal raises `Interrupted`. While `holding` it is only noted, for the loop to ask about between steps;
    a second one raises.

    Attributes:
        doing: What is under way, for messages.
    """

    def __init__(self):
        self.doing = "planning"
        self._noted, self._holding, self._ignoring = False, False, False

    def note(self, number: int, frame: Any = None) -> None:
        """Handles a signal.

        Args:
            number: Of the signal.
            frame: Not used; Python hands it over.
        Raises:
            Interrupted: unless the signal is only to be noted.
        """
        again, self._noted = self._noted, True
        if self._ignoring:
            return
        if again:
            raise Interrupted(f"twice while {self.doing}", lost=self._holding)
        if jax.distributed.is_initialized():
            signal.raise_signal(signal.SIGTERM)  # jax handles it, and tells the other processes
        elif not self._holding:
            raise Interrupted(f"while {self.doing}")

    def requested(self, step: int) -> bool:
        """Tells whether to stop after this step.

        Several processes all have to ask after the same steps, and get the same answers.
        """
        if jax.distributed.is_initialized():
            from jax.experimental import multihost_utils

            # jax needs consecutive numbers, and steps may be left out: so calls are counted
            return multihost_utils.reached_preemption_sync_point(next(_ASKED))
        return self._noted

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Notes signals inside the context; one that was not asked about is raised at its end."""
        self._raise_if_noted()
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        self._raise_if_noted()

    def ignore(self) -> None:
        """Ignores signals from here on: the process is about to end."""
        self._ignoring = True

    def _raise_if_noted(self) -> None:
        if self._noted and not jax.distributed.is_initialized():
            raise Interrupted(f"while {self.doing}")


@contextmanager
def listening() -> Iterator[Interrupts]:
    """Handles SIGINT and SIGTERM inside the context, in the main thread only, as Python requires.

    Where processes have been joined, jax handles SIGTERM.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    numbers = [signal.SIGINT, *([] if jax.distributed.is_initialized() else [signal.SIGTERM])]
    before = {number: signal.signal(number, interrupts.note) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            if number == signal.SIGINT or not jax.distributed.is_initialized():
                signal.signal(number, handler)
