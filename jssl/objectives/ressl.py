"""ReSSL: a student predicts its teacher's similarities to past embeddings."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import similarity, unit
from jssl.objectives.base import Objective
from jssl.objectives.moco import against_queue


def relational_consistency(
    student, teacher, queue, *, student_temperature=0.1, teacher_temperature=0.04
) -> jax.Array:
    """Computes ReSSL's loss: the cross entropy of the student's similarities to a queue with the teacher's
    sharper ones.

    l_b = H(softmax(t_b . queue / teacher_temperature), softmax(s_b . queue / student_temperature)), all
    normalised.

    Args:
        student: [B, D].
        teacher: [B, D], no gradient.
        queue: [Q, D], no gradient.
        student_temperature: of the student's softmax.
        teacher_temperature: of the teacher's softmax.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes.
    References:
        ReSSL, arXiv:2107.09282
    Examples:
        >>> loss = relational_consistency(jnp.eye(2), jnp.eye(2), jnp.eye(2), student_temperature=1.0)
        >>> print(f"{loss.mean():.3f}")
        0.313
    """
    student, teacher, queue = check(student=(student, "B D"), teacher=(teacher, "B D"), queue=(queue, "Q D"))
    check_positive(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
    teacher, queue = jax.lax.stop_gradient((unit(teacher), unit(queue)))
    targets = jax.nn.softmax(similarity(teacher, queue) / teacher_temperature)
    predictions = jax.nn.log_softmax(similarity(unit(student), queue) / student_temperature)
    return -jnp.sum(targets * predictions, axis=1)


def relational(
    name: str = "cls", *, size: int = 131072, student_temperature=0.1, teacher_temperature=0.04, seed: int = 0
) -> Objective:
    """Makes ReSSL's objective: the first student view predicts the similarities of the teacher's last view to
    past keys.

    It reads `student[name]` [V, B, D], view 0 (the strongly augmented one), and `target[name]` [G, B, D],
    view G - 1 (the weakly augmented one). The teacher's normalised embeddings enter the queue after the loss.

    Args:
        name: of the outputs compared.
        size: past embeddings kept, a multiple of the batch.
        student_temperature: of the student's softmax.
        teacher_temperature: of the teacher's softmax.
        seed: of the random unit rows that the queue starts with.
    Returns:
        An `Objective`; memory {"queue": [size, D], "pointer": []}; metric positive_similarity, the mean
        cosine of the two views.
    Raises:
        ValueError: for a missing name, other shapes, or a batch that does not divide the size.
    References:
        ReSSL, arXiv:2107.09282
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective, z = relational(size=8), jnp.ones((2, 4, 3))
        >>> outputs = Outputs({"cls": z}, {"cls": z})
        >>> int(objective.apply(objective.init(outputs), outputs, 0)[1]["pointer"])
        4
    """

    def losses(student, teacher, queue):
        temperatures = dict(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
        return relational_consistency(student, teacher, queue, **temperatures)

    return against_queue(losses, name, size=size, seed=seed)
