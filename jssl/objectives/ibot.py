"""iBOT: DINO's distillation on the patches that are hidden from the student and visible to the teacher."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.distributions import entropy, target_spread
from jssl.arrays.grids import at_places
from jssl.objectives.base import Metrics, Objective, Outputs, named, value_at
from jssl.objectives.dino import centered, new_center, update_center
from jssl.objectives.reconstruction import masked_mean


def masked_patch_distillation(
    student_logits, teacher_logits, mask, center, *, student_temperature=0.1, teacher_temperature=0.07
) -> jax.Array:
    """Computes iBOT's patch loss: the student predicts the teacher's distribution of each hidden patch.

    l_b = mean over the hidden n of H(softmax((t_bn - center) / T_teacher), softmax(s_bn / T_student)).

    Args:
        student_logits: [B, N, K], of all patches, or only of those at some places.
        teacher_logits: [B, N, K], of the same patches, no gradient.
        mask: [B, N] bool, True = hidden, or a real place; patches with False have no part in the loss.
        center: [K], no gradient.
        student_temperature: T_student.
        teacher_temperature: T_teacher.
    Returns:
        [B]; 0 for an image with nothing hidden.
    Raises:
        ValueError: for other shapes.
        TypeError: for a mask that is not bool.
    References:
        iBOT, arXiv:2111.07832
    Examples:
        >>> s, mask = jnp.zeros((2, 3, 4)), jnp.array([[True, False, True], [False, False, False]])
        >>> print(masked_patch_distillation(s, s, mask, jnp.zeros(4)).round(3))
        [1.386 0.   ]
    """
    student, teacher, mask, center = check(
        student_logits=(student_logits, "B N K"),
        teacher_logits=(teacher_logits, "B N K"),
        mask=(mask, "B N", bool),
        center=(center, "K"),
    )
    targets = centered(teacher, center, temperature=teacher_temperature)
    return masked_cross_entropy(student, targets, mask, temperature=student_temperature)


def masked_cross_entropy(logits, targets, mask, *, temperature=0.1) -> jax.Array:
    """Computes the cross entropy with the targets, averaged over the hidden patches of each image.

    l_b = -sum_n mask[b, n] sum_k targets[b, n, k] log softmax(logits[b, n] / T)_k / max(1, sum_n mask[b, n]).

    Args:
        logits: [B, N, K].
        targets: [B, N, K], probabilities, no gradient.
        mask: [B, N] bool, True = hidden.
        temperature: T.
    Returns:
        [B]; 0 for an image with nothing hidden.
    Raises:
        ValueError: for other shapes.
        TypeError: for a mask that is not bool.
    References:
        iBOT, arXiv:2111.07832
    Examples:
        >>> logits, targets = jnp.zeros((1, 2, 4)), jnp.full((1, 2, 4), 0.25)
        >>> print(masked_cross_entropy(logits, targets, jnp.array([[True, False]])).round(3))
        [1.386]
    """
    logits, targets, mask = check(
        logits=(logits, "B N K"), targets=(targets, "B N K"), mask=(mask, "B N", bool)
    )
    check_positive(student_temperature=temperature)
    logits, targets = (jnp.where(mask[..., None], x, 0.0) for x in (logits, targets))
    predictions = jax.nn.log_softmax(logits / temperature)
    return masked_mean(-jnp.sum(jax.lax.stop_gradient(targets) * predictions, axis=-1), mask)


def patch_distillation(
    name: str = "patch", *, student_temperature=0.1, teacher_temperature=0.07, center_momentum=0.9
) -> Objective:
    """Makes iBOT's objective on patches: the student predicts the teacher's targets of the patches hidden
    from it.

    It reads `student[name]` [V, B, N, K], of which the first G views count, `target[name]` [G, B, N, K] and
    mask [G, B, N], True = hidden. With places [G, B, M], the student's logits are only those at the places,
    [V, B, M, K]. The center moves towards the mean of all of the teacher's patches, hidden or not.

    Args:
        name: of the logits.
        student_temperature: a number or a schedule.
        teacher_temperature: a number or a schedule.
        center_momentum: a number or a schedule.
    Returns:
        An `Objective`; memory {"center": [K]}; metrics as `patch_metrics`.
    Raises:
        ValueError: for a missing name or mask, or other shapes.
    References:
        iBOT, arXiv:2111.07832
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective, logits = patch_distillation(), jnp.zeros((2, 3, 5, 4))
        >>> outputs = Outputs({"patch": logits}, {"patch": logits}, mask=jnp.ones((2, 3, 5), bool))
        >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
        >>> print(f"{loss:.3f}", memory["center"].shape)
        1.386 (4,)
    """

    def init(outputs):
        return {"center": new_center(named(outputs.target, name, "target"))}

    def apply(memory, outputs, step):
        student, teacher, mask = patches_of(outputs, name)
        center, temperature = memory["center"], value_at(teacher_temperature, step)

        def of_view(student, teacher, mask):
            return masked_patch_distillation(
                student,
                teacher,
                mask,
                center,
                student_temperature=value_at(student_temperature, step),
                teacher_temperature=temperature,
            )

        loss = jnp.mean(jax.vmap(of_view)(student, teacher, mask))
        metrics = patch_metrics(loss, centered(teacher, center, temperature=temperature), mask)
        every_patch = named(outputs.target, name, "target")
        center = update_center(center, every_patch, momentum=value_at(center_momentum, step))
        return loss, {"center": center}, metrics

    return Objective(init, apply)


def patches_of(outputs: Outputs, name: str) -> list[jax.Array]:
    """Reads the student's and the teacher's logits of patches, and which of them count.

    Args:
        outputs: of a forward pass.
        name: of the logits.
    Returns:
        [student [G, B, N, K], teacher [G, B, N, K], mask [G, B, N]], the teacher's without gradient. With
        places [G, B, M], all three are those at the places: first the hidden patches, then repetitions of
        them.
    Raises:
        ValueError: for a missing name or mask, or other shapes.
    """
    teacher = named(outputs.target, name, "target")
    if outputs.mask is None:
        raise ValueError(
            "the objective needs outputs.mask [G, B, N], True where a patch was hidden; it is None"
        )
    views, mask = len(teacher), outputs.mask[: len(teacher)]
    if outputs.places is not None:
        places = outputs.places[:views]
        teacher = at_places(teacher, places)
        mask = jnp.arange(places.shape[-1]) < jnp.sum(mask, axis=-1, keepdims=True)
    student, teacher, mask = check(
        student=(named(outputs.student, name, "student")[:views], "G B N K"),
        teacher=(teacher, "G B N K"),
        mask=(mask, "G B N", bool),
    )
    return [student, jax.lax.stop_gradient(teacher), mask]


def patch_metrics(loss: jax.Array, targets: jax.Array, mask: jax.Array) -> Metrics:
    """Measures a distillation of patches, over the hidden ones.

    Args:
        loss: scalar, the mean cross entropy.
        targets: [G, B, N, K], the teacher's probabilities.
        mask: [G, B, N] bool, True = hidden.
    Returns:
        The scalars of `jssl.objectives.dino.view_metrics`.
    """
    mean_entropy = jnp.mean(jax.vmap(masked_mean)(entropy(targets), mask))
    hidden = mask[..., None] / jnp.maximum(jnp.sum(mask), 1)
    return {"kl": loss - mean_entropy} | target_spread(
        mean_entropy, jnp.sum(targets * hidden, axis=(0, 1, 2))
    )
