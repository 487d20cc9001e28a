"""The train step and the training loop, made of a method, an optimizer and views."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl.arrays.blocks import dealt
from jssl.arrays.kernels import vectors_together
from jssl.arrays.programs import used_seldom
from jssl.arrays.stacks import in_form_of, squares_of_layers
from jssl.arrays.trees import cast
from jssl.methods.base import EXACT, Method, Params
from jssl.models.freezing import filled

BRIGHTEST = 64.0  # above all values of normalised images, far below 255

Batch = dict[str, jax.Array]
Views = Callable[[jax.Array, Batch], dict[str, jax.Array]]


class TrainState(flax.struct.PyTreeNode):
    """Everything that training changes, and nothing else; a checkpoint holds it.

    Args:
        step: [] int32, optimizer steps taken; every schedule is a function of it.
        params: the student's parameters, float32.
        teacher: the teacher's parameters; None without a teacher.
        memory: arrays without gradient: batch statistics, frozen weights, centers, queues, assignments.
        opt_state: the optimizer's state.
        key: the run's random key, constant: the key of a step is fold_in(key, step).
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
    views: Views,
    batch: Batch,
    *,
    key: jax.Array,
    start: Mapping[str, Any] | None = None,
) -> TrainState:
    """Makes the state before the first step.

    Args:
        method: what is trained.
        optimizer: any optax transformation.
        views: (key, batch) -> views.
        batch: one batch as the step will get it, for its shapes; {"image": [B, H, W, C], "index": [B], ...}.
        key: the run's random key.
        start: a tree of arrays that replace the state's params and memory at the same paths, such as
            {"params": {"encoder": ...}}, or {"memory": {"statistics": {"target": {"frozen": ...}}}} of a
            frozen network.
    Returns:
        A `TrainState`; an EMA teacher is a copy of the student.
    Raises:
        ValueError: for an array of `start` with another shape or a path that the state does not have, a
            frozen network without weights, or views whose images are neither floats in [0, 1] nor normalised.
    """

    @jax.jit
    def init(key, batch, start):
        params, memory = method.init(key, _checked(views(key, batch)))
        state = {"params": params, "memory": memory}
        state = filled(state, in_form_of(start, like=state))
        return state["params"], state["memory"], optimizer.init(state["params"])

    if _bright(batch.get("image")) and _bright(_checked(used_seldom(views)(key, batch)).get("global")):
        raise ValueError(
            f"views['global'] has values beyond {BRIGHTEST:.0f}: a network is given images in [0, 1] or "
            "normalised; divide them by 255"
        )
    params, memory, opt_state = init(key, batch, dict(start or {}))
    teacher = None if method.teacher is None else jax.tree.map(jnp.copy, method.teacher.init(params))
    # copies, since the step donates its state: no two leaves may share a buffer with each other or with the
    # caller's key
    return TrainState(jnp.zeros((), jnp.int32), params, teacher, memory, opt_state, jnp.copy(key))


def train_step(
    method: Method,
    optimizer: optax.GradientTransformation,
    views: Views,
    *,
    dtype: Any = None,
    accumulate: int = 1,
    accumulate_exactly: bool = False,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Makes the step, a pure function; `make_step` compiles it.

        views    = views(key, batch)
        gradient = d method.loss / d params
        params   = params + optimizer(gradient)
        teacher  = method.teacher.move(teacher, params)

    Args:
        method: what is trained.
        optimizer: any optax transformation; one that asks for value, grad or value_fn gets them.
        views: (key, batch) -> views.
        dtype: the type of parameters and images in the forward pass, such as jnp.bfloat16; losses,
            statistics, targets that are pixels or come from views, and the stored parameters stay float32.
        accumulate: how many parts the batch is processed in, one after another, with averaged gradients.
            Teacher and schedules move once, memory after each part. A loss that compares the images of a
            batch then only compares those of one part.
        accumulate_exactly: whether the loss compares the whole batch: the networks process it in parts, and
            all embeddings are kept. Centers and queues move once. It costs another forward pass, and is exact
            for networks that do not mix images; batch norm does.
    Returns:
        (state, batch) -> (state, metrics), metrics a dict of scalars: loss, gradient_norm and the method's
        own.
    Raises:
        ValueError: for `accumulate` below 1; at trace time, if it does not divide the batch, or for views
            whose images are not floats.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate must be at least 1, got {accumulate}")
    parts = accumulate if accumulate_exactly else 1
    optimizer = optax.with_extra_args_support(optimizer)

    def loss_fn(params, teacher, memory, batch, keys, step):
        views_key, loss_key = keys
        exact = _checked(views(views_key, batch))
        seen = cast(exact, dtype)
        if dtype is not None:
            seen = {**seen, EXACT: exact}
        state = cast(params, dtype), cast(teacher, dtype), memory
        return method.loss(*state, seen, loss_key, step, **({} if parts == 1 else {"parts": parts}))

    gradient = jax.value_and_grad(loss_fn, has_aux=True)

    def gradient_in_parts(params, teacher, memory, batch, keys, step):
        def part(carry, inputs):
            memory, total = carry
            i, micro = inputs
            # views already have one key for each sample
            part_keys = keys[0], jax.random.fold_in(keys[1], i)
            (loss, (memory, metrics)), grads = gradient(params, teacher, memory, micro, part_keys, step)
            return (memory, jax.tree.map(jnp.add, total, grads)), (loss, metrics)

        parts = {name: _split(name, x, accumulate) for name, x in batch.items()}
        start = memory, jax.tree.map(jnp.zeros_like, params)
        (memory, total), scalars = jax.lax.scan(part, start, (jnp.arange(accumulate), parts))
        loss, metrics = jax.tree.map(lambda x: x.mean(0), scalars)
        return (loss, (memory, metrics)), jax.tree.map(lambda g: g / accumulate, total)

    def step(state: TrainState, batch: Batch):
        keys = tuple(jax.random.split(jax.random.fold_in(state.key, state.step)))

        def compute(params):
            run = gradient if parts == accumulate else gradient_in_parts
            return run(params, state.teacher, state.memory, batch, keys, state.step)

        (loss, (memory, metrics)), grads = compute(state.params)
        grads = vectors_together(grads)
        asked = dict(value=loss, grad=grads, value_fn=lambda params: compute(params)[0][0])
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params, **asked)
        params = optax.apply_updates(state.params, updates)
        teacher = state.teacher
        if method.teacher is not None:
            teacher = method.teacher.move(teacher, params, state.step)
        gradient_norm = jnp.sqrt(optax.tree.sum(squares_of_layers(grads)))
        metrics = {"loss": loss, "gradient_norm": gradient_norm} | metrics
        state = state.replace(
            step=state.step + 1, params=params, teacher=teacher, memory=memory, opt_state=opt_state
        )
        return state, metrics

    return step


