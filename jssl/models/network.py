"""Networks as pairs of pure functions: the only place that knows how Flax is applied."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.arrays.trees import by_path
from jssl.models.features import Features

Params = Any
Statistics = Any  # running batch statistics and frozen weights; empty where a network has none


def whole(params: Params, statistics: Statistics) -> tuple[Params, Statistics]:
    """Selects everything: a network without heads is its own encoder."""
    return params, statistics


class Network(NamedTuple):
    """A pure network.

    Args:
        init: (key, *inputs, **inputs) -> (params, statistics).
        apply: (params, statistics, *inputs, train=False, key=None, **inputs) -> (outputs, statistics). train:
            normalise by the batch and update the statistics. key: for randomness such as stochastic depth;
            None for none. collect: names of inner values, sown by the layers, to return in `Features.inner`.
        features: (params, statistics, images) -> Features for evaluation, from the encoder without its heads.
        encoder: (params, statistics) -> those of the encoder alone; they are only selected, not computed.
        encode: as `apply`, without the heads; None for a network without separate heads.
        heads: (params, statistics, the outputs of `encode` by name, train=False, key=None, places=None) ->
            (outputs by name, statistics). Heads over images read rows [B, D]. Heads over tokens read
            [B, N, D], only at `places` [B, n] if given; if places has fewer rows, [R, n], a row indexes the
            tokens of B / R neighbouring rows. None for a network without separate heads.
    """

    init: Callable[..., tuple[Params, Statistics]]
    apply: Callable[..., tuple[Any, Statistics]]
    features: Callable[[Params, Statistics, jax.Array], Features]
    encoder: Callable[[Params, Statistics], tuple[Params, Statistics]] = whole
    encode: Callable[..., tuple[Any, Statistics]] | None = None
    heads: Callable[..., tuple[dict[str, Any], Statistics]] | None = None


def network(model) -> Network:
    """Makes a `Network` from a Flax Linen module, an NNX module, a pair of pure functions, or a `Network`.

    Args:
        model: a Linen module that maps images to `Features`, an array or a dict of arrays; an NNX module (its
            parameters are the initial ones, whatever the key); or a pair (init(key, images) -> params,
            apply(params, images) -> outputs). A Linen module may have a flag for training, as an argument of
            its call or as a field: train, training, is_training, deterministic or use_running_average.
    Returns:
        The `Network`.
    Raises:
        TypeError: for anything else, or a Linen module whose flag for training has another name.
    Examples:
        >>> dense = network(nn.Dense(4))
        >>> params, statistics = dense.init(jax.random.key(0), jnp.ones((2, 3)))
        >>> dense.apply(params, statistics, jnp.ones((2, 3)))[0].shape
        (2, 4)
    """
    if isinstance(model, Network):
        return model
    if isinstance(model, nn.Module):
        return _from_linen(model)
    if isinstance(model, tuple) and len(model) == 2 and all(map(callable, model)):
        return _from_functions(*model)
    if any(base.__module__.startswith("flax.nnx") for base in type(model).__mro__):
        return _from_nnx(model)
    raise TypeError(
        "a network is a flax.linen module, a flax.nnx module, a pair of functions (init, apply) or a jssl "
        f"Network; got {type(model).__name__}"
    )


def as_features(outputs) -> Features:
    """Makes `Features` from whatever an encoder returns.

    Args:
        outputs: `Features`, a dict with "cls", [B, D] (one token), [B, N, D] or a map [B, H, W, D] (their
            mean).
    Returns:
        `Features`.
    Raises:
        TypeError: for anything else.
    """
    if isinstance(outputs, Features):
        return outputs
    if isinstance(outputs, dict) and "cls" in outputs:
        return Features(outputs["cls"], outputs.get("tokens", outputs["cls"][:, None]))
    if hasattr(outputs, "ndim") and outputs.ndim == 2:
        return Features(outputs, outputs[:, None])
    if hasattr(outputs, "ndim") and outputs.ndim in (3, 4):
        tokens = outputs.reshape(outputs.shape[0], -1, outputs.shape[-1])
        return Features(tokens.mean(1), tokens)
    raise TypeError(
        "an encoder must return jssl.Features, a dict with 'cls', or an array [B, D], [B, N, D] or [B, H, W, "
        f"D]; got {getattr(outputs, 'shape', type(outputs).__name__)}"
    )


def as_outputs(outputs) -> dict[str, Any]:
    """Names outputs: a dict stays, anything else becomes {"cls", "tokens"} and the collected values."""
    if isinstance(outputs, dict):
        return outputs
    features = as_features(outputs)
    return {"cls": features.cls, "tokens": features.tokens} | dict(features.inner or {})


def of_variables(variables: Mapping[str, Any]) -> tuple[Params, Statistics]:
    """Splits a Linen module's variables into parameters and statistics, as a `Network` takes them."""
    return variables["params"], {name: value for name, value in variables.items() if name != "params"}


def of_part(net: Network, name: str = "encoder") -> tuple[Callable, Callable]:
    """Makes `features` and `encoder` for a network of which only one part is evaluated.

    Args:
        net: the part, as a network.
        name: the name of its parameters and statistics.
    Returns:
        The two functions.
    """

    def features(params, statistics, images):
        return net.features(params[name], statistics[name], images)

    def encoder(params, statistics):
        return net.encoder(params[name], statistics[name])

    return features, encoder


