"""How programs are compiled, and which compiled programs are kept on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache


def used_once(function: Callable, **settings: Any) -> Any:
    """Compiles a function that is called once or twice: on a CPU without optimisation.

    XLA's CPU compiler spends 18 CPU seconds on the random draws of a small ResNet's first state, and 3 s
    without optimisation; the results differ by rounding only.

    Args:
        function: What `jax.jit` takes.
        **settings: Further arguments of `jax.jit`.
    Returns:
        What `jax.jit` returns.
    Examples:
        >>> int(used_once(lambda x: x + 1)(2))
        3
    """
    passes = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=passes, **settings)


def keep_compiled(directory: Path) -> None:
    """Caches an accelerator's compiled programs on disk for later processes, unless JAX's cache is off or has
    a directory already.

    Programs of a CPU are not kept: jaxlib 0.10 has died while it stored and while it loaded some. Nor are
    those of a run of several processes, whose directory may be another one on each machine: only process 0
    writes, and on GPUs those that find nothing wait in the compiler for its share of the tuning.

    Args:
        directory: the cache's directory.
    """
    config: Any = jax.config  # its options are added at run time
    wanted = config.jax_enable_compilation_cache and config.jax_compilation_cache_dir is None
    if wanted and jax.default_backend() != "cpu" and jax.process_count() == 1:
        jax.config.update("jax_compilation_cache_dir", str(directory))
        compilation_cache.reset_cache()  # JAX decides once per process, at the first compilation
