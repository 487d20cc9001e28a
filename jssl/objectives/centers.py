"""Self-distillation that remembers: the teacher's targets kept from collapsing by a center, or by balance."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.grids import at_places
from jssl.objectives.base import Memory, Objective, named, value_at
from jssl.objectives.distillation import (
    cross_view_cross_entropy,
    masked_cross_entropy,
    masked_mean,
    update_center,
)
from jssl.objectives.sinkhorn import sinkhorn_knopp


class Targets(NamedTuple):
    """How a teacher's logits become the student's targets.

    init:  (logits [..., K]) -> memory.
    apply: (memory, logits [..., K], where [...] bool or None, step) -> (probabilities [..., K], memory).
    """

    init: Callable[..., Memory]
    apply: Callable[..., tuple[jax.Array, Memory]]


def centered(*, temperature=0.04, momentum=0.9) -> Targets:
    """Targets softmax((logits - center) / temperature), the center a running mean of all logits, moved after use.

    temperature: a number or a schedule. momentum: the center's, a number or a schedule.

    Returns: `Targets` with memory {"center": [K]}.

    Source: DINO, arXiv:2104.14294.

    >>> rule = centered(momentum=0.5)
    >>> probabilities, memory = rule.apply(rule.init(jnp.zeros((1, 2))), jnp.array([[1.0, 3.0]]), None, 0)
    >>> memory["center"].tolist()
    [0.5, 1.5]
    """

    def init(logits):
        return {"center": jnp.zeros(logits.shape[-1], jnp.promote_types(logits.dtype, jnp.float32))}

    def apply(memory, logits, where, step):
        targets = jax.nn.softmax((logits - memory["center"]) / value_at(temperature, step))
        return targets, {"center": update_center(memory["center"], logits, momentum=value_at(momentum, step))}

    return Targets(init, apply)


def balanced(*, temperature=0.07, iterations: int = 3) -> Targets:
    """Targets balanced by Sinkhorn-Knopp over all views and examples; nothing to remember.

    temperature: a number or a schedule.

    Returns: `Targets` with empty memory.

    Source: DINOv2, arXiv:2304.07193.

    >>> balanced().apply((), jnp.array([[9.0, 0.0], [9.0, 0.0]]), None, 0)[0].round(3).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    def apply(memory, logits, where, step):
        rows = logits.reshape(-1, logits.shape[-1])
        where = None if where is None else where.reshape(-1)
        codes = sinkhorn_knopp(
            rows, temperature=value_at(temperature, step), iterations=iterations, where=where
        )
        return codes.reshape(logits.shape), memory

    return Targets(init=lambda logits: (), apply=apply)


def view_distillation(
    name: str = "cls", *, student_temperature=0.1, teacher_temperature=0.04, center_momentum=0.9
) -> Objective:
    """DINO's objective: centred, sharpened targets of the teacher's views, predicted from the student's other views.

    Reads student[name] [V, B, K], global views first, and teacher[name] [G, B, K]. Temperatures and momentum are
    numbers or schedules.

    Returns: an `Objective`; memory {"center": [K]}; metrics as `distil_views`.

    Raises: ValueError for a missing name or other shapes.

    Source: DINO, arXiv:2104.14294.

    >>> from jssl.objectives.base import Outputs
    >>> objective, logits = view_distillation(), jnp.zeros((2, 3, 4))
    >>> outputs = Outputs(student={"cls": logits}, target={"cls": logits})
    >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
    >>> print(f"{loss:.3f}", f"{metrics['teacher_entropy']:.3f}")
    1.386 1.000
    """
    return distil_views(
        name,
        centered(temperature=teacher_temperature, momentum=center_momentum),
        student_temperature=student_temperature,
    )


