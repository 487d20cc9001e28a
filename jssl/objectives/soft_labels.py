"""Soft labels: a student predicts another network's distribution over classes."""

import jax
import optax

from jssl.arrays.checks import check, check_positive


def soft_cross_entropy(student_logits, teacher_logits, *, temperature=1.0) -> jax.Array:
    """Computes the loss of distillation: the cross-entropy with a teacher's softened class probabilities.

    l_b = T^2 H(softmax(t_b / T), softmax(s_b / T))

    Args:
        student_logits: [B, K].
        teacher_logits: [B, K], no gradient.
        temperature: T; the factor T^2 keeps the size of the gradient.
    Returns:
        [B]; T^2 times the entropy of the teacher if both agree.
    Raises:
        ValueError: for other shapes.
    References:
        SimCLR v2, arXiv:2006.10029; distillation, arXiv:1503.02531
    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{soft_cross_entropy(jnp.zeros((1, 2)), jnp.zeros((1, 2)), temperature=2.0)[0]:.3f}")
        2.773
    """
    student, teacher = check(student_logits=(student_logits, "B K"), teacher_logits=(teacher_logits, "B K"))
    check_positive(temperature=temperature)
    target = jax.lax.stop_gradient(jax.nn.softmax(teacher / temperature))
    return temperature**2 * optax.softmax_cross_entropy(student / temperature, target)
