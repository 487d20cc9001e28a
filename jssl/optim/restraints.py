"""Clipping and freezing, as optax transforms to put in a chain."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jssl.arrays.stacks import squares_of_layers
from jssl.arrays.trees import by_path, names


def clip_by_parameter_norm(max_norm: float) -> optax.GradientTransformation:
    """Clips the norm of each parameter's gradient by itself, as DINO does: g * min(1, max_norm / (|g| +
    1e-6)).

    To clip the norm of the whole gradient, use `clip_by_global_norm`. Put either first in a chain.

    Args:
        max_norm: the largest norm that a parameter's gradient keeps, positive (DINO: 3.0 for ViT-S, 0.3 for
            ViT-B).
    Returns:
        A stateless `optax.GradientTransformation`.
    Raises:
        ValueError: if max_norm is not positive.
    References:
        DINO, arXiv:2104.14294, `utils.clip_gradients`
    Examples:
        >>> transform = clip_by_parameter_norm(1.0)
        >>> gradients = {"a": jnp.array([3.0, 4.0]), "b": jnp.array([0.5])}
        >>> updates, _ = transform.update(gradients, transform.init(None))
        >>> [round(float(x), 3) for x in updates["a"]], float(updates["b"][0])
        ([0.6, 0.8], 0.5)
    """
    if max_norm <= 0:
        raise ValueError(f"clip_by_parameter_norm: max_norm must be positive, got {max_norm}")

    def clipped(updates, params):
        return jax.tree.map(partial(_clipped, max_norm), updates, squares_of_layers(updates))

    return optax.stateless(clipped)


def clip_by_part_norm(max_norm: float) -> optax.GradientTransformation:
    """Clips the norm of the gradient of each part, the encoder and every head, by itself, as DINOv2 does.

    Args:
        max_norm: the largest norm that the gradient of a top-level part of the parameters keeps, positive.
    Returns:
        A stateless `optax.GradientTransformation`.
    Raises:
        ValueError: if max_norm is not positive.
    References:
        DINOv2, arXiv:2304.07193, `clip_grad_norm_` of each of the student's networks
    Examples:
        >>> transform = clip_by_part_norm(1.0)
        >>> gradients = {"a": {"x": jnp.array([3.0]), "y": jnp.array([4.0])}, "b": jnp.array([0.5])}
        >>> updates, _ = transform.update(gradients, transform.init(None))
        >>> [round(float(x[0]), 3) for x in jax.tree.leaves(updates)]
        [0.6, 0.8, 0.5]
    """
    if max_norm <= 0:
        raise ValueError(f"clip_by_part_norm: max_norm must be positive, got {max_norm}")

    def clipped(updates, params):
        squares = {name: optax.tree.sum(part) for name, part in squares_of_layers(updates).items()}
        return {
            name: jax.tree.map(lambda g, name=name: _clipped(max_norm, g, squares[name]), part)
            for name, part in updates.items()
        }

    return optax.stateless(clipped)


def _clipped(max_norm: float, gradient: jax.Array, square: jax.Array) -> jax.Array:
    """The gradient times min(1, max_norm / (the root of the square + 1e-6))."""
    factor = jnp.minimum(1.0, max_norm / (jnp.sqrt(square) + 1e-6))
    return gradient * factor.astype(gradient.dtype)


class FreezeState(NamedTuple):
    """The state of `freeze_during`.

    Attributes:
        count: how many updates have passed, [] int32.
    """

    count: jax.Array  # type: ignore[assignment]  # hides tuple.count, as optax's own states do


def freeze_during(steps: float, predicate: Callable[[tuple[str, ...]], bool]) -> optax.GradientTransformation:
    """Freezes some parameters for the first steps, such as DINO's last layer or MoCo v3's patch projection.

    Put it last in a chain: it stops all updates, decay included. The optimizer's moments still see the
    gradients, so that the first update after the freeze has its usual size.

    Args:
        steps: how many steps to freeze for; `float("inf")` for the whole run.
        predicate: (names along the path to a leaf) -> whether the leaf is frozen, for instance
            `lambda path: "last_layer" in path`.
    Returns:
        An `optax.GradientTransformation` whose state counts the steps.
    Raises:
        ValueError: when initialised, if no parameter is frozen.
    References:
        DINO, arXiv:2104.14294, `--freeze_last_layer`
        MoCo v3, arXiv:2104.02057
    Examples:
        >>> params = {"body": jnp.ones(2), "last_layer": jnp.ones(2)}
        >>> transform = freeze_during(1, lambda path: "last_layer" in path)
        >>> state = transform.init(params)
        >>> for _ in range(2):
        ...     updates, state = transform.update(params, state)
        ...     print(float(updates["body"][0]), float(updates["last_layer"][0]))
        1.0 0.0
        1.0 1.0
    """

    def init(params):
        held = jax.tree_util.tree_map_with_path(lambda path, _: predicate(names(path)), params)
        if not any(jax.tree.leaves(held)):
            found = sorted(map("/".join, by_path(params)))
            raise ValueError(f"freeze_during: the predicate holds none of the parameters: {', '.join(found)}")
        return FreezeState(count=jnp.zeros([], jnp.int32))

    def update(updates, state, params=None):
        def hold(path, update):
            return jnp.where(state.count < steps, 0, update) if predicate(names(path)) else update

        return jax.tree_util.tree_map_with_path(hold, updates), FreezeState(optax.safe_increment(state.count))

    return optax.GradientTransformation(init, update)