def balanced_view_distillation(
    name: str = "cls", *, student_temperature=0.1, teacher_temperature=0.07, iterations: int = 3
) -> Objective:
    """DINOv2's objective on [CLS]: as view_distillation, the targets balanced by Sinkhorn-Knopp instead of a center.

    Reads student[name] [V, B, K], global views first, and teacher[name] [G, B, K].

    Returns: an `Objective` without memory; metrics as `distil_views`.

    Raises: ValueError for a missing name or other shapes.

    Source: DINOv2, arXiv:2304.07193.

    >>> from jssl.objectives.base import Outputs
    >>> logits = jnp.zeros((2, 3, 4))
    >>> loss, memory, metrics = balanced_view_distillation().apply((), Outputs({"cls": logits}, {"cls": logits}), 0)
    >>> print(f"{loss:.3f}")
    1.386
    """
    return distil_views(
        name,
        balanced(temperature=teacher_temperature, iterations=iterations),
        student_temperature=student_temperature,
    )


def patch_distillation(
    name: str = "patch", *, student_temperature=0.1, teacher_temperature=0.07, center_momentum=0.9
) -> Objective:
    """iBOT's objective on patches: the teacher's targets of hidden patches, predicted by the student of the same view.

    Reads student[name] [V, B, N, K], of which the first G views count, teacher[name] [G, B, N, K] and mask [G, B, N],
    True = hidden. The center follows all patches, hidden or not. Temperatures and momentum are numbers or schedules.

    Returns: an `Objective`; memory {"center": [K]}; metrics as `distil_patches`.

    Raises: ValueError for a missing name or mask or other shapes.

    Source: iBOT, arXiv:2111.07832.

    >>> from jssl.objectives.base import Outputs
    >>> objective, logits = patch_distillation(), jnp.zeros((2, 3, 5, 4))
    >>> outputs = Outputs({"patch": logits}, {"patch": logits}, mask=jnp.ones((2, 3, 5), bool))
    >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
    >>> print(f"{loss:.3f}", memory["center"].shape)
    1.386 (4,)
    """
    return distil_patches(
        name,
        centered(temperature=teacher_temperature, momentum=center_momentum),
        student_temperature=student_temperature,
    )


def balanced_patch_distillation(
    name: str = "patch", *, student_temperature=0.1, teacher_temperature=0.07, iterations: int = 3
) -> Objective:
    """DINOv2's objective on patches: as patch_distillation, the hidden patches' targets balanced by Sinkhorn-Knopp.

    Reads student[name] [V, B, N, K], teacher[name] [G, B, N, K] and mask [G, B, N], True = hidden.

    Returns: an `Objective` without memory; metrics as `distil_patches`.

    Raises: ValueError for a missing name or mask or other shapes.

    Source: DINOv2, arXiv:2304.07193.

    >>> from jssl.objectives.base import Outputs
    >>> outputs = Outputs(*[{"patch": jnp.zeros((2, 3, 5, 4))}] * 2, mask=jnp.ones((2, 3, 5), bool))
    >>> loss, memory, metrics = balanced_patch_distillation().apply((), outputs, 0)
    >>> print(f"{loss:.3f}")
    1.386
    """
    return distil_patches(
        name,
        balanced(temperature=teacher_temperature, iterations=iterations),
        student_temperature=student_temperature,
    )


