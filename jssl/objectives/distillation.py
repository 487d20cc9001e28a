"""Self-distillation: a student's distribution over prototypes follows a teacher's."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive


def cross_view_cross_entropy(student_log_probabilities, targets) -> jax.Array:
    """The cross entropy of every target view with every other student view, averaged over the pairs.

    l_b = -mean_{g != v} sum_k targets[g, b, k] student_log_probabilities[v, b, k]; views of equal number are the same.

    student_log_probabilities: [V, B, K]. targets: [G, B, K], probabilities of the first G views, no gradient.

    Returns: [B].

    Raises: ValueError for other shapes or where no two views differ.

    Source: the pairs of SwAV, arXiv:2006.09882, and of DINO, arXiv:2104.14294.

    >>> p = jnp.full((2, 1, 4), 0.25)
    >>> print(cross_view_cross_entropy(jnp.log(p), p).round(3))
    [1.386]
    """
    student, targets = check(
        student_log_probabilities=(student_log_probabilities, "V B K"), targets=(targets, "G B K")
    )
    views, others = len(student), len(targets)
    pairs = views * others - min(views, others)
    if not pairs:
        raise ValueError(f"{views} student view and {others} target view make no pair of different views")
    entropies = -jnp.einsum(
        "gbk,vbk->gvb", jax.lax.stop_gradient(targets), student, precision=jax.lax.Precision.HIGHEST
    )
    different = ~jnp.eye(others, views, dtype=bool)
    return jnp.sum(entropies, axis=(0, 1), where=different[..., None]) / pairs


def dino_cross_entropy(
    student_logits, teacher_logits, center, *, student_temperature=0.1, teacher_temperature=0.04
) -> jax.Array:
    """DINO: the teacher's centred, sharpened distribution is predicted from the other views.

    l_b = mean over pairs g != v of H(softmax((t_g - center) / T_teacher), softmax(s_v / T_student)).

    student_logits: [V, B, K], the G global views first. teacher_logits: [G, B, K] and center: [K], no gradient.

    Returns: [B].

    Raises: ValueError for other shapes or where no two views differ.

    Source: arXiv:2104.14294.

    >>> s = jnp.zeros((3, 2, 4))
    >>> print(dino_cross_entropy(s, s[:2], jnp.zeros(4)).round(3))
    [1.386 1.386]
    """
    student, teacher, center = check(
        student_logits=(student_logits, "V B K"),
        teacher_logits=(teacher_logits, "G B K"),
        center=(center, "K"),
    )
    check_positive(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
    targets = jax.nn.softmax((teacher - center) / teacher_temperature)
    return cross_view_cross_entropy(jax.nn.log_softmax(student / student_temperature), targets)


def update_center(center, teacher_logits, *, momentum=0.9) -> jax.Array:
    """The running mean of the teacher's logits: momentum center + (1 - momentum) mean(teacher_logits).

    center: [K]. teacher_logits: [..., K], with any leading axes, of which there is at least one; no gradient.

    Returns: [K].

    Raises: ValueError for other shapes.

    Source: DINO, arXiv:2104.14294.

    >>> update_center(jnp.zeros(2), jnp.ones((3, 5, 2)), momentum=0.5).tolist()
    [0.5, 0.5]
    """
    center, teacher = check(center=(center, "K"), teacher_logits=(teacher_logits, "... B K"))
    mean = jnp.mean(teacher, axis=tuple(range(teacher.ndim - 1)))
    return jax.lax.stop_gradient(momentum * center + (1 - momentum) * mean)


def masked_patch_distillation(
    student_logits, teacher_logits, mask, center, *, student_temperature=0.1, teacher_temperature=0.07
) -> jax.Array:
    """iBOT: the teacher's distribution of each hidden patch is predicted by the student that did not see it.

    l_b = mean over the hidden n of H(softmax((t_bn - center) / T_teacher), softmax(s_bn / T_student)).

    student_logits: [B, N, K]. teacher_logits: [B, N, K], no gradient. mask: [B, N] bool, True = hidden.
    center: [K], no gradient.

    Returns: [B]; 0 for an image with nothing hidden.

    Raises: ValueError for other shapes, TypeError for a mask that is not bool.

    Source: iBOT, arXiv:2111.07832.

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
    check_positive(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
    targets = jax.nn.softmax((teacher - center) / teacher_temperature)
    return masked_cross_entropy(jax.nn.log_softmax(student / student_temperature), targets, mask)


def masked_cross_entropy(student_log_probabilities, targets, mask) -> jax.Array:
    """The cross entropy with the targets, averaged over the hidden tokens of each image.

    l_b = -sum_n mask[b, n] sum_k targets[b, n, k] student_log_probabilities[b, n, k] / max(1, sum_n mask[b, n]).

    student_log_probabilities, targets: [B, N, K], no gradient to the targets. mask: [B, N] bool, True = hidden.

    Returns: [B]; 0 for an image with nothing hidden.

    Raises: ValueError for other shapes, TypeError for a mask that is not bool.

    Source: iBOT, arXiv:2111.07832.

    >>> p = jnp.full((1, 2, 4), 0.25)
    >>> print(masked_cross_entropy(jnp.log(p), p, jnp.array([[True, False]])).round(3))
    [1.386]
    """
    student, targets, mask = check(
        student_log_probabilities=(student_log_probabilities, "B N K"),
        targets=(targets, "B N K"),
        mask=(mask, "B N", bool),
    )
    return masked_mean(-jnp.sum(jax.lax.stop_gradient(targets) * student, axis=-1), mask)


def masked_mean(values, mask) -> jax.Array:
    """The mean over the hidden tokens of each image.

    values: [B, N]. mask: [B, N] bool, True = hidden.

    Returns: [B]; 0 (and a zero gradient) for an image with nothing hidden.

    Raises: ValueError for other shapes, TypeError for a mask that is not bool.

    Source: the convention of iBOT, arXiv:2111.07832.

    >>> masked_mean(jnp.array([[2.0, 4.0], [1.0, 1.0]]), jnp.array([[False, True], [False, False]])).tolist()
    [4.0, 0.0]
    """
    values, mask = check(values=(values, "B N"), mask=(mask, "B N", bool))
    return jnp.sum(values, axis=-1, where=mask) / jnp.maximum(jnp.sum(mask, axis=-1), 1)
