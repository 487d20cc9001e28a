"""EsViT: every region of a view predicts the teacher's most similar region in another view."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.distributions import entropy, target_spread
from jssl.arrays.grids import at_places
from jssl.arrays.vectors import unit
from jssl.objectives.base import Objective, Outputs, named, value_at
from jssl.objectives.dino import centered, new_center, update_center


def matching_regions(student, teacher) -> jax.Array:
    """Finds, for each of the student's regions, the most similar region of the teacher's, by cosine.

    Args:
        student: [B, n, D].
        teacher: [B, N, D].
    Returns:
        [B, n] int32, below N, without gradient.
    Raises:
        ValueError: for other shapes.
    References:
        EsViT, arXiv:2106.09785
    Examples:
        >>> matching_regions(jnp.eye(2)[None, :1], jnp.eye(2)[None, ::-1]).tolist()
        [[1]]
    """
    student, teacher = check(student=(student, "B n D"), teacher=(teacher, "B N D"))
    student, teacher = jax.lax.stop_gradient((unit(student), unit(teacher)))
    cosines = jnp.einsum("bnd,bmd->bnm", student, teacher, precision=jax.lax.Precision.HIGHEST)
    return jnp.argmax(cosines, axis=-1).astype(jnp.int32)


def region_cross_entropy(student_logits, targets, match, *, temperature=0.1) -> jax.Array:
    """Computes the cross entropy of regions with the targets of the regions that they match.

    l_b = -mean_n sum_k targets[b, match[b, n], k] log softmax(student_logits[b, n] / T)_k.

    Args:
        student_logits: [B, n, K].
        targets: [B, N, K], probabilities, no gradient.
        match: [B, n] integers, below N.
        temperature: T.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes.
        TypeError: for matches that are not integers.
    References:
        EsViT, arXiv:2106.09785
    Examples:
        >>> logits, targets = jnp.zeros((1, 3, 4)), jnp.full((1, 2, 4), 0.25)
        >>> print(region_cross_entropy(logits, targets, jnp.array([[1, 0, 1]])).round(3))
        [1.386]
    """
    logits, targets, match = check(
        student_logits=(student_logits, "B n K"), targets=(targets, "B N K"), match=(match, "B n", int)
    )
    check_positive(temperature=temperature)
    wanted = at_places(jax.lax.stop_gradient(targets), match)
    return -jnp.mean(jnp.sum(wanted * jax.nn.log_softmax(logits / temperature), axis=-1), axis=-1)


def region_distillation(
    name: str = "patch",
    features: str = "tokens",
    *,
    student_temperature=0.1,
    teacher_temperature=0.04,
    center_momentum=0.9,
) -> Objective:
    """Makes EsViT's objective on regions: each region of a student view predicts the teacher's matching
    regions in the other views.

    It reads `student[name]` [G, B, N, K] and `student[features]` [G, B, N, D], with local views also
    `student["name/local"]` [L, B, n, K] and `student["features/local"]` [L, B, n, D], and target[name],
    target[features] of the global views. Regions are matched by the features, before the head. The loss is
    the mean over pairs of different views. It uses the center as it was before the step; then the center
    moves.

    Args:
        name: of the logits.
        features: the name of the features by which regions are matched.
        student_temperature: a number or a schedule.
        teacher_temperature: a number or a schedule.
        center_momentum: a number or a schedule.
    Returns:
        An `Objective`; memory {"center": [K]}; metrics kl, teacher_entropy and prototypes_used as those of
        `jssl.objectives.dino.view_metrics`, over the matched regions, and regions_matched, the share of the
        teacher's regions that some region of a view matches.
    Raises:
        ValueError: for a missing name, other shapes, or where no two views differ.
    References:
        EsViT, arXiv:2106.09785
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective, logits = region_distillation(features="patch"), jnp.zeros((2, 3, 5, 4))
        >>> outputs = Outputs(student={"patch": logits}, target={"patch": logits})
        >>> print(f"{objective.apply(objective.init(outputs), outputs, 0)[0]:.3f}")
        1.386
    """

    def init(outputs):
        return {"center": new_center(named(outputs.target, name, "target"))}

    def apply(memory, outputs, step):
        teacher, places = check(
            teacher=(named(outputs.target, name, "target"), "G B N K"),
            features=(named(outputs.target, features, "target"), "G B N D"),
        )
        targets = centered(teacher, memory["center"], temperature=value_at(teacher_temperature, step))
        temperature = value_at(student_temperature, step)
        losses, entropies, means, found = [], [], [], []
        for v, (logits, regions) in enumerate(_views(outputs, name, features)):
            for g in range(len(teacher)):
                if v == g:
                    continue
                match = matching_regions(regions, places[g])
                losses.append(
                    jnp.mean(region_cross_entropy(logits, targets[g], match, temperature=temperature))
                )
                chosen = at_places(targets[g], match)
                entropies.append(jnp.mean(entropy(chosen)))
                means.append(jnp.mean(chosen, axis=(0, 1)))
                hits = jax.nn.one_hot(match, teacher.shape[2]).max(1)
                found.append(jnp.mean(hits))
        if not losses:
            raise ValueError(f"target[{name!r}] has shape {teacher.shape}: there are no two different views")
        loss, mean_entropy = (jnp.mean(jnp.stack(x)) for x in (losses, entropies))
        metrics = {"kl": loss - mean_entropy, "regions_matched": jnp.mean(jnp.stack(found))}
        metrics |= target_spread(mean_entropy, jnp.mean(jnp.stack(means), axis=0))
        center = update_center(memory["center"], teacher, momentum=value_at(center_momentum, step))
        return loss, {"center": center}, metrics

    return Objective(init, apply)


def _views(outputs: Outputs, name: str, features: str):
    """Pairs of logits [B, n, K] and features [B, n, D] of every student view, global ones first."""
    pairs = []
    for suffix in ("", "/local"):
        if suffix and f"{name}{suffix}" not in outputs.student:
            continue
        logits, regions = (named(outputs.student, f"{part}{suffix}", "student") for part in (name, features))
        pairs += zip(logits, regions, strict=True)
    return pairs