def distil_views(name: str, targets: Targets, *, student_temperature=0.1) -> Objective:
    """Every student view predicts the targets of the other views, whatever rule makes the targets.

    name: of student [V, B, K] and teacher [G, B, K]. targets: the rule. student_temperature: a number or a schedule.

    Returns: an `Objective` that remembers what the rule does; metrics kl (the loss less the targets' entropy),
        teacher_entropy (that entropy as a share of log K) and prototypes_used (exp of the mean target's entropy, 1 to K),
        which tell the collapses apart: `evaluate.diagnose`.

    Raises: ValueError for a missing name or other shapes.

    Source: DINO, arXiv:2104.14294.

    >>> from jssl.objectives.base import Outputs
    >>> logits = jnp.zeros((2, 3, 4))
    >>> loss, memory, metrics = distil_views("cls", balanced()).apply((), Outputs({"cls": logits}, {"cls": logits}), 0)
    >>> print(f"{loss:.3f}")
    1.386
    """

    def apply(memory, outputs, step):
        student, teacher = check(
            student=(named(outputs.student, name, "student"), "V B K"),
            teacher=(named(outputs.target, name, "target"), "G B K"),
        )
        wanted, memory = targets.apply(memory, jax.lax.stop_gradient(teacher), None, step)
        predicted = jax.nn.log_softmax(student / value_at(student_temperature, step))
        loss = jnp.mean(cross_view_cross_entropy(predicted, wanted))
        pairs = len(student) - (jnp.arange(len(teacher)) < len(student))  # of each teacher view
        entropy = jnp.sum(jnp.mean(_entropy(wanted), axis=1) * pairs) / jnp.sum(pairs)
        return loss, memory, {"kl": loss - entropy} | _told(entropy, jnp.mean(wanted, axis=(0, 1)))

    return Objective(lambda outputs: targets.init(named(outputs.target, name, "target")), apply)


def distil_patches(name: str, targets: Targets, *, student_temperature=0.1) -> Objective:
    """Hidden patches predict the targets of the same patches seen, whatever rule makes the targets.

    name: of student [V, B, N, K] and teacher [G, B, N, K]; also reads mask [G, B, N]. targets: the rule.

    Returns: an `Objective` that remembers what the rule does; metrics as `distil_views`, over the hidden patches.

    Raises: ValueError for a missing name or mask or other shapes.

    Source: iBOT, arXiv:2111.07832.

    >>> from jssl.objectives.base import Outputs
    >>> outputs = Outputs(*[{"patch": jnp.zeros((2, 3, 5, 4))}] * 2, mask=jnp.ones((2, 3, 5), bool))
    >>> loss, memory, metrics = distil_patches("patch", balanced()).apply((), outputs, 0)
    >>> print(f"{loss:.3f}")
    1.386
    """

    def apply(memory, outputs, step):
        teacher = named(outputs.target, name, "target")
        if outputs.mask is None:
            raise ValueError(
                "the objective needs outputs.mask [G, B, N], True where a patch was hidden; it is None"
            )
        places = outputs.places
        student, teacher, mask = check(
            student=(
                named(outputs.student, name, "student")[: len(teacher)],
                "G B N K" if places is None else "G B M K",
            ),
            teacher=(teacher, "G B N K"),
            mask=(outputs.mask[: len(teacher)], "G B N", bool),
        )
        wanted, memory = targets.apply(memory, jax.lax.stop_gradient(teacher), mask, step)
        if places is not None:  # of which the first are the hidden patches, the others repeat them
            wanted = at_places(wanted, places)
            mask = jnp.arange(places.shape[-1]) < jnp.sum(mask, axis=-1, keepdims=True)
        predicted = jax.nn.log_softmax(student / value_at(student_temperature, step))
        loss = jnp.mean(jax.vmap(masked_cross_entropy)(predicted, wanted, mask))
        entropy = jnp.mean(jax.vmap(masked_mean)(_entropy(wanted), mask))
        hidden = mask[..., None] / jnp.maximum(jnp.sum(mask), 1)
        return loss, memory, {"kl": loss - entropy} | _told(entropy, jnp.sum(wanted * hidden, axis=(0, 1, 2)))

    return Objective(lambda outputs: targets.init(named(outputs.target, name, "target")), apply)


def _told(entropy, mean):
    """The targets' mean entropy, and the prototypes that the mean target spreads over."""
    return {
        "teacher_entropy": entropy / math.log(max(len(mean), 2)),
        "prototypes_used": jnp.exp(_entropy(mean)),
    }


def _entropy(probabilities):
    return jnp.sum(jax.scipy.special.entr(probabilities), axis=-1)
