"""Several methods at once, with different forward passes and parts of the parameters in common."""

import jax

from jssl.methods.base import Method, everything


def weighted_methods(*, shared: tuple[str, ...] = ("encoder",), **methods: tuple[float, Method]) -> Method:
    """loss = sum_i weight_i * loss_i, each method with its own forward pass, views and memory, some parameters in common.

    shared: parts of the parameters that all methods have, owned by the first; the others' initial ones are dropped.
    methods: name=(weight, method); a weight is a number or a schedule, step -> number. Every method sees all views.

    Returns: a `Method` with params {part: shared ..., name: the rest}; the first method's features. Teachers, of the
    methods that have one, live under the method's name, each moved by its own momentum, which must be one schedule.

    Raises: ValueError without methods, and for methods with different momenta; TypeError for other pairs.
    """
    if not methods:
        raise ValueError("weighted_methods needs at least one method: name=(weight, method)")
    for name, pair in methods.items():
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Method)):
            raise TypeError(f"weighted_methods: {name} must be a pair (weight, Method), got {pair!r}")
    taught = {name: method for name, (_, method) in methods.items() if method.momentum is not None}
    momenta = {id(method.momentum): method.momentum for method in taught.values()}
    if len(momenta) > 1:
        raise ValueError(
            f"weighted_methods: {sorted(taught)} must share one momentum schedule, the same object"
        )
    refreshed = {name: method for name, (_, method) in methods.items() if method.refresh is not None}
    first = next(iter(methods))

    def own(params, name):
        return {part: params[part] for part in shared} | params[name]

    def init(key, views):
        params, memory = {}, {}
        for i, (name, (_, method)) in enumerate(methods.items()):
            parts, memory[name] = method.init(jax.random.fold_in(key, i), views)
            missing = [part for part in shared if part not in parts]
            if missing:
                raise ValueError(
                    f"weighted_methods: {name} has no part {missing[0]!r} to share, it has {sorted(parts)}"
                )
            params = {part: parts[part] for part in shared} | params  # the first method's come to stay
            params[name] = {part: value for part, value in parts.items() if part not in shared}
        return params, memory

    def loss(params, teacher, memory, views, key, step):
        total, memories, metrics = 0.0, {}, {}
        for i, (name, (weight, method)) in enumerate(methods.items()):
            one, (memories[name], inner) = method.loss(
                own(params, name),
                (teacher or {}).get(name),
                memory[name],
                views,
                jax.random.fold_in(key, i),
                step,
            )
            total += (weight(step) if callable(weight) else weight) * one
            metrics |= {name: one} | {f"{name}/{key}": value for key, value in inner.items()}
        return total, (memories, metrics)

    def features(params, teacher, memory, images):
        return methods[first][1].features(
            own(params, first), (teacher or {}).get(first), memory[first], images
        )

    def follows(params):
        return {name: method.follows(own(params, name)) for name, method in taught.items()}

    def refresh(key, memory):
        return memory | {name: method.refresh(key, memory[name]) for name, method in refreshed.items()}

    return Method(
        init,
        loss,
        features,
        None,
        next(iter(momenta.values()), None),
        follows if taught else everything,
        refresh if refreshed else None,
    )
