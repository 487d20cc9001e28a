"""Time spent waiting."""

import time


class Clock:
    """Adds up the seconds spent inside `with clock:`."""

    def __init__(self):
        self._seconds = 0.0

    def read(self) -> float:
        """Returns the seconds so far."""
        return self._seconds

    def __enter__(self):
        self._started = time.perf_counter()

    def __exit__(self, *_):
        self._seconds += time.perf_counter() - self._started
