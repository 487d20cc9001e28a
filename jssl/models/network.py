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

from jssl.arrays.grids import at_places
from jssl.arrays.trees import cast, names, overlay
from jssl.models.features import Features

Params = Any
Statistics = Any  # running batch statistics and frozen weights; empty where a network has none

UNFILLED = "unfilled"  # beside the placeholders of a frozen network that has no weights yet


def whole(params: Params, statistics: Statistics) -> tuple[Params, Statistics]:
    """Selects everything: a network without heads is its own encoder."""
    return params, statistics


class Network(NamedTuple):
    """A pure network.

    Args:
        init: (key, *inputs, **inputs) -> (params, statistics).
        apply: (params, statistics, *inputs, train=False, key=None, **inputs) -> (outputs, statistics). train:
            normalise by the batch and update the statistics. key: for randomness such as stochastic depth;
            None: none. collect: names of inner values to hand out in `Features.inner`, as the layers have
            sown them.
        features: (params, statistics, images) -> Features, what is evaluated: the encoder without its heads.
        encoder: (params, statistics) -> those of the encoder alone, selected and not computed.
        encode: as `apply`, without the heads; None for a network in one piece.
        heads: (params, statistics, what `encode` has made by name, train=False, key=None, places=None) ->
            (outputs by name, statistics). Heads over images read rows [B, D]; those over tokens read [B, N,
            D], at `places` [B, n] alone where given; with places of fewer rows, [R, n], each counts through
            the tokens of B / R neighbouring rows. None for a network in one piece.
    """

    init: Callable[..., tuple[Params, Statistics]]
    apply: Callable[..., tuple[Any, Statistics]]
    features: Callable[[Params, Statistics, jax.Array], Features]
    encoder: Callable[[Params, Statistics], tuple[Params, Statistics]] = whole
    encode: Callable[..., tuple[Any, Statistics]] | None = None
    heads: Callable[..., tuple[dict[str, Any], Statistics]] | None = None


def network(model) -> Network:
    """Makes a `Network` of a Flax Linen module, an NNX module, a pair of pure functions, or a `Network`.

    Args:
        model: a Linen module that maps images to `Features`, an array or a dict of arrays; an NNX module (its
            parameters are the initial ones, whatever the key); or a pair (init(key, images) -> params,
            apply(params, images) -> outputs). A Linen module may have a flag for training: train, training,
            is_training, deterministic or use_running_average, of its call or among its fields.
    Returns:
        The `Network`.
    Raises:
        TypeError: for anything else, or a Linen module whose flag for training has another name.

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
    """Makes `Features` of whatever an encoder returns.

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
    """Names outputs: a dict stays, anything else becomes {"cls", "tokens"} and what was collected."""
    if isinstance(outputs, dict):
        return outputs
    features = as_features(outputs)
    return {"cls": features.cls, "tokens": features.tokens} | dict(features.inner or {})


def collecting(model, *wanted: str) -> Network:
    """Makes a network whose outputs hold inner values too, such as the attention that a masking looks at.

    Args:
        model: anything `network` takes that can collect: a Linen module.
        wanted: names under which layers have sown values.
    Returns:
        A `Network` with the same parameters; what nobody reads of the inner values is not computed.

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


def frozen(model, variables: Mapping[str, Any] | None = None, *, drawn: bool = False) -> Network:
    """Makes a network that never changes, its weights among the statistics.

    So they are in the checkpoint and lie on the devices as parameters do, but have no gradient and no
    optimizer state, and are no constants of the compiled step.

    Args:
        model: anything `network` takes.
        variables: {"params": ..., "batch_stats": ... where there are}. None: `init_state(start=...)` must
            give them, which is better for large ones: given here, they are constants of the program that
            makes the first state.
        drawn: without variables, leave the weights as they are drawn.
    Returns:
        A `Network` without parameters, with statistics {"frozen": variables}; never in training mode.
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
    """Lays arrays over a tree, in which every frozen network without weights must get all of its own.

    Args:
        tree: of parameters and statistics.
        given: a tree with some of its paths, as `jssl.arrays.trees.overlay` takes it.
        path: of the tree, for the message.
    Returns:
        The tree.
    Raises:
        ValueError: for a frozen network without weights, another shape, or a path that is not there.
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
    """The weights, all of them given."""
    result = overlay(weights, variables)
    there = {names(path) for path, _ in jax.tree_util.tree_leaves_with_path(variables)}
    for path, _ in jax.tree_util.tree_leaves_with_path(weights):
        if names(path) not in there:
            raise ValueError(
                f"{place} is a frozen network without its weights ({'/'.join(names(path))}): give them to "
                "frozen(network, variables) or to init_state(start=...)"
            )
    return result


def with_heads(encoder, **heads) -> Network:
    """Puts heads on an encoder.

    Args:
        encoder: anything `network` takes.
        heads: name=head, applied in order. A head named `patch` reads the patch tokens, any other the image's
            vector [B, D]; name=(source, head) reads the output of that name, an earlier head's before the
            encoder's; name="other" and name=(source, "other") apply the other head, parameters shared. The
            source "tokens/local" is the local views' tokens. A head whose parameters or source are absent is
            not computed: so a teacher can lack the student's predictor, and there may be no local views.
            Given `places`, heads over tokens run there alone, but those with batch statistics, which see all
            tokens: a place may be listed twice.
    Returns:
        A `Network` with params {"encoder": ..., name: ...} and outputs {"cls", "tokens", name: ...}.
    Raises:
        ValueError: for a head that shares or reads what is not there.
    """
    encoder, plans, seen = network(encoder), {}, {"cls", "tokens", "tokens/local"}
    for name, head in heads.items():
        source, named = "tokens" if name == "patch" else "cls", False
        if isinstance(head, tuple) and isinstance(head[0], str):
            (source, head), named = head, True
        owner = head if isinstance(head, str) else name
        if owner not in heads or isinstance(heads[owner], str):
            raise ValueError(
                f"with_heads: {name}='{owner}' shares a head that is not there; heads: {sorted(heads)}"
            )
        if source not in seen:
            raise ValueError(
                f"with_heads: {name} reads '{source}', which no earlier head makes; there are {sorted(seen)}"
            )
        plans[name] = (source, named, owner, None if isinstance(head, str) else network(head))
        seen.add(name)

    def walk(encoded, each_head):
        outputs = {}
        for name, (source, named, owner, _) in plans.items():
            given = encoded | outputs if named else encoded
            value = each_head(name, owner, given[source]) if source in given else None
            if value is not None:
                outputs[name] = value
        return encoded | outputs

    def init(key, images, **inputs):
        params, statistics = {}, {}
        params["encoder"], statistics["encoder"] = encoder.init(jax.random.fold_in(key, 0), images, **inputs)
        features = as_features(encoder.apply(params["encoder"], statistics["encoder"], images, **inputs)[0])

        def each_head(name, owner, x):
            if owner == name:
                head_key = jax.random.fold_in(key, 1 + list(plans).index(name))
                params[name], statistics[name] = plans[name][-1].init(head_key, x)
            return plans[owner][-1].apply(params[owner], statistics[owner], x)[0]

        walk(as_outputs(features), each_head)
        return params, statistics

    def encode(params, statistics, images, **how):
        outputs, own = encoder.apply(params["encoder"], statistics["encoder"], images, **how)
        return as_features(outputs), {**statistics, "encoder": own}

    def apply_heads(params, statistics, encoded, *, places=None, **how):
        statistics = dict(statistics)

        def each_head(name, owner, x):
            if owner not in params:
                return None
            chosen = places is not None and plans[name][0] == "tokens"
            every = bool(jax.tree.leaves(statistics[owner]))
            x = _at(x, places) if chosen and not every else x
            value, statistics[owner] = plans[owner][-1].apply(params[owner], statistics[owner], x, **how)
            return _at(value, places) if chosen and every else value

        return walk(encoded, each_head), statistics

    def apply(params, statistics, images, *, train=False, key=None, places=None, **inputs):
        how = dict(train=train, key=key)
        encoded, statistics = encode(params, statistics, images, **how, **inputs)
        return apply_heads(params, statistics, as_outputs(encoded), places=places, **how)

    def features(params, statistics, images):
        return encoder.features(params["encoder"], statistics["encoder"], images)

    def inner(params, statistics):
        return encoder.encoder(params["encoder"], statistics["encoder"])

    return Network(init, apply, features, inner, encode, apply_heads)


def _at(x: jax.Array, places: jax.Array) -> jax.Array:
    """The tokens at the places; where those are of fewer rows, neighbouring rows are one."""
    return at_places(x.reshape(len(places), -1, x.shape[-1]), places)


FLAGS = {  # what a module's flag is called, and whether it is the opposite of training
    "train": False,
    "training": False,
    "is_training": False,
    "deterministic": True,
    "use_running_average": True,
}
LIKE_FLAGS = r"train|determin|eval|infer|dropout"  # a flag of such a name means training, too


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
    """What was sown under a name, in the order of the layers: block_2 before block_10."""
    found = [(names(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(sown)]
    own = [(path, leaf) for path, leaf in found if path[-2] == name]
    if not own:
        there = sorted({path[-2] for path, _ in found})
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
