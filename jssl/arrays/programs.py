"""How programs are compiled, and which compiled programs are kept on disk."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

QUICKLY: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def used_seldom(function: Callable, **settings: Any) -> Any:
    """Compiles a function that is called once, or now and then: on a CPU quickly rather than well.

    XLA's CPU compiler spends 18 CPU seconds on the random draws of a small ResNet's first state, and 3 s
    without optimisation; without fusion emitters besides, those of DINO's demo take 1.2 instead of 2.0 s. The
    results differ by rounding only. The program is slower: a network's forward pass takes up to four times as
    long.

    Args:
        function: What `jax.jit` takes.
        **settings: Further arguments of `jax.jit`.
    Returns:
        What `jax.jit` returns.
    Examples:
        >>> int(used_seldom(lambda x: x + 1)(2))
        3
    """
    return jax.jit(function, compiler_options=_quickly(), **settings)


@functools.cache
def _quickly() -> dict[str, Any] | None:
    """Those of the options that this version of XLA knows."""
    if jax.default_backend() != "cpu":
        return None

    def known(name):
        try:
            jax.jit(lambda: 0, compiler_options={name: QUICKLY[name]}).lower().compile()
        except jax.errors.JaxRuntimeError:
            return False
        return True

    return {name: QUICKLY[name] for name in QUICKLY if known(name)}


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