def collecting(model, *wanted: str) -> Network:
    """Makes a network whose outputs include inner values, such as the attention that a masking uses.

    Args:
        model: anything `network` takes that can collect: a Linen module.
        wanted: names under which layers have sown values.
    Returns:
        A `Network` with the same parameters; inner values that nothing reads are not computed.
    Examples:
        >>> class Two(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         self.sow("intermediates", "half", x / 2)
        ...         return x
        >>> net = collecting(Two(), "half")
        >>> as_outputs(net.apply({}, {}, jnp.ones((1, 2)))[0])["half"][0].tolist()
        [[0.5, 0.5]]
    """
    net = network(model)
    apply = partial(net.apply, collect=wanted)
    return net._replace(apply=apply)


FLAGS = {  # names of a module's flag, and whether it is the opposite of training
    "train": False,
    "training": False,
    "is_training": False,
    "deterministic": True,
    "use_running_average": True,
}
LIKE_FLAGS = r"train|determin|eval|infer|dropout"  # names that suggest a flag for training


def _modes(module: nn.Module) -> Callable[[bool], tuple[nn.Module, dict[str, bool]]]:
    """train -> (the module, the flags of its call); a flag may be a field of the module, too."""
    parameters = inspect.signature(type(module).__call__).parameters.values()
    for p in parameters:
        truth = isinstance(p.default, bool | None) or p.annotation in (bool, "bool")
        if truth and p.name not in FLAGS and (p.default is p.empty or re.search(LIKE_FLAGS, p.name)):
            raise TypeError(
                f"{type(module).__name__} has a flag {p.name}, which nobody would set in training; "
                f"rename it to one of {', '.join(FLAGS)}"
            )
    known = {p.name for p in parameters if p.name in FLAGS}
    own = {field.name for field in fields(module) if field.name in FLAGS} - known

    def mode(train: bool) -> tuple[nn.Module, dict[str, bool]]:
        told: dict[str, Any] = {name: train != FLAGS[name] for name in known | own}
        chosen = module.clone(**{name: told[name] for name in own}) if own else module
        return chosen, {name: told[name] for name in known}

    return mode


def _from_linen(module: nn.Module) -> Network:
    mode = _modes(module)

    def init(key, *inputs, **named):
        params_key, dropout_key = jax.random.split(key)
        rngs = {"params": params_key, "dropout": dropout_key}
        quiet, flags = mode(False)
        variables = dict(quiet.init(rngs, *inputs, **flags, **named))
        params = variables.pop("params", {})
        return params, {name: value for name, value in variables.items() if name != "intermediates"}

    def apply(params, statistics, *inputs, train=False, key=None, collect=(), **named):
        chosen, flags = mode(train)
        variables, named = {"params": params, **statistics}, named | flags
        settings = dict(rngs=None if key is None else {"dropout": key})
        moving = list(statistics) if train else []
        if not moving and not collect:
            return chosen.apply(variables, *inputs, **named, **settings), statistics
        mutable = [*moving, *(["intermediates"] if collect else [])]
        outputs, updated = chosen.apply(variables, *inputs, **named, **settings, mutable=mutable)
        sown, updated = updated.get("intermediates", {}), dict(updated)
        updated.pop("intermediates", None)
        if collect:
            inner = {name: _sown(sown, name) for name in collect}
            outputs = as_features(outputs)._replace(inner=inner)
        return outputs, statistics | updated

    return Network(init, apply, _features_of(apply))


def _sown(sown, name: str) -> tuple[jax.Array, ...]:
    """The values sown under a name, in the order of the layers: block_2 before block_10."""
    found = by_path(sown)
    own = [(path, leaf) for path, leaf in found.items() if path[-2] == name]
    if not own:
        there = sorted({path[-2] for path in found})
        raise ValueError(f"collect: no layer sows {name!r}; there are {', '.join(there) or 'none'}")

    def order(item):
        return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", "/".join(item[0]))]

    return tuple(leaf for _, leaf in sorted(own, key=order))


def _from_functions(init_params, apply_params) -> Network:
    def init(key, *inputs, **named):
        return init_params(key, *inputs, **named), {}

    def apply(params, statistics, *inputs, train=False, key=None, collect=(), **named):
        _check_sows(collect, "a pair of functions")
        return apply_params(params, *inputs, **named), statistics

    return Network(init, apply, _features_of(apply))


def _from_nnx(module) -> Network:
    from flax import nnx

    graph, *states = nnx.split(module, nnx.Param, ...)
    trained, rest = states

    def init(key, *inputs, **named):
        copy = lambda tree: jax.tree.map(jnp.copy, nnx.to_pure_dict(tree))  # noqa: E731
        return copy(trained), copy(rest)

    def apply(params, statistics, *inputs, train=False, key=None, collect=(), **named):
        _check_sows(collect, "an NNX module")
        state, others = nnx.clone(trained), nnx.clone(rest)
        nnx.replace_by_pure_dict(state, params)
        nnx.replace_by_pure_dict(others, statistics)
        model = nnx.merge(graph, state, others)
        model.train() if train else model.eval()
        outputs = model(*inputs, **named)
        return outputs, nnx.to_pure_dict(nnx.split(model, nnx.Param, ...)[2]) if train else statistics

    return Network(init, apply, _features_of(apply))


def _check_sows(collect, kind):
    if collect:
        raise TypeError(f"collect: {kind} sows no inner values; only the layers of a flax.linen module do")


def _features_of(apply):
    return lambda params, statistics, images: as_features(apply(params, statistics, images)[0])
