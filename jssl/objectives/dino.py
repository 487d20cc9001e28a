"""DINO: a student predicts its teacher's distribution over prototypes; a center prevents collapse."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.distributions import entropy, target_spread
from jssl.objectives.base import Metrics, Objective, Outputs, named, value_at
from jssl.objectives.swav import swapped_prediction


def dino_cross_entropy(
    student_logits, teacher_logits, center, *, student_temperature=0.1, teacher_temperature=0.04
) -> jax.Array:
    """Computes DINO's loss: the student predicts the teacher's centred, sharpened distribution from the other
    views.

    l_b = mean over pairs g != v of H(softmax((t_g - center) / T_teacher), softmax(s_v / T_student)).

    Args:
        student_logits: [V, B, K], the G global views first.
        teacher_logits: [G, B, K], no gradient.
        center: [K], no gradient.
        student_temperature: T_student.
        teacher_temperature: T_teacher.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes, or where no two views differ.
    References:
        DINO, arXiv:2104.14294
    Examples:
        >>> s = jnp.zeros((3, 2, 4))
        >>> print(dino_cross_entropy(s, s[:2], jnp.zeros(4)).round(3))
        [1.386 1.386]
    """
    student, teacher, center = check(
        student_logits=(student_logits, "V B K"),
        teacher_logits=(teacher_logits, "G B K"),
        center=(center, "K"),
    )
    check_positive(student_temperature=student_temperature)
    targets = centered(teacher, center, temperature=teacher_temperature)
    return swapped_prediction(student, targets, temperature=student_temperature)


def centered(teacher_logits, center, *, temperature=0.04) -> jax.Array:
    """Makes the targets of a student from its teacher's logits: centred, then sharpened.

    Args:
        teacher_logits: [..., K].
        center: [K].
        temperature: of the softmax; the lower, the sharper.
    Returns:
        [..., K], probabilities softmax((teacher_logits - center) / temperature), without gradient.
    Raises:
        ValueError: for other shapes.
    References:
        DINO, arXiv:2104.14294
    Examples:
        >>> print(centered(jnp.array([[1.0, 3.0]]), jnp.array([0.0, 2.0])))
        [[0.5 0.5]]
    """
    teacher, center = check(teacher_logits=(teacher_logits, "... K"), center=(center, "K"))
    check_positive(teacher_temperature=temperature)
    return jax.lax.stop_gradient(jax.nn.softmax((teacher - center) / temperature))


def update_center(center, teacher_logits, *, momentum=0.9) -> jax.Array:
    """Moves the center towards the mean of the teacher's logits: momentum center + (1 - momentum) mean.

    Args:
        center: [K].
        teacher_logits: [..., K], with any leading axes, of which there is at least one; no gradient.
        momentum: from 0 (the center becomes the mean) to 1 (the center stays).
    Returns:
        [K].
    Raises:
        ValueError: for other shapes.
    References:
        DINO, arXiv:2104.14294
    Examples:
        >>> update_center(jnp.zeros(2), jnp.ones((3, 5, 2)), momentum=0.5).tolist()
        [0.5, 0.5]
    """
    center, teacher = check(center=(center, "K"), teacher_logits=(teacher_logits, "... B K"))
    mean = jnp.mean(teacher, axis=tuple(range(teacher.ndim - 1)))
    return jax.lax.stop_gradient(momentum * center + (1 - momentum) * mean)


def new_center(logits: jax.Array) -> jax.Array:
    """Makes the initial center of a teacher's logits.

    Args:
        logits: [..., K], an example of the teacher's logits.
    Returns:
        [K] zeros, at least float32.
    """
    return jnp.zeros(logits.shape[-1], jnp.promote_types(logits.dtype, jnp.float32))


def view_distillation(
    name: str = "cls", *, student_temperature=0.1, teacher_temperature=0.04, center_momentum=0.9
) -> Objective:
    """Makes DINO's objective: every student view predicts the teacher's targets of the other views.

    It reads `student[name]` [V, B, K], global views first, and `target[name]` [G, B, K]. The loss uses the
    center as it was before the step; then the center moves.

    Args:
        name: of the logits.
        student_temperature: a number or a schedule.
        teacher_temperature: a number or a schedule.
        center_momentum: a number or a schedule.
    Returns:
        An `Objective`; memory {"center": [K]}; metrics as `view_metrics`.
    Raises:
        ValueError: for a missing name, or other shapes.
    References:
        DINO, arXiv:2104.14294
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective, logits = view_distillation(), jnp.zeros((2, 3, 4))
        >>> outputs = Outputs(student={"cls": logits}, target={"cls": logits})
        >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
        >>> print(f"{loss:.3f}", f"{metrics['teacher_entropy']:.3f}")
        1.386 1.000
    """

    def init(outputs):
        return {"center": new_center(named(outputs.target, name, "target"))}

    def apply(memory, outputs, step):
        student, teacher = views_of(outputs, name)
        center, temperature = memory["center"], value_at(teacher_temperature, step)
        losses = dino_cross_entropy(
            student,
            teacher,
            center,
            student_temperature=value_at(student_temperature, step),
            teacher_temperature=temperature,
        )
        loss = jnp.mean(losses)
        metrics = view_metrics(loss, centered(teacher, center, temperature=temperature), len(student))
        return (
            loss,
            {"center": update_center(center, teacher, momentum=value_at(center_momentum, step))},
            metrics,
        )

    return Objective(init, apply)


def views_of(outputs: Outputs, name: str) -> list[jax.Array]:
    """Reads the student's and the teacher's logits of views.

    Args:
        outputs: of a forward pass.
        name: of the logits.
    Returns:
        [student [V, B, K], teacher [G, B, K]], the teacher's without gradient.
    Raises:
        ValueError: for a missing name, or other shapes.
    """
    student, teacher = check(
        student=(named(outputs.student, name, "student"), "V B K"),
        teacher=(named(outputs.target, name, "target"), "G B K"),
    )
    return [student, jax.lax.stop_gradient(teacher)]


def view_metrics(loss: jax.Array, targets: jax.Array, student_views: int) -> Metrics:
    """Measures a distillation of views, so that `jssl.evaluate.diagnose` can tell the two kinds of collapse
    apart.

    Args:
        loss: scalar, the mean cross entropy over pairs of different views.
        targets: [G, B, K], the teacher's probabilities.
        student_views: V, the number of views that the student predicted from.
    Returns:
        Scalars: kl, the loss less the targets' entropy; teacher_entropy, that entropy as a share of log K;
        prototypes_used, the exponential of the mean target's entropy, from 1 to K.
    """
    pairs = student_views - (jnp.arange(len(targets)) < student_views)  # of each teacher view
    mean_entropy = jnp.sum(jnp.mean(entropy(targets), axis=1) * pairs) / jnp.sum(pairs)
    return {"kl": loss - mean_entropy} | target_spread(mean_entropy, jnp.mean(targets, axis=(0, 1)))
