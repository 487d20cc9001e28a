"""MoCo: the negatives are a queue of past keys."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.vectors import cosine, random_units, unit
from jssl.objectives.base import Memory, Objective, named
from jssl.objectives.contrastive import info_nce


def enqueue(queue, pointer, keys) -> tuple[jax.Array, jax.Array]:
    """Replaces the oldest rows of a queue by keys: first in, first out.

    Args:
        queue: [Q, D].
        pointer: scalar integer, the oldest row.
        keys: [B, D], B <= Q, stored as given, without gradient.
    Returns:
        (queue [Q, D] of the same dtype, pointer), the pointer advanced by B, modulo Q.
    Raises:
        ValueError: for other shapes, or more keys than the queue holds.
    References:
        MoCo, arXiv:1911.05722
    Examples:
        >>> queue, pointer = enqueue(jnp.zeros((3, 1)), 2, jnp.array([[1.0], [2.0]]))
        >>> queue[:, 0].tolist(), int(pointer)
        ([2.0, 0.0, 1.0], 1)
    """
    stored = jnp.asarray(queue).dtype
    queue, pointer, keys = check(queue=(queue, "Q D"), pointer=(pointer, "", int), keys=(keys, "B D"))
    if len(keys) > len(queue):
        raise ValueError(
            f"keys has shape {keys.shape}, more rows than the queue of shape {queue.shape} holds"
        )
    rows = (pointer + jnp.arange(len(keys))) % len(queue)
    queue = queue.astype(stored).at[rows].set(keys.astype(stored), unique_indices=True)
    return jax.lax.stop_gradient(queue), (pointer + len(keys)) % len(queue)


def queue_contrast(name: str = "cls", *, size: int = 65536, temperature=0.07, seed: int = 0) -> Objective:
    """Makes MoCo's objective: the first student view finds the teacher's key among a queue of past keys.

    It reads `student[name]` [V, B, D], of which view 0 is the query, and `target[name]` [G, B, D], of which
    view G - 1 is the key. The normalised keys enter the queue after the loss.

    Args:
        name: of the outputs compared.
        size: past keys kept, a multiple of the batch.
        temperature: of the softmax.
        seed: of the random unit rows that the queue starts with.
    Returns:
        An `Objective`; memory {"queue": [size, D], "pointer": []}; metric positive_similarity, the mean
        cosine of query and key.
    Raises:
        ValueError: for a missing name, other shapes, or a batch that does not divide the size.
    References:
        MoCo, arXiv:1911.05722
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective, z = queue_contrast(size=8), jnp.ones((2, 4, 3))
        >>> outputs = Outputs({"cls": z}, {"cls": z})
        >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
        >>> int(memory["pointer"]), f"{metrics['positive_similarity']:.3f}"
        (4, '1.000')
    """

    def losses(query, key, queue):
        return info_nce(query, key, queue, temperature=temperature)

    return against_queue(losses, name, size=size, seed=seed)


def against_queue(losses: Callable, name: str, *, size: int, seed: int) -> Objective:
    """Makes an objective that compares the first student view, the teacher's last view and a queue of the
    teacher's past embeddings.

    Args:
        losses: (student [B, D], teacher [B, D], queue [Q, D]) -> [B].
        name: of the outputs compared, `student[name]` [V, B, D] and `target[name]` [G, B, D].
        size: past embeddings kept, a multiple of the batch.
        seed: of the random unit rows that the queue starts with.
    Returns:
        An `Objective`; memory {"queue": [size, D], "pointer": []}; metric positive_similarity, the mean
        cosine of the two views.
    Raises:
        ValueError: for a missing name, other shapes, or a batch that does not divide the size.
    """

    def init(outputs):
        return new_queue(named(outputs.target, name, "target"), size=size, seed=seed)

    def apply(memory, outputs, step):
        student, teacher = check(
            student=(named(outputs.student, name, "student"), "V B D"),
            teacher=(named(outputs.target, name, "target"), "G B D"),
        )
        student, teacher = student[0], jax.lax.stop_gradient(teacher[-1])
        loss = jnp.mean(losses(student, teacher, memory["queue"]))
        closeness = jnp.mean(cosine(jax.lax.stop_gradient(student), teacher))
        return loss, remember(memory, teacher), {"positive_similarity": closeness}

    return Objective(init, apply)


def new_queue(embeddings: jax.Array, *, size: int, seed: int) -> Memory:
    """Makes the initial memory of a queue.

    Args:
        embeddings: [V, B, D], an example of what enters it.
        size: embeddings kept, a multiple of the batch.
        seed: of the random unit rows that it starts with.
    Returns:
        {"queue": [size, D], "pointer": []}.
    Raises:
        ValueError: for a batch that does not divide the size.
    """
    batch = embeddings.shape[1]
    if size % batch:
        raise ValueError(
            f"size is {size}, which the batch of {batch} does not divide; choose a multiple of the batch"
        )
    return {"queue": random_units(size, embeddings, seed=seed), "pointer": jnp.zeros((), jnp.int32)}


def remember(memory: Memory, embeddings: jax.Array) -> Memory:
    """Writes a batch's normalised embeddings into a queue.

    Args:
        memory: {"queue": [Q, D], "pointer": []}.
        embeddings: [B, D].
    Returns:
        The memory with the new queue and pointer.
    Raises:
        ValueError: for a batch that does not divide the queue's size.
    """
    size, batch = len(memory["queue"]), len(embeddings)
    if size % batch:
        raise ValueError(f"the queue's size is {size}, which the batch of {batch} does not divide")
    queue, pointer = enqueue(memory["queue"], memory["pointer"], unit(embeddings))
    return {"queue": queue, "pointer": pointer}