def make_step(
    method: Method, optimizer: optax.GradientTransformation, views: Views, **settings
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Compiles `train_step`. The step donates its state, so use only the returned state afterwards.

    It warns if `accumulate` changes which images a loss compares.

    Args:
        method, optimizer, views, settings: as for `train_step`.
    Returns:
        (state, batch) -> (state, metrics).
    """
    parts = settings.get("accumulate", 1)
    if parts > 1 and not settings.get("accumulate_exactly"):
        warnings.warn(
            f"accumulate={parts}: a loss that compares the images of a batch, such as a contrastive one, "
            f"compares those of a part, one of {parts}, and what is remembered of batches, such as a center, "
            "moves after each; accumulate_exactly=True keeps the whole batch's",
            stacklevel=2,
        )
    return jax.jit(train_step(method, optimizer, views, **settings), donate_argnums=0)


class Event(NamedTuple):
    """A function that is called between steps.

    Args:
        every: the number of steps between two calls; it is also called after the last step.
        call: (step, state, metrics) -> None, or the state with which training continues. metrics: the latest
            ones, still on the device.
    """

    every: int
    call: Callable[[int, TrainState, dict[str, jax.Array]], TrainState | None]


def fit(advance, state: TrainState, *, steps: int, events: Iterable[Event] = ()) -> TrainState:
    """Runs the training loop until the state has taken `steps` steps: advance to the next event, then call
    it.

    Args:
        advance: (state, step, n) -> (state, metrics), as `feed` or `scanned` makes it: takes n steps from
            `step` on, without waiting for the device.
        state: the state to start from.
        steps: the step at which to end.
        events: called between steps.
    Returns:
        The last state. A state that has taken `steps` steps already is returned as it is.
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
    """Makes a function that dispatches steps one by one, on the batches of `batch_of`; it returns the last
    step's metrics.

    Args:
        step: a compiled step.
        batch_of: (step number) -> batch.
    Returns:
        What `fit` calls `advance`.
    """

    def advance(state, first, n):
        for i in range(first, first + n):
            state, metrics = step(state, batch_of(i))
        return state, metrics

    return advance


def scanned(step, batch_at: Callable[[jax.Array, Any], Batch], data):
    """Makes a function that takes any number of steps in one compiled call, on data on the device; it returns
    the last step's metrics.

    Args:
        step: an uncompiled `train_step`.
        batch_at: (step number, data) -> batch, traceable.
        data: arrays on the device.
    Returns:
        What `fit` calls `advance`.
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


def _checked(seen):
    """Checks that the images of views are floats with the channels last, and returns the views."""
    if not isinstance(seen, Mapping):
        raise ValueError(
            f"views are of type {type(seen).__name__}, expected a dict with 'global', [V, B, H, W, C]"
        )
    for name in ("global", "local"):
        x = seen.get(name)
        if x is None or x.ndim != 5:
            continue
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(
                f"views[{name!r}] are {x.dtype} {x.shape}, expected floats in [0, 1] or normalised; divide "
                "them by 255"
            )
        if x.shape[2] in (1, 3) and x.shape[-1] > 4:
            raise ValueError(
                f"views[{name!r}] have shape {x.shape}, expected [V, B, H, W, C]; move the channels last"
            )
    return seen


def _bright(images) -> bool:
    """Whether images have values of 0..255; False if the values are not available, while tracing and for
    arrays of several processes.
    """
    if isinstance(images, jax.core.Tracer) or not isinstance(images, np.ndarray | jax.Array):
        return False
    here = isinstance(images, np.ndarray) or images.is_fully_addressable
    return here and bool(np.abs(np.asarray(images)).max(initial=0) > BRIGHTEST)


def _split(name, x, parts):
    if x.shape[0] % parts:
        raise ValueError(f"accumulate={parts} must divide the batch; batch[{name!r}] has shape {x.shape}")
    return dealt(x, parts)
