"""Compiled programs."""

from collections.abc import Callable
from typing import Any

import jax


def used_once(function: Callable, **settings: Any) -> Any:
    """Compiles a function that is called once or twice: on a CPU with fewer optimisation passes.

    XLA's CPU compiler spends 12 s on the random draws of a small ResNet's first state, and 3 s so, to the
    same bits.

    Args:
        function: What `jax.jit` takes.
        **settings: Further arguments of `jax.jit`.
    Returns:
        What `jax.jit` returns.
    Examples:
        >>> int(used_once(lambda x: x + 1)(2))
        3
    """
    passes = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=passes, **settings)
