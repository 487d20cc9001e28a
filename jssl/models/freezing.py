"""Frozen networks: their weights are kept among the statistics, and all of them must be given."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jssl.arrays.trees import by_path, cast, overlay
from jssl.models.network import Network, network

UNFILLED = "unfilled"  # marks a frozen network that only has placeholders for weights


def frozen(model, variables: Mapping[str, Any] | None = None, *, drawn: bool = False) -> Network:
    """Makes a network whose weights never change, and are kept among the statistics.

    So the weights are saved and sharded like parameters, but have no gradient and no optimizer state, and are
    not constants of the compiled step.

    Args:
        model: anything `network` takes.
        variables: {"params": ..., "batch_stats": ... where there are}. None: `init_state(start=...)` must
            give them. This is better for large networks, since variables given here are constants of the
            program that makes the first state.
        drawn: without variables, keep the random initial weights.
    Returns:
        A `Network` without parameters, with statistics {"frozen": variables}; it always runs in evaluation
        mode.
    Raises:
        ValueError: when initialised, for variables of other shapes.
    """
    net = network(model)

    def init(key, *inputs, **named):
        params, statistics = net.init(key, *inputs, **named)
        weights = {"params": params, **statistics}
        if variables is None:
            return {}, {"frozen": weights} | ({} if drawn else {UNFILLED: {}})
        return {}, {"frozen": _complete(weights, variables, "frozen")}

    def own(statistics, dtype=None):
        weights = dict(statistics["frozen"])
        return cast(weights.pop("params"), dtype), weights

    def of_weights(run):
        def apply(params, statistics, inputs, *more, train=False, key=None, **named):
            first = jax.tree.leaves(inputs)[0]
            dtype = first.dtype if jnp.issubdtype(first.dtype, jnp.floating) else None
            outputs, _ = run(*own(statistics, dtype), inputs, *more, **named)
            return jax.lax.stop_gradient(outputs), statistics

        return run and apply

    def features(params, statistics, images):
        return net.features(*own(statistics), images)

    def inner(params, statistics):
        return net.encoder(*own(statistics))

    apply, encode, heads = map(of_weights, (net.apply, net.encode, net.heads))
    return Network(init, apply, features, inner, encode, heads)


def filled(tree: Any, given: Any, *, path: tuple[str, ...] = ()) -> Any:
    """Replaces arrays of a tree by given ones, and checks that every frozen network then has all of its
    weights.

    Args:
        tree: parameters and statistics.
        given: a tree with some of its paths, as `jssl.arrays.trees.overlay` takes it.
        path: the path of the tree, for the message.
    Returns:
        The tree.
    Raises:
        ValueError: for a frozen network without weights, another shape, or a path that the tree does not
            have.
    """
    if not path:
        tree = overlay(tree, given)
    if not isinstance(tree, Mapping):
        return tree
    below = given if isinstance(given, Mapping) else {}
    if UNFILLED in tree:
        _complete(tree["frozen"], below.get("frozen", {}), "/".join((*path, "frozen")))
    return {
        name: filled(value, below.get(name, {}), path=(*path, name))
        for name, value in tree.items()
        if name != UNFILLED
    }


def _complete(weights, variables, place: str):
    """Checks that all weights of a frozen network are given."""
    result = overlay(weights, variables)
    there = by_path(variables)
    for path in by_path(weights):
        if path not in there:
            raise ValueError(
                f"{place} is a frozen network without its weights ({'/'.join(path)}): give them to "
                "frozen(network, variables) or to init_state(start=...)"
            )
    return result
