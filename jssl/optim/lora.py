"""LoRA, low-rank changes of an encoder, as an optax transform that needs no change of the network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import unflatten_dict

from jssl.arrays.trees import by_path, names


class LowRankState(NamedTuple):
    """The state of `low_rank`.

    Attributes:
        factors: {path of a kernel: {"a": [..., in, r], "b": [..., r, out]}}, as a nested tree.
        inner: the state of the optimizer that updates them.
    """

    factors: Any
    inner: optax.OptState


def attention_kernels(path: tuple[str, ...]) -> bool:
    """Chooses the kernels of attention layers.

    Args:
        path: names along the path to a leaf.
    """
    return "attn" in path and path[-1] == "kernel"


def low_rank(
    inner: optax.GradientTransformation,
    rank: int,
    *,
    scale: float = 1.0,
    where: Callable[[tuple[str, ...]], bool] = attention_kernels,
    part: str = "encoder",
    seed: int = 0,
) -> optax.GradientTransformation:
    """Lets an optimizer update low-rank factors of an encoder's kernels instead of the encoder.

    At every step, a chosen kernel is its initial value plus scale * a b. Initially a is random and b is zero;
    the optimizer gets the gradients of a and b by the chain rule. The rest of the encoder is frozen; other
    parts, such as heads, are updated as usual. The factors are part of the optimizer's state, so the network,
    its teacher and its export do not change.

    Args:
        inner: the optimizer; its transformations get the factors in place of the encoder's parameters.
        rank: r, the number of columns of a.
        scale: the factor of a b.
        where: (names along the path to a leaf) -> whether it is changed; such leaves have two axes, or three
            in a stack.
        part: the name of the encoder among the parameters.
        seed: the seed of the initial a.
    Returns:
        An `optax.GradientTransformation`; its update needs the parameters.
    Raises:
        ValueError: if nothing is chosen, when initialised.
    References:
        LoRA, arXiv:2106.09685
    """

    def chosen(tree):
        return [(path, leaf) for path, leaf in by_path(tree[part]).items() if where(path)]

    def at(tree, path):
        for name in path:
            tree = tree[name]
        return tree

    def beside(tree, factors):
        return {**tree, part: factors}

    def init(params):
        kernels = chosen(params) if part in params else []
        if not kernels:
            raise ValueError(f"low_rank: no kernel of {part!r} is chosen, so nothing of it would move")
        keys = jax.random.split(jax.random.key(seed), len(kernels))

        def pair(key, kernel):
            *stack, rows, columns = kernel.shape
            a = jax.random.normal(key, (*stack, rows, rank), kernel.dtype) / rows**0.5
            return {"a": a, "b": jnp.zeros((*stack, rank, columns), kernel.dtype)}

        pairs = {path: pair(key, kernel) for key, (path, kernel) in zip(keys, kernels, strict=True)}
        factors = unflatten_dict(pairs)
        return LowRankState(factors, inner.init(beside(params, factors)))

    def update(gradients, state, params):
        def slopes(gradient, pair):
            a, b = pair["a"], pair["b"]
            return {"a": scale * gradient @ b.mT, "b": scale * a.mT @ gradient}

        kernels = chosen(gradients)
        own = unflatten_dict({path: slopes(g, at(state.factors, path)) for path, g in kernels})
        moves, inner_state = inner.update(beside(gradients, own), state.inner, beside(params, state.factors))
        factors = optax.apply_updates(state.factors, moves[part])

        def moved(path, gradient):
            path = names(path)
            if not where(path):
                return jnp.zeros_like(gradient)
            after, before = at(factors, path), at(state.factors, path)
            return scale * (after["a"] @ after["b"] - before["a"] @ before["b"])

        still = jax.tree_util.tree_map_with_path(moved, gradients[part])
        return beside(moves, still), LowRankState(factors, inner_state)

    return optax.GradientTransformation(init, update)
