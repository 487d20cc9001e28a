"""How much memory a step takes on each device, from its shapes alone: known before anything is compiled."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from jssl.arrays.jaxprs import bodies
from jssl.arrays.keys import as_numbers, is_key

CALLS = (
    "pjit",
    "jit",
    "closed_call",
    "core_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "remat",
    "remat2",
    "checkpoint",
)
# Operations that compilers fuse into those that read them, and store only for readers of other kinds:
MOVES = frozenset(  # for any number of readers
    "and bitcast_convert_type broadcast_in_dim ceil clamp convert_element_type copy copy_p eq exp2 "
    "expand_dims floor ge gt iota is_finite le lt ne not or pad real reduce_precision reshape rev round "
    "shift_left shift_right_arithmetic shift_right_logical sign slice split squeeze stop_gradient "
    "transpose xor".split()
)
ARITHMETIC = frozenset(  # for one reader; a second one is the backward pass, for which the result is stored
    "abs add add_any concatenate cos cumsum div erf erf_inv erfc exp expm1 integer_pow log log1p logistic "
    "max min mul neg pow rem rsqrt select_n sin sqrt square sub tan tanh".split()
)
MASKS = frozenset("eq ge gt is_finite le lt ne sign".split())  # readers that store a bit at most
REDUCTIONS = frozenset(
    "argmax argmin reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum".split()
)
Size = Callable[[Any], int]
STATE = ("parameters", "teacher", "memory", "optimizer")  # parts of a step's memory that are known exactly


def check_room(needs: Mapping[str, int], devices: Sequence[jax.Device]) -> None:
    """Refuses a run whose state alone is larger than a device's memory: allocating it may never return.

    Args:
        needs: Bytes of each device, as `footprint` counts them.
        devices: Of the run.
    Raises:
        ValueError: saying what is needed and what there is.
    """
    state = {name: needs.get(name, 0) for name in STATE}
    here = [device for device in devices if device.process_index == jax.process_index()]
    room = min(map(_room, here), default=math.inf) / (len(here) if here and here[0].platform == "cpu" else 1)
    if (total := sum(state.values())) > room:
        told = ", ".join(f"{name} {_readable(size)}" for name, size in state.items() if size)
        raise ValueError(
            f"the run's state takes {_readable(total)} of a device that has {_readable(room)}: {told}; "
            "choose smaller heads, queues or networks, or spread it with --mesh fsdp=..."
        )


def _room(device: jax.Device) -> float:
    """Bytes of a device's memory; of a CPU, all of the machine's; infinite where it is unknown."""
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit", math.inf)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


class Operation(NamedTuple):
    """An equation of a jaxpr whose calls have been inlined.

    Attributes:
        name: Of its primitive.
        reads, writes: The variables by number.
        inner: Bytes that a loop's body takes.
    """

    name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    inner: int


def whole(aval) -> int:
    """Counts the bytes of an array, or of random keys."""
    if is_key(aval):
        aval = as_numbers(jax.ShapeDtypeStruct(aval.shape, aval.dtype))
    return math.prod(aval.shape) * aval.dtype.itemsize


def peak_bytes(closed: ClosedJaxpr, *, size: Size = whole) -> int:
    """Counts the most bytes of intermediate results alive at once, when a function runs in its written order.

    An intermediate result lives from the operation that makes it to the last one that reads it. Arguments are
    not counted, nor results of the function, which take a donated argument's place. Element-wise operations
    are taken to be fused into the operations that read them, as `MOVES` and `ARITHMETIC` say; the body of a
    loop costs its own peak.

    Args:
        closed: Of `jax.make_jaxpr`.
        size: Of an abstract array on one device, in bytes.
    Returns:
        Bytes.
    Examples:
        >>> import jax.numpy as jnp
        >>> double = jax.make_jaxpr(lambda x: jnp.sum((x @ x) @ x))(jnp.ones((8, 8)))
        >>> peak_bytes(double)
        512
    """
    operations, avals, arguments, results = flattened(closed.jaxpr, size)
    readers: dict[int, list[Operation]] = {}
    for operation in operations:
        for variable in operation.reads:
            readers.setdefault(variable, []).append(operation)

    # by variable: the stored arrays that it is computed of
    stored = {variable: {variable} for variable in arguments}
    last: dict[int, int] = {}
    for number, operation in enumerate(operations):
        sources = set().union(*(stored.get(variable, set()) for variable in operation.reads))
        for variable in sources:
            last[variable] = number
        for variable in operation.writes:
            fused = _fused(operation, readers.get(variable, []))
            stored[variable] = sources if fused else {variable}
            if not fused:
                last[variable] = number

    free = arguments | results
    ends: dict[int, list[int]] = {}
    for variable, number in last.items():
        ends.setdefault(number, []).append(variable)
    alive = peak = 0
    for number, operation in enumerate(operations):
        made = sum(size(avals[v]) for v in operation.writes if stored[v] == {v} and v not in free)
        alive += made
        peak = max(peak, alive + operation.inner)
        alive -= sum(size(avals[v]) for v in ends.get(number, ()) if v not in free)
    return peak


def _fused(operation: Operation, readers: list[Operation]) -> bool:
    """Whether a result is never stored, because it is fused into the operations that read it."""
    if not all(reader.name in MOVES | ARITHMETIC | REDUCTIONS for reader in readers):
        return False
    again = sum(reader.name not in MASKS for reader in readers)
    return operation.name in MOVES or (operation.name in ARITHMETIC and again <= 1)


def flattened(jaxpr: Jaxpr, size: Size):
    """Lists a jaxpr's operations in order, calls replaced by what they call.

    Returns:
        Operations, the abstract value of every variable by its number, the numbers of the arguments and of
        the results.
    """
    operations: list[Operation] = []
    avals: list[Any] = []

    def new(aval) -> int:
        avals.append(aval)
        return len(avals) - 1

    def walk(jaxpr: Jaxpr, numbers: dict) -> list[int | None]:
        def number(atom):
            return None if isinstance(atom, Literal) else numbers[atom]

        for variable in jaxpr.constvars:
            numbers[variable] = new(variable.aval)
            constants.add(numbers[variable])
        for equation in jaxpr.eqns:
            name = equation.primitive.name
            inner = list(bodies(equation.params))
            if name in CALLS and inner:
                called = dict(zip(inner[0].invars, map(number, equation.invars), strict=True))
                called = {v: new(v.aval) if n is None else n for v, n in called.items()}
                for variable, made in zip(equation.outvars, walk(inner[0], called), strict=True):
                    numbers[variable] = new(variable.aval) if made is None else made
                continue
            reads = tuple(n for n in map(number, equation.invars) if n is not None)
            for variable in equation.outvars:
                numbers[variable] = new(variable.aval)
            writes = tuple(numbers[variable] for variable in equation.outvars)
            operations.append(Operation(name, reads, writes, max([_body(i, size) for i in inner], default=0)))
        return [number(atom) for atom in jaxpr.outvars]

    constants: set[int] = set()
    numbers = {variable: new(variable.aval) for variable in jaxpr.invars}
    arguments = set(numbers.values())
    results = {n for n in walk(jaxpr, numbers) if n is not None}
    return operations, avals, arguments | constants, results


def _body(jaxpr: Jaxpr, size: Size) -> int:
    """The peak of a loop's body, as `peak_bytes` counts it."""
    return peak_bytes(ClosedJaxpr(jaxpr, ()), size=size)


