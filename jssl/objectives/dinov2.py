"""DINOv2: DINO's and iBOT's distillation with targets balanced by Sinkhorn-Knopp in place of a center."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.objectives.base import Objective, named, stateless, value_at, weighted_sum
from jssl.objectives.dino import view_distillation, view_metrics, views_of
from jssl.objectives.ibot import masked_cross_entropy, patch_distillation, patch_metrics, patches_of
from jssl.objectives.redundancy import koleo
from jssl.objectives.sinkhorn import sinkhorn_knopp
from jssl.objectives.swav import swapped_prediction


def balanced_view_distillation(
    name: str = "cls", *, student_temperature=0.1, teacher_temperature=0.07, iterations: int = 3
) -> Objective:
    """Makes DINOv2's objective on class tokens: the student predicts the teacher's balanced targets from the
    other views.

    It reads `student[name]` [V, B, K], global views first, and `target[name]` [G, B, K]. All views and
    examples are balanced together.

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
    Examples:
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
    """Makes DINOv2's objective on patches: the student predicts the teacher's balanced targets of hidden
    patches.

    It reads `student[name]` [V, B, N, K], `target[name]` [G, B, N, K] and mask [G, B, N], True = hidden; with
    places [G, B, M], the student's logits are only those at the places. The hidden patches of all views and
    images are balanced together.

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
    Examples:
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


def spread_views(name: str = "cls", *, group: int | None = None) -> Objective:
    """Makes DINOv2's KoLeo term: in every global view the student's vectors are pushed away from their
    nearest neighbours.

    It reads `student[name]` [V, B, D], of which the first G views count, and `target[name]` [G, B, D'], of
    which only the number G matters. The views of one image are not pushed apart.

    Args:
        name: of the vectors, such as the encoder's own "cls".
        group: the number of consecutive images among which neighbours are searched, as on one of the authors'
            GPUs; None: the whole batch.
    Returns:
        An `Objective` without memory; its loss is the sum over the global views.
    Raises:
        ValueError: for a missing name, or a group that does not divide the batch.
    References:
        DINOv2, arXiv:2304.07193
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> pair = {"cls": jnp.tile(jnp.eye(2), (1, 2, 1))}
        >>> print(f"{spread_views(group=2).apply((), Outputs(pair, pair), 0)[0]:.3f}")
        -0.347
    """

    def loss(outputs):
        views = len(named(outputs.target, name, "target"))
        (z,) = check(student=(named(outputs.student, name, "student")[:views], "G B D"))
        size = group or z.shape[1]
        if z.shape[1] % size:
            raise ValueError(f"group={size} must divide the batch of {z.shape[1]}; choose another, or None")
        return views * jnp.mean(jax.vmap(koleo)(z.reshape(-1, size, z.shape[-1])))

    return stateless(loss)


def dinov2_terms(
    *,
    centering: str = "sinkhorn",
    patch_weight: float = 1.0,
    koleo_weight: float = 0.1,
    koleo_group: int | None = None,
    student_temperature=0.1,
    teacher_temperature=0.07,
    **more,
) -> Objective:
    """Adds up DINOv2's terms: on class tokens, on hidden patches, and KoLeo on class tokens.

    It reads "image" as `balanced_view_distillation`, "patch" as `balanced_patch_distillation` and "cls" as
    `spread_views`.

    Args:
        centering: "sinkhorn" balances the teacher's targets, "centering" subtracts a running mean as DINO
            does.
        patch_weight: of the patches' term.
        koleo_weight: of `spread_views`.
        koleo_group: the `group` of `spread_views`.
        student_temperature: a number or a schedule.
        teacher_temperature: a number or a schedule.
        more: further terms, name=(weight, objective).
    Returns:
        An `Objective`; metrics as those of its terms, "image", "patch" and "koleo".
    Raises:
        ValueError: for an unknown centering.
    References:
        DINOv2, arXiv:2304.07193
    Examples:
        >>> dinov2_terms(centering="none")
        Traceback (most recent call last):
        ...
        ValueError: centering must be 'sinkhorn' or 'centering', got 'none'
    """
    kinds: dict[str, tuple[Callable[..., Objective], ...]] = {
        "sinkhorn": (balanced_view_distillation, balanced_patch_distillation),
        "centering": (view_distillation, patch_distillation),
    }
    if centering not in kinds:
        raise ValueError(f"centering must be 'sinkhorn' or 'centering', got {centering!r}")
    of_views, of_patches = kinds[centering]
    how = dict(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
    return weighted_sum(
        image=(1.0, of_views("image", **how)),
        patch=(patch_weight, of_patches("patch", **how)),
        koleo=(koleo_weight, spread_views("cls", group=koleo_group)),
        **more,
    )
