"""What a method is: pure functions that a train step drives. A method owns no loop, no optimizer and no logging."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jssl.models.features import Features
from jssl.objectives.base import Outputs

Params = Any
Memory = Any
Views = dict[str, Any]
Schedule = Callable[[jax.Array], jax.Array]


def everything(params: Params) -> Params:
    """The teacher of a whole network."""
    return params


class Method(NamedTuple):
    """A way to learn without labels.

    init:     (key, views) -> (params, memory)
    loss:     (params, teacher, memory, views, key, step) -> (loss [], (memory, metrics))
    features: (params, teacher, memory, images [B, H, W, C]) -> Features: what is evaluated and exported
    outputs:  (params, teacher, memory, views, key) -> Outputs: what the objective sees, for figures and health; None: various
    momentum: step -> momentum of the EMA teacher, moved once per optimizer step; None: no teacher
    follows:  (params) -> the part of the parameters that the teacher follows
    refresh:  (key, memory) -> memory, between epochs (re-clustering); None: nothing to do
    """

    init: Callable[[jax.Array, Views], tuple[Params, Memory]]
    loss: Callable[
        [Params, Params, Memory, Views, jax.Array, jax.Array], tuple[jax.Array, tuple[Memory, dict]]
    ]
    features: Callable[[Params, Params, Memory, jax.Array], Features]
    outputs: Callable[[Params, Params, Memory, Views, jax.Array], Outputs] | None = None
    momentum: Schedule | None = None
    follows: Callable[[Params], Params] = everything
    refresh: Callable[[jax.Array, Memory], Memory] | None = None
