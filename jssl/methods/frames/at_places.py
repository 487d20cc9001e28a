"""Self-distillation in which the patch heads of student and teacher run only at the hidden places."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jssl.masks import Masking, hidden_indices
from jssl.methods.base import Method, Teacher, everything
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import global_views, masking_keys, together
from jssl.models.network import Network, network
from jssl.objectives.base import Objective, Outputs


class Lesson(NamedTuple):
    """The source of the targets.

    Args:
        init: (key, views, the student's statistics) -> statistics.
        give: (teacher, statistics, views, places [1, B, n]) -> (targets by name, statistics).
    """

    init: Callable[..., Any]
    give: Callable[..., tuple[dict[str, jax.Array], Any]]


def from_itself(net: Network) -> Lesson:
    """Takes the targets from the student's own teacher."""

    def give(teacher, statistics, views, places):
        return together(net, teacher, statistics, global_views(views), places=places)

    return Lesson(lambda key, views, statistics: statistics, give)


def from_frozen(net: Network) -> Lesson:
    """Takes the targets from another network, one of `jssl.frozen`."""

    def init(key, views, statistics):
        return net.init(key, views["global"][0])[1]

    def give(teacher, statistics, views, places):
        return together(net, {}, statistics, global_views(views), places=places)

    return Lesson(init, give)


def distillation_at_places(
    model,
    objective: Objective,
    *,
    lesson: Callable[[Network], Lesson],
    teacher: Teacher,
    masking: Masking,
    hides: bool = True,
    evaluates=everything,
) -> Method:
    """Learns targets of patches at the places that a masking chooses: loss = objective(student, targets).

    Places are chosen before the networks run, so neither runs its patch head elsewhere. The places of all
    global views of an image are in one list, which the objective reads as one view, [1, B, n, ...].

    Args:
        model: anything `network` takes, with heads.
        objective: reads `outputs.student`, `outputs.target`, and `outputs.mask` [1, B, n], True for a real
            place and False for a repetition.
        lesson: (network) -> the `Lesson`.
        teacher: the rule of the running mean that is evaluated; the lesson may also take targets from it.
        masking: (keys [B], global views [G, B, H, W, C]) -> mask [G, B, N]; its `most` counts the hidden
            patches of all views of an image.
        hides: whether the student's patches at the places are hidden from it.
        evaluates: (teacher) -> the parameters that are evaluated and exported.
    Returns:
        A `Method` with a teacher.
    """
    net = network(model)
    taught = lesson(net)

    def shown(mask):
        return {"mask": mask} if hides else {}

    def init(key, views):
        mask = masking(masking_keys(key, views), views["global"])
        params, statistics = net.init(key, views["global"][0], **shown(mask[0]))
        return params, {"student": statistics, "teacher": taught.init(key, views, statistics)}

    def forward(params, teacher, statistics, views, keys):
        mask = masking(masking_keys(keys.samples, views), views["global"])
        whole = mask.swapaxes(0, 1).reshape(mask.shape[1], -1)  # the views of an image in one row
        places = hidden_indices(whole, masking.most(mask.shape[-1]))[None]
        real = jnp.arange(places.shape[-1]) < jnp.sum(whole, axis=-1, keepdims=True)
        targets, after = taught.give(teacher, statistics["teacher"], views, places)
        how = dict(key=keys.network, places=places, **shown(mask))
        student, own = together(net, params, statistics["student"], views, **how)
        return Outputs(student, targets, mask=real[None], views=views), {"student": own, "teacher": after}

    def evaluated(params, teacher, statistics):
        return evaluates(teacher), statistics["student"]

    return assemble(objective, net=net, init=init, forward=forward, evaluated=evaluated, teacher=teacher)
