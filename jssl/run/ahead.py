"""Compiles programs and computes baselines in other threads while a run is prepared."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

WORKERS = 2  # the step's program, and raw pixels


class Ahead:
    """Threads that work ahead of the run; see `working_ahead`."""

    def __init__(self, pool: ThreadPoolExecutor):
        self._pool = pool

    def start(self, function: Callable, *arguments: Any) -> Future:
        """Begins to call a function in another thread, and returns the future of its result."""
        return self._pool.submit(function, *arguments)

    def compiled(self, function: Any, *examples: Any) -> Callable:
        """Begins to compile a function.

        It is traced here, where settings such as a matmul precision hold, and compiled in another thread.

        Args:
            function: One that `jax.jit` made.
            examples: Its arguments, or their `jax.ShapeDtypeStruct`s with the places where they will lie.
        Returns:
            The function; its first call waits for what is left to compile. Its arguments must be of the
            examples' shapes, types and places.
        """
        program = self._pool.submit(function.lower(*examples).compile)
        return lambda *arguments: program.result()(*arguments)


@contextmanager
def working_ahead() -> Iterator[Ahead]:
    """Provides threads inside the context; calls that have not begun when it ends are cancelled."""
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="ahead")
    try:
        yield Ahead(pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
