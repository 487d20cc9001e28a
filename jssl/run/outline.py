"""What a run would take, said without starting it: `jssl train NAME --plan`."""

from collections.abc import Iterable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from jssl.run.experiment import DataInfo
from jssl.run.footprint import in_words
from jssl.run.plan import Plan, step_of


def outline(plan: Plan) -> list[str]:
    """Says what a planned run would take of its devices; compiles nothing.

    Args:
        plan: Of `jssl.run.plan`.
    Returns:
        Lines: steps, data, memory, operations.
    """
    batch = DataInfo(**plan.config["data"]).batch(plan.experiment.batch)
    each = products(jax.make_jaxpr(step_of(plan))(plan.state, batch))
    whole = each * plan.experiment.steps
    return [
        plan.budget,
        f"{plan.data.source.name}: {len(plan.data):,} images",
        in_words(plan.needs),
        f"matrix products of {each:.3g} operations a step, {whole:.3g} in all; at 1e14 a second on each "
        f"device {whole / 3.6e17 / plan.mesh.size:.3g} hours",
    ]


def products(closed: ClosedJaxpr) -> int:
    """Counts the operations of a program's matrix products and convolutions, two for each number multiplied.

    A loop counts as often as it turns, where that is written; of branches the largest counts.

    Args:
        closed: Of `jax.make_jaxpr`.
    Returns:
        Operations, on all devices together.

    >>> import jax.numpy as jnp
    >>> products(jax.make_jaxpr(lambda x: x @ x)(jnp.ones((4, 4))))
    128
    """
    return _products(closed.jaxpr)


def _products(jaxpr: Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        made: Any = equation.outvars[0].aval if equation.outvars else None
        inner = [_products(one) for one in _jaxprs(params.values())]
        if name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            read: Any = equation.invars[0].aval
            total += 2 * made.size * _sizes(read.shape, contracted)
        elif name == "conv_general_dilated":
            kernel: Any = equation.invars[1].aval
            total += 2 * made.size * kernel.size // kernel.shape[params["dimension_numbers"].rhs_spec[0]]
        elif name == "cond":
            total += max(inner)
        else:
            total += params.get("length", 1) * sum(inner) if name == "scan" else sum(inner)
    return total


def _sizes(shape: tuple[int, ...], axes: Iterable[int]) -> int:
    size = 1
    for axis in axes:
        size *= shape[axis]
    return size


def _jaxprs(values: Iterable[Any]) -> Iterable[Jaxpr]:
    for value in values:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _jaxprs(value)
