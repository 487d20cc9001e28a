"""Several methods trained at once, with separate forward passes and some shared parameters."""

import jax

from jssl.methods.base import Method, Refresh, Teacher
from jssl.objectives.base import value_at


def weighted_methods(*, shared: tuple[str, ...] = ("encoder",), **methods: tuple[float, Method]) -> Method:
    """Trains with loss = sum_i weight_i * loss_i, each method with its own forward pass and memory, some
    parameters shared.

    Args:
        shared: names of the parts of the parameters that all methods share. Their initial values are those of
            the first method.
        methods: name=(weight, method); a weight is a number or a schedule, step -> number. Every method sees
            all views.
    Returns:
        A `Method` with params {part: shared ..., name: the rest} and the first method's features. Each
        teacher is kept under its method's name and updated by its method.
    Raises:
        ValueError: without methods, or for methods refreshed at different times.
        TypeError: for anything but pairs (weight, Method).
    """
    if not methods:
        raise ValueError("weighted_methods needs at least one method: name=(weight, method)")
    for name, pair in methods.items():
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Method)):
            raise TypeError(f"weighted_methods: {name} must be a pair (weight, Method), got {pair!r}")
    taught = {name: method.teacher for name, (_, method) in methods.items() if method.teacher is not None}
    refreshed = {name: method.refresh for name, (_, method) in methods.items() if method.refresh is not None}
    times = {name: (refresh.every, refresh.start) for name, refresh in refreshed.items()}
    if len(set(times.values())) > 1:
        raise ValueError(f"weighted_methods: methods must be refreshed at the same steps, got {times}")
    first = next(iter(methods))

    def own(params, name):
        return {part: params[part] for part in shared} | params[name]

    def own_state(params, teacher, memory, name):
        return own(params, name), (teacher or {}).get(name), memory[name]

    def init(key, views):
        params, memory = {}, {}
        for i, (name, (_, method)) in enumerate(methods.items()):
            parts, memory[name] = method.init(jax.random.fold_in(key, i), views)
            missing = [part for part in shared if part not in parts]
            if missing:
                raise ValueError(
                    f"weighted_methods: {name} has no part {missing[0]!r} to share, it has {sorted(parts)}"
                )
            params = {part: parts[part] for part in shared} | params  # the first method's parts are kept
            params[name] = {part: value for part, value in parts.items() if part not in shared}
        return params, memory

    def loss(params, teacher, memory, views, key, step, parts=1):
        total, memories, metrics = 0.0, {}, {}
        for i, (name, (weight, method)) in enumerate(methods.items()):
            state, method_key = own_state(params, teacher, memory, name), jax.random.fold_in(key, i)
            one, (memories[name], inner) = method.loss(*state, views, method_key, step, parts=parts)
            total += value_at(weight, step) * one
            metrics |= {name: one} | {f"{name}/{key}": value for key, value in inner.items()}
        return total, (memories, metrics)

    def features(params, teacher, memory, images):
        return methods[first][1].features(*own_state(params, teacher, memory, first), images)

    def encoder(params, teacher, memory):
        return methods[first][1].encoder(*own_state(params, teacher, memory, first))

    def first_teachers(params):
        return {name: teacher.init(own(params, name)) for name, teacher in taught.items()}

    def move(teachers, params, step):
        return {name: taught[name].move(teachers[name], own(params, name), step) for name in taught}

    def refresh(key, memory):
        return memory | {name: one.call(key, memory[name]) for name, one in refreshed.items()}

    def observe(params, teacher, memory, images, index):
        seen = {
            name: one.observe(*own_state(params, teacher, memory, name), images, index)
            for name, one in refreshed.items()
            if one.observe is not None
        }
        return memory | seen

    return Method(
        init=init,
        loss=loss,
        features=features,
        encoder=encoder,
        teacher=Teacher(first_teachers, move) if taught else None,
        refresh=_refresh_of(refreshed, refresh, observe),
    )


def _refresh_of(refreshed: dict[str, Refresh], call, observe) -> Refresh | None:
    if not refreshed:
        return None
    first = next(iter(refreshed.values()))
    looks = any(one.observe is not None for one in refreshed.values())
    return Refresh(first.every, call, first.start, observe if looks else None)
