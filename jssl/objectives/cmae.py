"""CMAE's and SiT's contrast: a student's vector finds its teacher's among those of the batch."""

import jax

from jssl.arrays.checks import check, check_batch
from jssl.objectives.contrastive import info_nce


def scaled_info_nce(student, teacher, *, temperature=0.2) -> jax.Array:
    """Computes InfoNCE times 2 T, as MoCo v3 scales it: the gradient's size does not follow the temperature.

    l_i = 2 T info_nce(student_i, teacher_i), the negatives being the teacher's vectors of the batch.

    Args:
        student: [B, D].
        teacher: [B, D], no gradient.
        temperature: T.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes, or a batch of one.
    References:
        MoCo v3, arXiv:2104.02057; CMAE, arXiv:2207.13532; SiT, arXiv:2104.03602

    >>> import jax.numpy as jnp
    >>> print(f"{scaled_info_nce(jnp.eye(2), jnp.eye(2), temperature=1.0).mean():.3f}")
    0.627
    """
    student, teacher = check(student=(student, "B D"), teacher=(teacher, "B D"))
    check_batch(2, "negatives", student=student)
    return 2 * temperature * info_nce(student, jax.lax.stop_gradient(teacher), temperature=temperature)
