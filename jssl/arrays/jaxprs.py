"""Programs traced by JAX (jaxprs): the programs nested inside them, and the operations that they take."""

import math
from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def bodies(value: Any) -> Iterator[Jaxpr]:
    """Yields the programs nested in a parameter of an equation: the bodies of calls, loops and branches.

    Args:
        value: A parameter, or several in a mapping or a sequence.
    """
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, dict):
        yield from bodies(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from bodies(part)


def matrix_flops(jaxpr: Jaxpr) -> int:
    """Counts the operations of matrix products and convolutions, two for each number multiplied.

    The body of a loop of known length counts once per iteration; of a `cond`, only the largest branch counts.
    Equations that no result depends on do not count.

    Args:
        jaxpr: Such as `jax.make_jaxpr(...)(...).jaxpr`.
    Returns:
        Operations, on all devices together.
    Examples:
        >>> import jax, jax.numpy as jnp
        >>> matrix_flops(jax.make_jaxpr(jnp.matmul)(jnp.ones((2, 3)), jnp.ones((3, 5))).jaxpr)
        60
    """
    total = 0
    for equation in used(jaxpr):
        name, inner = equation.primitive.name, [matrix_flops(body) for body in bodies(equation.params)]
        times = equation.params["length"] if name == "scan" else 1
        total += own_flops(equation)
        if inner:
            total += times * (max(inner) if name == "cond" else sum(inner))
    return total


def used(jaxpr: Jaxpr) -> list[JaxprEqn]:
    """Lists the equations that results depend on, in order; compilers drop the others.

    Args:
        jaxpr: a traced program; all of its results count as used.
    Examples:
        >>> import jax
        >>> len(used(jax.make_jaxpr(lambda x: (x * 2, x + 1)[1])(1.0).jaxpr))
        1
    """
    read, kept = set(map(id, jaxpr.outvars)), []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or read.intersection(map(id, equation.outvars)):
            read.update(map(id, equation.invars))
            kept.append(equation)
    return kept[::-1]


def own_flops(equation: JaxprEqn) -> int:
    """Counts the operations of one matrix product or convolution; 0 for any other equation.

    Args:
        equation: One of a traced program; programs nested inside it do not count.
    """
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        depth = math.prod(_shape(equation.invars[0])[axis] for axis in contracted)
        return 2 * depth * math.prod(_shape(equation.outvars[0]))
    if equation.primitive.name == "conv_general_dilated":
        return 2 * _convolution_products(equation)
    return 0


def _convolution_products(equation: Any) -> int:
    """Counts the products of two numbers in a convolution; zeros inserted by a dilation do not count."""
    kernel, spec = _shape(equation.invars[1]), equation.params["dimension_numbers"]
    groups = equation.params["batch_group_count"]  # the gradient of a kernel is a convolution over the batch
    out = math.prod(_shape(equation.outvars[0]))
    products = math.prod(kernel) // kernel[spec.rhs_spec[0]] * out // groups
    return products // math.prod(equation.params["lhs_dilation"])  # a kernel's zeros are not in its shape


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape
