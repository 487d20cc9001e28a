"""DINOv2: DINO's and iBOT's distillation with targets balanced by Sinkhorn-Knopp in place of a center."""

import jax
import jax.numpy as jnp

from jssl.objectives.base import Objective, value_at
from jssl.objectives.dino import view_metrics, views_of
from jssl.objectives.ibot import masked_cross_entropy, patch_metrics, patches_of
from jssl.objectives.sinkhorn import sinkhorn_knopp
from jssl.objectives.swav import swapped_prediction


def balanced_view_distillation(
    name: str = "cls", *, student_temperature=0.1, teacher_temperature=0.07, iterations: int = 3
) -> Objective:
    """Makes DINOv2's objective on class tokens: the teacher's balanced targets are predicted from the other
    views.

    It reads student[name] [V, B, K], global views first, and target[name] [G, B, K]. All views and examples
    are balanced together.

    Args:
        name: of the logits.
        student_temperature: a number or a schedule.
        teacher_temperature: Sinkhorn's, a number or a schedule.
        iterations: of Sinkhorn.
    Returns:
        An `Objective` without memory; metrics as `jssl.objectives.dino.view_metrics`.
    Raises:
        ValueError: for a missing name, or other shapes.
    References:
        DINOv2, arXiv:2304.07193
        DINO, arXiv:2104.14294 (the pairs of views)

    >>> from jssl.objectives.base import Outputs
    >>> logits = {"cls": jnp.zeros((2, 3, 4))}
    >>> loss, memory, metrics = balanced_view_distillation().apply((), Outputs(logits, logits), 0)
    >>> print(f"{loss:.3f}")
    1.386
    """

    def apply(memory, outputs, step):
        student, teacher = views_of(outputs, name)
        rows = teacher.reshape(-1, teacher.shape[-1])
        codes = sinkhorn_knopp(rows, temperature=value_at(teacher_temperature, step), iterations=iterations)
        codes = codes.reshape(teacher.shape)
        losses = swapped_prediction(student, codes, temperature=value_at(student_temperature, step))
        loss = jnp.mean(losses)
        return loss, memory, view_metrics(loss, codes, len(student))

    return Objective(lambda outputs: (), apply)


def balanced_patch_distillation(
    name: str = "patch", *, student_temperature=0.1, teacher_temperature=0.07, iterations: int = 3
) -> Objective:
    """Makes DINOv2's objective on patches: the balanced targets of hidden patches are predicted by the
    student.

    It reads student[name] [V, B, N, K], target[name] [G, B, N, K] and mask [G, B, N], True = hidden; with
    places [G, B, M] the student's logits are those at the places. The hidden patches of all views and images
    are balanced together.

    Args:
        name: of the logits.
        student_temperature: a number or a schedule.
        teacher_temperature: Sinkhorn's, a number or a schedule.
        iterations: of Sinkhorn.
    Returns:
        An `Objective` without memory; metrics as `jssl.objectives.ibot.patch_metrics`.
    Raises:
        ValueError: for a missing name or mask, or other shapes.
    References:
        DINOv2, arXiv:2304.07193
        iBOT, arXiv:2111.07832 (the mean over hidden patches)

    >>> from jssl.objectives.base import Outputs
    >>> outputs = Outputs(*[{"patch": jnp.zeros((2, 3, 5, 4))}] * 2, mask=jnp.ones((2, 3, 5), bool))
    >>> loss, memory, metrics = balanced_patch_distillation().apply((), outputs, 0)
    >>> print(f"{loss:.3f}")
    1.386
    """

    def apply(memory, outputs, step):
        student, teacher, mask = patches_of(outputs, name)
        codes = sinkhorn_knopp(
            teacher.reshape(-1, teacher.shape[-1]),
            temperature=value_at(teacher_temperature, step),
            iterations=iterations,
            where=mask.reshape(-1),
        ).reshape(teacher.shape)

        def of_view(student, codes, mask):
            return masked_cross_entropy(student, codes, mask, temperature=value_at(student_temperature, step))

        loss = jnp.mean(jax.vmap(of_view)(student, codes, mask))
        return loss, memory, patch_metrics(loss, codes, mask)

    return Objective(lambda outputs: (), apply)
