"""Networks as pairs of pure functions: the only place that knows how Flax is applied."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.models.features import Features

Params = Any
Statistics = Any  # running batch statistics; empty where a network has none


class Network(NamedTuple):
    """A pure network.

    init:     (key, *inputs, **inputs) -> (params, statistics)
    apply:    (params, statistics, *inputs, train=False, key=None, **inputs) -> (outputs, statistics)
              train: normalise by the batch and update the statistics; key: randomness such as stochastic depth, None: none.
    features: (params, statistics, images) -> Features, what is evaluated: the encoder without its heads.
    """

    init: Callable[..., tuple[Params, Statistics]]
    apply: Callable[..., tuple[Any, Statistics]]
    features: Callable[[Params, Statistics, jax.Array], Features]
    encoder: Callable[[Params, Statistics], tuple[Params, Statistics]] = lambda params, statistics: (
        params,
        statistics,
    )


def network(model) -> Network:
    """Makes a `Network` of a Flax Linen module, an NNX module, a pair of pure functions, or a `Network`.

    model: a Linen module that maps images to `Features`, an array or a dict of arrays; an NNX module (its parameters are the
        initial ones, whatever the key); or a pair (init(key, images) -> params, apply(params, images) -> outputs).

    Returns: the `Network`.

    Raises: TypeError for anything else.

    >>> import flax.linen as nn, jax, jax.numpy as jnp
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
        "a network is a flax.linen module, a flax.nnx module, a pair of functions (init, apply) or a jssl Network; "
        f"got {type(model).__name__}"
    )


def as_features(outputs) -> Features:
    """Features of whatever an encoder returns: `Features`, [B, D] (one token), [B, N, D] or a map [B, H, W, D] (their mean)."""
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
        "an encoder must return jssl.Features, a dict with 'cls', or an array [B, D], [B, N, D] or [B, H, W, D]; "
        f"got {getattr(outputs, 'shape', type(outputs).__name__)}"
    )


def as_outputs(outputs) -> dict[str, jax.Array]:
    """Outputs by name: a dict stays, anything else becomes {"cls", "tokens"}."""
    return outputs if isinstance(outputs, dict) else as_features(outputs)._asdict()


def with_heads(encoder, **heads) -> Network:
    """An encoder and the heads on it.

    encoder: anything `network` takes.
    heads: name=head, applied in order. A head named `patch` reads the patch tokens, any other the image's vector [B, D];
        name=(source, head) reads the output of that name, an earlier head's before the encoder's; name="other" applies the
        other head, parameters shared.
        A head whose parameters are absent is not computed: so a teacher can lack the student's predictor.

    Returns: a `Network` with params {"encoder": ..., name: ...} and outputs {"cls", "tokens", name: ...}.

    Raises: ValueError for a head that shares or reads what is not there.
    """
    encoder, plans, seen = network(encoder), {}, {"cls", "tokens"}
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

    def walk(features, each_head):
        encoded, outputs = features._asdict(), {}
        for name, (source, named, owner, _) in plans.items():
            value = each_head(name, owner, (encoded | outputs if named else encoded)[source])
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

        walk(features, each_head)
        return params, statistics

    def apply(params, statistics, images, *, train=False, key=None, **inputs):
        statistics, call = dict(statistics), dict(train=train, key=key)
        outputs, statistics["encoder"] = encoder.apply(
            params["encoder"], statistics["encoder"], images, **call, **inputs
        )

        def each_head(name, owner, x):
            if owner not in params:
                return None
            value, statistics[owner] = plans[owner][-1].apply(params[owner], statistics[owner], x, **call)
            return value

        return walk(as_features(outputs), each_head), statistics

    def features(params, statistics, images):
        return encoder.features(params["encoder"], statistics["encoder"], images)

    def inner(params, statistics):
        return encoder.encoder(params["encoder"], statistics["encoder"])

    return Network(init, apply, features, inner)


def _from_linen(module: nn.Module) -> Network:
    takes_train = "train" in inspect.signature(type(module).__call__).parameters

    def init(key, *inputs, **named):
        params_key, dropout_key = jax.random.split(key)
        variables = dict(module.init({"params": params_key, "dropout": dropout_key}, *inputs, **named))
        params = variables.pop("params", {})
        return params, {name: value for name, value in variables.items() if name != "intermediates"}

    def apply(params, statistics, *inputs, train=False, key=None, **named):
        variables = {"params": params, **statistics}
        settings = dict(rngs=None if key is None else {"dropout": key})
        named = named | (dict(train=train) if takes_train else {})
        if not (train and statistics):
            return module.apply(variables, *inputs, **named, **settings), statistics
        outputs, updated = module.apply(variables, *inputs, **named, **settings, mutable=list(statistics))
        return outputs, dict(updated)

    return Network(init, apply, _features_of(apply))


def _from_functions(init_params, apply_params) -> Network:
    def init(key, *inputs, **named):
        return init_params(key, *inputs, **named), {}

    def apply(params, statistics, *inputs, train=False, key=None, **named):
        return apply_params(params, *inputs, **named), statistics

    return Network(init, apply, _features_of(apply))


def _from_nnx(module) -> Network:
    from flax import nnx

    graph, trained, rest = nnx.split(module, nnx.Param, ...)

    def init(key, *inputs, **named):
        copy = lambda tree: jax.tree.map(jnp.copy, nnx.to_pure_dict(tree))  # noqa: E731
        return copy(trained), copy(rest)

    def apply(params, statistics, *inputs, train=False, key=None, **named):
        state, others = nnx.clone(trained), nnx.clone(rest)
        nnx.replace_by_pure_dict(state, params)
        nnx.replace_by_pure_dict(others, statistics)
        model = nnx.merge(graph, state, others)
        model.train() if train else model.eval()
        outputs = model(*inputs, **named)
        return outputs, nnx.to_pure_dict(nnx.split(model, nnx.Param, ...)[2]) if train else statistics

    return Network(init, apply, _features_of(apply))


def _features_of(apply):
    return lambda params, statistics, images: as_features(apply(params, statistics, images)[0])
