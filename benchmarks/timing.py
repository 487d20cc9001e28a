"""Compiles a function for arrays of given shapes, and measures the time, work and memory of a call.

Inputs are noise and parameters are drawn, not trained: speed does not depend on them, and losses mean
nothing.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.jaxprs import matrix_flops

State = Any


class Case(NamedTuple):
    """A function to be measured.

    Attributes:
        function: called with arrays of the given shapes.
        shapes: the shapes of the arguments, as pytrees of `jax.ShapeDtypeStruct`.
        images: how many images one call handles.
        trains: the function is a step, (state, batch) -> (state, result): the state is donated, and the next
            call gets the new one.
    """

    function: Callable
    shapes: tuple
    images: int
    trains: bool = False


class Compiled(NamedTuple):
    """A case whose program is being compiled, or has been.

    Attributes:
        case: the case.
        program: gives the compiled program and the seconds that compiling took.
        flops: of the matrix products and convolutions of a call.
        traced: the seconds that tracing and lowering took.
    """

    case: Case
    program: Future
    flops: int
    traced: float


def compiled(case: Case, pool: Executor) -> Compiled:
    """Traces a case here and compiles it in the pool.

    Args:
        case: the case.
        pool: several of its programs are compiled side by side.
    """
    start = time.perf_counter()
    traced = jax.jit(case.function, donate_argnums=0 if case.trains else ()).trace(*case.shapes)
    flops, lowered = matrix_flops(traced.jaxpr.jaxpr), traced.lower()
    seconds = time.perf_counter() - start

    def compiling():
        begun = time.perf_counter()
        return lowered.compile(), time.perf_counter() - begun

    return Compiled(case, pool.submit(compiling), flops, seconds)


def measured(compiled: Compiled, *, seconds: float, least: int) -> dict[str, float]:
    """Calls a compiled program again and again.

    Args:
        compiled: what `compiled` returned.
        seconds: how long to measure.
        least: how many blocks of calls to measure, even if they take longer.
    Returns:
        Figures by name; docs/measured.md says what they are.
    """
    case = compiled.case
    program, compiling = compiled.program.result()
    arguments = list(filled(case.shapes))
    batches = [arguments[1], filled(case.shapes[1], seed=1)] if case.trains else []

    def call(i):
        if not case.trains:
            return program(*arguments)
        arguments[0], result = program(arguments[0], batches[i % 2])
        return result

    for i in range(2):
        jax.block_until_ready(call(i))
    blocks, dispatch, begun, n = [], [], time.perf_counter(), 1
    while (time.perf_counter() - begun < seconds or len(blocks) < least) and len(blocks) < 200:
        start = time.perf_counter()
        for i in range(n):
            result = call(i)
        sent = time.perf_counter()
        jax.block_until_ready(result)
        blocks.append((time.perf_counter() - start) / n)
        dispatch.append((sent - start) / n)
        n = max(1, min(50, round(0.25 / blocks[-1])))  # a quarter of a second at a time
    blocks = blocks[1:] or blocks
    each = statistics.median(blocks)
    return dict(
        images_per_s=round(case.images / each, 1),
        ms=round(each * 1e3, 3),
        spread=round((max(blocks) - min(blocks)) / each, 3),
        host_ms=round(statistics.median(dispatch) * 1e3, 3),
        matrix_tflop=round(compiled.flops / 1e12, 6),
        tflop_per_s=round(compiled.flops / each / 1e12, 3),
        trace_s=round(compiled.traced, 1),
        compile_s=round(compiling, 1),
        **memory(program),
    )


def memory(program) -> dict[str, float]:
    """The memory that XLA planned for a compiled program, in GiB; nothing where the platform does not say."""
    stats = program.memory_analysis()
    if stats is None:
        return {}
    planned = stats.argument_size_in_bytes + stats.temp_size_in_bytes + stats.output_size_in_bytes
    return dict(
        memory_gib=round((planned - stats.alias_size_in_bytes) / 2**30, 2),
        temporary_gib=round(stats.temp_size_in_bytes / 2**30, 2),
    )


def filled(shapes, *, seed: int = 0):
    """Makes arrays of the given shapes: parameters of the usual scale, statistics of one, and an optimizer's
    first state.

    Args:
        shapes: a pytree of `jax.ShapeDtypeStruct`.
        seed: the same seed gives the same arrays.
    """
    rng = np.random.default_rng(seed)

    def fill(path, x):
        words = [str(getattr(part, "name", getattr(part, "key", ""))) for part in path]
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.random.key(seed)
        if "opt_state" in words or x.ndim == 0:
            return jnp.zeros(x.shape, x.dtype)
        if words and words[-1] in ("var", "scale"):
            return jnp.ones(x.shape, x.dtype)
        if x.dtype == jnp.uint8:
            return jax.device_put(pictures(rng, x.shape))
        if jnp.issubdtype(x.dtype, jnp.integer):
            return jnp.arange(x.size, dtype=x.dtype).reshape(x.shape)
        if "memory" in words:
            return jnp.zeros(x.shape, x.dtype)
        size = 0.02 if "params" in words or "teacher" in words else 1.0
        return size * jax.random.normal(jax.random.key(int(rng.integers(2**31))), x.shape, x.dtype)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def pictures(rng, shape) -> np.ndarray:
    """Noise at two scales, uint8."""
    count, side = shape[0], shape[1]
    coarse = rng.integers(0, 256, (min(count, 64), -(-side // 8), -(-side // 8), 3))
    some = coarse.repeat(8, 1).repeat(8, 2)[:, :side, :side]
    some = np.clip(some + rng.integers(-20, 21, some.shape), 0, 255).astype(np.uint8)
    return np.resize(some, shape)


def ceilings(*, side: int, words: int) -> dict[str, Any]:
    """Measures the device's highest rates: of a large bfloat16 product, and of a copy, read and written.

    Args:
        side: of the square matrices.
        words: of four bytes, to be copied.
    """
    a, b = (jax.random.normal(jax.random.key(i), (side, side), jnp.bfloat16) for i in range(2))
    x = jax.random.normal(jax.random.key(2), (words,), jnp.float32)

    def seconds(function, *arguments, n=10):
        jax.block_until_ready([function(*arguments) for _ in range(3)][-1])
        start = time.perf_counter()
        for _ in range(n):
            result = function(*arguments)
        jax.block_until_ready(result)
        return (time.perf_counter() - start) / n

    product = seconds(jax.jit(jnp.matmul), a, b)
    copy = seconds(jax.jit(lambda x: x * 1.5), x)
    return dict(
        device=jax.devices()[0].device_kind,
        jax=jax.__version__,
        bf16_tflop_per_s=round(2 * side**3 / product / 1e12, 1),
        copy_tb_per_s=round(8 * words / copy / 1e12, 2),
    )
