"""The only train step and the only loop: a method, an optimizer and views, composed."""

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
from jssl.arrays.programs import used_once
from jssl.arrays.stacks import in_form_of, squares_of_layers
from jssl.arrays.trees import cast
from jssl.methods.base import EXACT, Method, Params
from jssl.models.freezing import filled

BRIGHTEST = 64.0  # beyond any normalised image, far below 255

Batch = dict[str, jax.Array]
Views = Callable[[jax.Array, Batch], dict[str, jax.Array]]


class TrainState(flax.struct.PyTreeNode):
    """Everything that training changes, and nothing else: what a checkpoint holds.

    Args:
        step: [] int32, optimizer steps taken; every schedule is a function of it.
        params: the student's parameters, float32.
        teacher: the teacher's parameters; None without a teacher.
        memory: what has no gradient: batch statistics, frozen weights, centers, queues, assignments.
        opt_state: the optimizer's.
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
        batch: one batch as the step will see it, for its shapes; {"image": [B, H, W, C], "index": [B], ...}.
        key: the run's random key.
        start: arrays to begin with instead of random ones, such as {"params": {"encoder": ...}} or a frozen
            network's {"memory": {"statistics": {"target": {"frozen": ...}}}}: a tree laid over the state's
            params and memory by path.
    Returns:
        A `TrainState`; an EMA teacher is a copy of the student.
    Raises:
        ValueError: for an array of `start` with another shape or no place, a frozen network without weights,
            or views whose images are not floats in [0, 1] or normalised.
    """

    @jax.jit
    def init(key, batch, start):
        params, memory = method.init(key, _checked(views(key, batch)))
        state = {"params": params, "memory": memory}
        state = filled(state, in_form_of(start, like=state))
        return state["params"], state["memory"], optimizer.init(state["params"])

    if _bright(batch.get("image")) and _bright(_checked(used_once(views)(key, batch)).get("global")):
        raise ValueError(
            f"views['global'] has values beyond {BRIGHTEST:.0f}: a network is given images in [0, 1] or "
            "normalised; divide them by 255"
        )
    params, memory, opt_state = init(key, batch, dict(start or {}))
    teacher = None if method.teacher is None else jax.tree.map(jnp.copy, method.teacher.init(params))
    # copies, since the step donates its state: no two leaves may be one buffer, nor the caller's key
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
        optimizer: any optax transformation; those that ask for value, grad or value_fn are given them.
        views: (key, batch) -> views.
        dtype: in which parameters and images enter the forward pass, such as jnp.bfloat16; losses, targets
            made of pixels or given by views, statistics and the parameters themselves stay float32.
        accumulate: the batch is seen in so many parts, in turn, and the gradients are averaged; teacher and
            schedules move once, memory after each part. A loss that compares the images of a batch then
            compares those of a part.
        accumulate_exactly: the loss sees the whole batch, whose embeddings are kept while the networks see it
            in parts; centers and queues move once. Costs another forward pass; exact where networks do not
            mix images, as batch norm does.
    Returns:
        (state, batch) -> (state, metrics), metrics a dict of scalars: loss, gradient_norm and the method's
        own.
    Raises:
        ValueError: for `accumulate` below 1; at trace time where it does not divide the batch, or for views
            that are not images as floats.
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
            # views have a key of their own for every sample
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
    """Compiles `train_step`; the state is donated: use the one that comes back.

    Warns where `accumulate` changes what a loss compares.

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
    """Something done between steps.

    Args:
        every: steps between two of it; it also happens after the last step.
        call: (step, state, metrics) -> None, or a state that training goes on with. metrics: the latest,
            still on the device.
    """

    every: int
    call: Callable[[int, TrainState, dict[str, jax.Array]], TrainState | None]


def fit(advance, state: TrainState, *, steps: int, events: Iterable[Event] = ()) -> TrainState:
    """Runs the loop: advance to the next event, hold the event, until the state has taken `steps` steps.

    Args:
        advance: (state, step, n) -> (state, metrics) takes n steps from `step` on without waiting for the
            device; of `feed` or `scanned`.
        state: to begin with.
        steps: at which to end.
        events: held between steps.
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
    """Dispatches steps one by one on the batches that `batch_of` gives; metrics are those of the last.

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
    """Takes any number of steps as one compiled call over data on the device; metrics are those of the last.

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
    """Views whose images are floats with the channels last."""
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
    """Whether these have values of 0..255, as far as can be seen: not while tracing, and not of several
    processes.
    """
    if isinstance(images, jax.core.Tracer) or not isinstance(images, np.ndarray | jax.Array):
        return False
    here = isinstance(images, np.ndarray) or images.is_fully_addressable
    return here and bool(np.abs(np.asarray(images)).max(initial=0) > BRIGHTEST)


def _split(name, x, parts):
    if x.shape[0] % parts:
        raise ValueError(f"accumulate={parts} must divide the batch; batch[{name!r}] has shape {x.shape}")
    return dealt(x, parts)
