"""The only train step and the only loop: a method, an optimizer and views, composed."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax

from jssl.methods.base import Method, Params

Batch = dict[str, jax.Array]
ViewRecipe = Callable[[jax.Array, Batch], dict[str, jax.Array]]


@flax.struct.dataclass
class TrainState:
    """Everything that training changes, and nothing else: what a checkpoint holds.

    step:      [] int32, optimizer steps taken; every schedule is a function of it.
    params:    the student's parameters, float32.
    teacher:   the EMA teacher's parameters; None without a teacher.
    memory:    what has no gradient: batch statistics, centers, queues, assignments.
    opt_state: the optimizer's.
    key:       the run's random key, constant: the key of a step is fold_in(key, step).
    """

    step: jax.Array
    params: Params
    teacher: Params | None
    memory: Any
    opt_state: optax.OptState
    key: jax.Array


def init_state(
    method: Method,
    optimizer: optax.GradientTransformation,
    views: ViewRecipe,
    batch: Batch,
    *,
    key: jax.Array,
) -> TrainState:
    """The state before the first step.

    batch: one batch as the step will see it, for its shapes; {"image": [B, H, W, C], "index": [B], ...}.

    Returns: a `TrainState`; the teacher, where there is one, is a copy of the student.
    """

    @jax.jit
    def init(key, batch):
        params, memory = method.init(key, views(key, batch))
        return params, memory, optimizer.init(params)

    params, memory, opt_state = init(key, batch)
    teacher = None if method.momentum is None else jax.tree.map(jnp.copy, method.follows(params))
    # copies, since the step donates its state: no two leaves may be one buffer, nor the caller's key
    return TrainState(jnp.zeros((), jnp.int32), params, teacher, memory, opt_state, jnp.copy(key))


def train_step(
    method: Method,
    optimizer: optax.GradientTransformation,
    views: ViewRecipe,
    *,
    dtype: Any = None,
    accumulate: int = 1,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """The step as a pure function; `make_step` compiles it.

        views    = views(key, batch)
        gradient = d method.loss / d params
        params   = params + optimizer(gradient)
        teacher  = m teacher + (1 - m) params

    dtype: in which parameters and images enter the forward pass, such as jnp.bfloat16; losses, statistics and the
        parameters themselves stay float32. accumulate: the batch is seen in so many parts, in turn, and the
        gradients are averaged; teacher and schedules move once.

    Returns: (state, batch) -> (state, metrics), metrics a dict of scalars: loss, gradient_norm and the method's own.

    Raises: ValueError at trace time where `accumulate` does not divide the batch.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate must be at least 1, got {accumulate}")

    def loss_fn(params, teacher, memory, batch, keys, step):
        views_key, loss_key = keys
        seen = _cast(views(views_key, batch), dtype)
        return method.loss(_cast(params, dtype), _cast(teacher, dtype), memory, seen, loss_key, step)

    gradient = jax.value_and_grad(loss_fn, has_aux=True)

    def gradient_in_parts(params, teacher, memory, batch, keys, step):
        def part(carry, inputs):
            memory, total = carry
            i, micro = inputs
            part_keys = (
                keys[0],
                jax.random.fold_in(keys[1], i),
            )  # views have a key of their own for every sample
            (loss, (memory, metrics)), grads = gradient(params, teacher, memory, micro, part_keys, step)
            return (memory, jax.tree.map(jnp.add, total, grads)), (loss, metrics)

        parts = {name: _split(name, x, accumulate) for name, x in batch.items()}
        start = memory, jax.tree.map(jnp.zeros_like, params)
        (memory, total), scalars = jax.lax.scan(part, start, (jnp.arange(accumulate), parts))
        loss, metrics = jax.tree.map(lambda x: x.mean(0), scalars)
        return (loss, (memory, metrics)), jax.tree.map(lambda g: g / accumulate, total)

    def step(state: TrainState, batch: Batch):
        compute = gradient if accumulate == 1 else gradient_in_parts
        keys = tuple(jax.random.split(jax.random.fold_in(state.key, state.step)))
        (loss, (memory, metrics)), grads = compute(
            state.params, state.teacher, state.memory, batch, keys, state.step
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        teacher = state.teacher
        if method.momentum is not None:
            teacher = optax.incremental_update(
                method.follows(params), teacher, 1 - method.momentum(state.step)
            )
        metrics = {"loss": loss, "gradient_norm": optax.tree.norm(grads)} | metrics
        state = state.replace(
            step=state.step + 1, params=params, teacher=teacher, memory=memory, opt_state=opt_state
        )
        return state, metrics

    return step


def make_step(
    method: Method, optimizer: optax.GradientTransformation, views: ViewRecipe, **settings
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """`train_step`, compiled; the state is donated: use the one that comes back.

    Returns: (state, batch) -> (state, metrics).
    """
    return jax.jit(train_step(method, optimizer, views, **settings), donate_argnums=0)


class Event(NamedTuple):
    """Something done between steps.

    every: steps between two of it; it also happens after the last step.
    call:  (step, state, metrics) -> None, or a state that training goes on with. metrics: the latest, still on the device.
    """

    every: int
    call: Callable[[int, TrainState, dict[str, jax.Array]], TrainState | None]


def fit(advance, state: TrainState, *, steps: int, events: Iterable[Event] = ()) -> TrainState:
    """The loop: advance to the next event, hold the event, until the state has taken `steps` steps.

    advance: (state, step, n) -> (state, metrics) takes n steps from `step` on without waiting for the device; of `feed` or
        `scanned`.

    Returns: the last state. A state that has taken `steps` steps already is returned as it is.
    """
    events, step = tuple(events), int(state.step)
    while step < steps:
        n = min([steps - step, *(event.every - step % event.every for event in events)])
        state, metrics = advance(state, step, n)
        step += n
        for event in events:
            if step % event.every == 0 or step == steps:
                replaced = event.call(step, state, metrics)
                state = state if replaced is None else replaced
    return state


def feed(step, batch_of: Callable[[int], Batch]):
    """Steps dispatched one by one on the batches that `batch_of(step)` gives; metrics are those of the last.

    Returns: what `fit` calls `advance`.
    """

    def advance(state, first, n):
        for i in range(first, first + n):
            state, metrics = step(state, batch_of(i))
        return state, metrics

    return advance


def scanned(step, batch_at: Callable[[jax.Array, Any], Batch], data):
    """Any number of steps as one compiled call over data on the device; metrics are those of the last.

    step: an uncompiled `train_step`. batch_at: (step number, data) -> batch, traceable.

    Returns: what `fit` calls `advance`.
    """

    def run(state, data, n):
        def body(_, carry):
            state, _ = carry
            return step(state, batch_at(state.step, data))

        shapes = jax.eval_shape(lambda state: step(state, batch_at(state.step, data))[1], state)
        return jax.lax.fori_loop(
            0, n, body, (state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))
        )

    compiled = jax.jit(run, donate_argnums=0)
    return lambda state, first, n: compiled(state, data, n)


def _cast(tree, dtype):
    """Floating arrays in `dtype`; scalars, such as learned temperatures, stay as they are."""
    if dtype is None:
        return tree

    def cast(x):
        return x.astype(dtype) if x.ndim and jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(cast, tree)


def _split(name, x, parts):
    if x.shape[0] % parts:
        raise ValueError(f"accumulate={parts} must divide the batch; batch[{name!r}] has shape {x.shape}")
    return x.reshape(parts, x.shape[0] // parts, *x.shape[1:])