def on_each_device(tree) -> int:
    """Bytes per device of arrays or `jax.ShapeDtypeStruct`s; those without a sharding lie there whole."""

    def one(x):
        place = getattr(x, "sharding", None)
        shape = x.shape if place is None else place.shard_shape(x.shape)
        return whole(jax.ShapeDtypeStruct(shape, x.dtype))

    return sum(map(one, jax.tree.leaves(tree)))


def footprint(traced: ClosedJaxpr, state, batch, *, devices: int = 1) -> dict[str, int]:
    """Estimates how much of each device's memory a step takes.

    Args:
        traced: A train step that donates its state, by `jax.make_jaxpr(step)(state, batch)`.
        state, batch: `jax.ShapeDtypeStruct`s with their shardings.
        devices: Over which the batch is spread.
    Returns:
        Bytes of "parameters", "teacher", "memory", "optimizer", "batch" and "activations", which include
        gradients.
    """
    spread = {x.shape: on_each_device(x) / whole(x) for x in jax.tree.leaves(state.params)}

    def size(aval):
        return int(whole(aval) * spread.get(aval.shape, 1 / devices))  # gradients lie as their parameters

    peak = peak_bytes(traced, size=size)
    parts = dict(
        parameters=state.params, teacher=state.teacher, memory=state.memory, optimizer=state.opt_state
    )
    return {name: on_each_device(part) for name, part in parts.items()} | {
        "batch": on_each_device(batch),
        "activations": peak,
    }


def in_words(parts: Mapping[str, int]) -> str:
    """Writes the sum and the parts for a reader.

    Examples:
        >>> in_words({"parameters": 3 * 2**29, "activations": 2**29, "teacher": 0})
        'about 2.0 GiB per device: parameters 1.5 GiB, activations 512.0 MiB'
    """
    named = ", ".join(f"{name} {_readable(part)}" for name, part in parts.items() if part)
    return f"about {_readable(sum(parts.values()))} per device: {named}"


def _readable(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
        count /= 1024
    return f"{count:.1f} GiB"
