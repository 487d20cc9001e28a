"""Queues of past embeddings, and what they are used for: negatives, neighbours, relations."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import similarity, unit


def enqueue(queue, pointer, keys) -> tuple[jax.Array, jax.Array]:
    """First in, first out: the keys overwrite the oldest rows of a ring.

    queue: [Q, D]. pointer: scalar integer, the oldest row. keys: [B, D], B <= Q, stored as given, without gradient.

    Returns: (queue [Q, D], pointer), the pointer advanced by B and wrapped.

    Raises: ValueError for other shapes or more keys than the queue holds.

    Source: MoCo, arXiv:1911.05722.

    >>> queue, pointer = enqueue(jnp.zeros((3, 1)), 2, jnp.array([[1.0], [2.0]]))
    >>> queue[:, 0].tolist(), int(pointer)
    ([2.0, 0.0, 1.0], 1)
    """
    queue, pointer, keys = check(queue=(queue, "Q D"), pointer=(pointer, "", int), keys=(keys, "B D"))
    if len(keys) > len(queue):
        raise ValueError(
            f"keys has shape {keys.shape}, more rows than the queue of shape {queue.shape} holds"
        )
    rows = (pointer + jnp.arange(len(keys))) % len(queue)
    queue = queue.at[rows].set(keys.astype(queue.dtype), unique_indices=True)
    return jax.lax.stop_gradient(queue), (pointer + len(keys)) % len(queue)


def nearest_neighbour(z, queue) -> jax.Array:
    """The most similar row of a queue, by cosine: NNCLR's positive.

    z: [B, D]. queue: [Q, D].

    Returns: [B, D], rows of the queue unchanged, without gradient.

    Raises: ValueError for other shapes.

    Source: NNCLR, arXiv:2104.14548.

    >>> nearest_neighbour(jnp.array([[1.0, 0.1]]), jnp.array([[0.0, 2.0], [2.0, 0.0]])).tolist()
    [[2.0, 0.0]]
    """
    z, queue = check(z=(z, "B D"), queue=(queue, "Q D"))
    z, queue = jax.lax.stop_gradient((z, queue))
    return queue[jnp.argmax(similarity(unit(z), unit(queue)), axis=1)]


def relational_consistency(
    student, teacher, queue, *, student_temperature=0.1, teacher_temperature=0.04
) -> jax.Array:
    """ReSSL: the student's similarities to a queue follow the teacher's sharper ones.

    l_b = H(softmax(t_b . queue / teacher_temperature), softmax(s_b . queue / student_temperature)), all normalised.

    student: [B, D]. teacher: [B, D], no gradient. queue: [Q, D], no gradient.

    Returns: [B].

    Raises: ValueError for other shapes.

    Source: arXiv:2107.09282.

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
