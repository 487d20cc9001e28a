"""The definition of a method: pure functions that a train step calls. A method has no loop, no optimizer and
no logging.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from jssl.models.features import Features
from jssl.objectives.base import Outputs, value_at

Params = Any
Memory = Any
Views = dict[str, Any]
EXACT = "exact"  # the key, in mixed precision, of the views before they were cast


def everything(params: Params) -> Params:
    """Selects the whole network."""
    return params


class Teacher(NamedTuple):
    """A network that the student learns from and that no gradient moves.

    Args:
        init: (params) -> teacher, from the student's first parameters.
        move: (teacher, params, step) -> teacher, called once after every optimizer step with the student's
            new parameters.
    """

    init: Callable[[Params], Params]
    move: Callable[[Params, Params, jax.Array], Params]


def ema(momentum, follows: Callable[[Params], Params] = everything) -> Teacher:
    """Makes a teacher that is the running mean of the student: teacher = m teacher + (1 - m) student.

    Args:
        momentum: m, a number or a schedule, step -> m.
        follows: (params) -> the part of the parameters that the teacher copies.
    Returns:
        A `Teacher` that starts as a copy of the student.
    Examples:
        >>> teacher = ema(0.75)
        >>> float(teacher.move({"w": 1.0}, {"w": 5.0}, 0)["w"])
        2.0
    """

    def move(teacher, params, step):
        return optax.incremental_update(follows(params), teacher, 1 - value_at(momentum, step))

    return Teacher(follows, move)


class Refresh(NamedTuple):
    """What a method recomputes of its memory between steps, such as clusters.

    Args:
        every: steps between two calls; None: once after every epoch.
        call: (key, memory) -> memory.
        start: the step before which there is no call.
        observe: (params, teacher, memory, images [B, H, W, C], index [B]) -> memory. Before `call`, it is
            called with all training images, in batches, as the evaluation view makes them. None: not needed.
    """

    every: int | None
    call: Callable[[jax.Array, Memory], Memory]
    start: int = 0
    observe: Callable[..., Memory] | None = None


class Method(NamedTuple):
    """A way to learn without labels, made by keyword.

    Args:
        init: (key, views) -> (params, memory).
        loss: (params, teacher, memory, views, key, step, parts=1) -> (loss [], (memory, metrics)). parts: how
            many parts the networks process the batch in; the loss is that of the whole batch.
        features: (params, teacher, memory, images [B, H, W, C]) -> the Features that are evaluated.
        encoder: (params, teacher, memory) -> the variables of the evaluated encoder, {"params": ...,
            "batch_stats": ...}, which are exported: the parts of the state that `features` reads, only
            selected, not computed.
        outputs: (params, teacher, memory, views, key) -> the Outputs that the objective reads, for figures
            and health measures; None if there are several objectives.
        teacher: the teacher; None without one.
        refresh: what is recomputed between steps; None if nothing is.
        task: (params, teacher, memory, images [B, H, W, C], index [B]) -> metrics of the method's own task on
            images that it was not trained on: in evaluation mode, and with the same draws every time. If they
            include `accuracy`, they also include `chance`, the accuracy of guessing. None if the method has
            no pretext task.
    """

    init: Callable[[jax.Array, Views], tuple[Params, Memory]]
    loss: Callable[..., tuple[jax.Array, tuple[Memory, dict]]]
    features: Callable[[Params, Params, Memory, jax.Array], Features]
    encoder: Callable[[Params, Params, Memory], dict[str, Any]]
    outputs: Callable[[Params, Params, Memory, Views, jax.Array], Outputs] | None = None
    teacher: Teacher | None = None
    refresh: Refresh | None = None
    task: Callable[..., dict[str, jax.Array]] | None = None


def shown(method: Method, chosen: Callable[[Views], Views]) -> Method:
    """Shows a method a part of the views.

    Args:
        method: any.
        chosen: views -> the views that the method is given.
    Returns:
        A `Method` that takes all views.
    """

    def init(key, views):
        return method.init(key, chosen(views))

    def loss(params, teacher, memory, views, *how, **settings):
        seen = chosen(views)
        if EXACT in views:
            seen = seen | {EXACT: chosen(views[EXACT])}
        return method.loss(params, teacher, memory, seen, *how, **settings)

    def outputs(params, teacher, memory, views, key):
        return method.outputs(params, teacher, memory, chosen(views), key)

    return method._replace(init=init, loss=loss, outputs=method.outputs and outputs)


def check_hides(encoder, method: str) -> None:
    """Raises a TypeError for an encoder without patches to hide.

    Args:
        encoder: the encoder to check.
        method: the name of the method, for the message.
    Raises:
        TypeError: where the encoder has no `patch` or no `grid`.
    """
    for name in ("patch", "grid"):
        if not hasattr(encoder, name):
            raise TypeError(
                f"{method} hides patches: its encoder needs .patch and .grid(shape), as ViT has; "
                f"{type(encoder).__name__} has no .{name}"
            )
