"""Networks of an encoder with heads, whose outputs and parameters have names."""

import jax

from jssl.arrays.grids import at_places
from jssl.models.network import Network, as_features, as_outputs, network, of_part


def with_heads(encoder, **heads) -> Network:
    """Puts heads on an encoder.

    Args:
        encoder: anything `network` takes.
        heads: name=head, applied in order. A head named `patch` reads the patch tokens, any other the image's
            vector [B, D]; name=(source, head) reads the output of that name, an earlier head's before the
            encoder's; name="other" and name=(source, "other") apply the other head, parameters shared. The
            source "tokens/local" is the local views' tokens. A head whose parameters or source are absent is
            not computed: so a teacher can lack the student's predictor, and there may be no local views.
            Given `places`, heads over tokens run only there, except for heads with batch statistics, which
            run on all tokens, since a place may be listed twice.
    Returns:
        A `Network` with params {"encoder": ..., name: ...} and outputs {"cls", "tokens", name: ...}.
    Raises:
        ValueError: for a head that shares or reads something that does not exist.
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

    return Network(init, apply, *of_part(encoder), encode, apply_heads)


def _at(x: jax.Array, places: jax.Array) -> jax.Array:
    """The tokens at the places; if there are fewer rows of places, neighbouring rows of tokens are joined to
    one.
    """
    return at_places(x.reshape(len(places), -1, x.shape[-1]), places)
