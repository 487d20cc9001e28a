"""The definition of an objective: a pair of pure functions over a method's outputs, as optax's are over
gradients.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Memory = Any  # a pytree of arrays without gradient: centers, queues, assignments
Metrics = dict[str, jax.Array]


class Outputs(NamedTuple):
    """The outputs of one forward pass that an objective reads.

    Args:
        student: arrays by name, views first, for instance {"cls": [V, B, D], "patch": [V, B, N, D]}.
        target: what the student is compared with, under the same names: a teacher's outputs, pixels or
            labels.
        mask: True where a token was hidden from the student, [V, B, N]; None where nothing is hidden.
        views: the views and other arrays of the batch, {"index": [B], ...}, for objectives that remember
            samples.
        places: [V, B, n], the hidden tokens that the student's heads over tokens have run on, of which the
            first mask.sum(-1) are real; None: they have run on all tokens.
    """

    student: Mapping[str, jax.Array]
    target: Mapping[str, jax.Array] | None = None
    mask: jax.Array | None = None
    views: Mapping[str, jax.Array] | None = None
    places: jax.Array | None = None


class Objective(NamedTuple):
    """A loss and the memory that it keeps between steps.

    Args:
        init: (outputs) -> memory, from one example of the outputs.
        apply: (memory, outputs, step) -> (loss [], memory, metrics).
    """

    init: Callable[[Outputs], Memory]
    apply: Callable[[Memory, Outputs, jax.Array], tuple[jax.Array, Memory, Metrics]]


def value_at(value: float | Callable, step) -> jax.Array | float:
    """Evaluates a hyper-parameter at a step: a schedule's value, or the number itself.

    Args:
        value: a number or a schedule, step -> number.
        step: scalar.
    Returns:
        A scalar.
    Examples:
        >>> value_at(0.5, 3), value_at(lambda step: 2 * step, 3)
        (0.5, 6)
    """
    return value(step) if callable(value) else value


def named(arrays: Mapping[str, jax.Array] | None, name: str, owner: str) -> jax.Array:
    """Picks an array by its name, or raises an error that lists the names that there are.

    Args:
        arrays: by name, or None where the method makes none.
        name: the one wanted.
        owner: the name of `arrays` in the message, such as "student".
    Returns:
        arrays[name].
    Raises:
        ValueError: where it is missing.
    Examples:
        >>> named({"cls": 1.0}, "patch", "student")
        Traceback (most recent call last):
        ...
        ValueError: the objective needs 'patch' of outputs.student, which has ['cls']
    """
    if arrays is None or name not in arrays:
        found = "is None" if arrays is None else f"has {sorted(arrays)}"
        raise ValueError(f"the objective needs {name!r} of outputs.{owner}, which {found}")
    return arrays[name]


def stateless(loss_fn: Callable[[Outputs], jax.Array]) -> Objective:
    """Makes an objective without memory: loss = mean(loss_fn(outputs)).

    Args:
        loss_fn: outputs -> losses of any shape (one per example, or a scalar), or (losses, metrics).
    Returns:
        An `Objective` with empty memory.
    Examples:
        >>> objective = stateless(lambda outputs: outputs.student["cls"] ** 2)
        >>> outputs = Outputs(student={"cls": jnp.array([1.0, 3.0])})
        >>> float(objective.apply(objective.init(outputs), outputs, 0)[0])
        5.0
    """

    def apply(memory, outputs, step):
        result = loss_fn(outputs)
        losses, metrics = result if isinstance(result, tuple) else (result, {})
        return jnp.mean(losses), memory, metrics

    return Objective(init=lambda outputs: (), apply=apply)


def weighted_sum(**terms: tuple[float | Callable, Objective]) -> Objective:
    """Adds up several objectives over one forward pass: loss = sum_i weight_i * loss_i.

    Args:
        terms: name=(weight, objective); a weight is a number or a schedule, step -> number.
    Returns:
        An `Objective` whose memory and metrics are kept by name; the metrics include every term's loss under
        its name.
    Raises:
        ValueError: without terms.
        TypeError: for a term that is not a pair of a weight and an `Objective`.
    Examples:
        >>> def scaled(factor):
        ...     return stateless(lambda outputs: factor * outputs.student["cls"])
        >>> both = weighted_sum(a=(1.0, scaled(1.0)), b=(0.5, scaled(4.0)))
        >>> outputs = Outputs(student={"cls": jnp.ones(3)})
        >>> float(both.apply(both.init(outputs), outputs, 0)[0])
        3.0
    """
    if not terms:
        raise ValueError("weighted_sum needs at least one term: name=(weight, objective)")
    for name, term in terms.items():
        if not (isinstance(term, tuple) and len(term) == 2 and isinstance(term[1], Objective)):
            raise TypeError(f"weighted_sum: {name} must be a pair (weight, Objective), got {term!r}")

    def init(outputs):
        return {name: objective.init(outputs) for name, (_, objective) in terms.items()}

    def apply(memory, outputs, step):
        total, memories, metrics = 0.0, {}, {}
        for name, (weight, objective) in terms.items():
            loss, memories[name], inner = objective.apply(memory[name], outputs, step)
            total += value_at(weight, step) * loss
            metrics |= {name: loss} | {f"{name}/{key}": value for key, value in inner.items()}
        return total, memories, metrics

    return Objective(init, apply)
