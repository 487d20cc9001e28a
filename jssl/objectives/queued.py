"""Objectives that remember a queue: MoCo's negatives, NNCLR's neighbours, ReSSL's relations."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.vectors import cosine, unit
from jssl.objectives.base import Objective, named
from jssl.objectives.contrastive import info_nce
from jssl.objectives.queues import enqueue, nearest_neighbour, relational_consistency


def random_units(rows: int, like: jax.Array, *, seed: int = 0) -> jax.Array:
    """Rows of length 1 in directions drawn uniformly, the same for the same seed: an empty queue or bank.

    rows: N. like: [..., D], whose width and precision the rows have.

    Returns: [N, D], at least float32.

    >>> random_units(3, jnp.zeros((2, 4))).shape
    (3, 4)
    """
    dtype = jnp.promote_types(like.dtype, jnp.float32)
    return unit(jax.random.normal(jax.random.key(seed), (rows, like.shape[-1]), dtype))


def queue_contrast(name: str = "cls", *, size: int = 65536, temperature=0.07, seed: int = 0) -> Objective:
    """MoCo's objective: the first student view finds the teacher's key of the last view among a queue of past keys.

    Reads student[name] [V, B, D], of which view 0 is the query, and teacher[name] [G, B, D], of which view G - 1 is the
    key. The normalised keys enter the queue after the loss. size: a multiple of the batch.

    Returns: an `Objective`; memory {"queue": [size, D], "pointer": []}, at first random unit rows; metric
        positive_similarity, the mean cosine of query and key.

    Raises: ValueError for a missing name, other shapes, or a batch that does not divide the size.

    Source: MoCo, arXiv:1911.05722.

    >>> from jssl.objectives.base import Outputs
    >>> objective, z = queue_contrast(size=8), jnp.ones((2, 4, 3))
    >>> outputs = Outputs({"cls": z}, {"cls": z})
    >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
    >>> int(memory["pointer"]), f"{metrics['positive_similarity']:.3f}"
    (4, '1.000')
    """

    def losses(memory, query, key):
        return info_nce(query, key, memory["queue"], temperature=temperature)

    return _queued(name, size, seed, losses)


def relational(
    name: str = "cls", *, size: int = 131072, student_temperature=0.1, teacher_temperature=0.04, seed: int = 0
) -> Objective:
    """ReSSL's objective: similarities to past keys, the first student view following the teacher's last view.

    Reads student[name] [V, B, D], view 0 (the strongly augmented), and teacher[name] [G, B, D], view G - 1 (the weakly
    augmented). The teacher's normalised embeddings enter the queue after the loss. size: a multiple of the batch.

    Returns: an `Objective`; memory {"queue": [size, D], "pointer": []}, at first random unit rows; metric
        positive_similarity.

    Raises: ValueError for a missing name, other shapes, or a batch that does not divide the size.

    Source: ReSSL, arXiv:2107.09282.

    >>> from jssl.objectives.base import Outputs
    >>> objective, z = relational(size=8), jnp.ones((2, 4, 3))
    >>> outputs = Outputs({"cls": z}, {"cls": z})
    >>> int(objective.apply(objective.init(outputs), outputs, 0)[1]["pointer"])
    4
    """

    def losses(memory, student, teacher):
        temperatures = dict(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
        return relational_consistency(student, teacher, memory["queue"], **temperatures)

    return _queued(name, size, seed, losses)


def neighbour_contrast(
    name: str = "prediction",
    support: str = "projection",
    *,
    size: int = 98304,
    temperature=0.1,
    seed: int = 0,
) -> Objective:
    """NNCLR's objective: the nearest past neighbour of one view's projection finds the other view's prediction.

    Reads student[name] [2, B, D], the predictions, and student[support] [2, B, D], the projections. Both directions are
    averaged; only the predictions get a gradient. View 0's normalised projections enter the queue after the loss.
    size: a multiple of the batch.

    Returns: an `Objective`; memory {"queue": [size, D], "pointer": []}, at first random unit rows; metric
        neighbour_similarity, the mean cosine of a projection and its neighbour.

    Raises: ValueError for a missing name, other shapes, or a batch that does not divide the size.

    Source: NNCLR, arXiv:2104.14548.

    >>> from jssl.objectives.base import Outputs
    >>> objective, z = neighbour_contrast(size=8), jnp.ones((2, 4, 3))
    >>> outputs = Outputs({"prediction": z, "projection": z})
    >>> int(objective.apply(objective.init(outputs), outputs, 0)[1]["pointer"])
    4
    """

    def init(outputs):
        return _empty_queue(size, named(outputs.student, support, "student"), seed)

    def apply(memory, outputs, step):
        predictions, projections = check(
            predictions=(named(outputs.student, name, "student"), "V B D"),
            projections=(named(outputs.student, support, "student"), "V B D"),
        )
        if len(predictions) != 2:
            raise ValueError(f"predictions has shape {predictions.shape}, expected [2, B, D]: two views")
        neighbours = [nearest_neighbour(z, memory["queue"]) for z in projections]
        pairs = zip(neighbours, predictions[::-1], strict=True)
        loss = jnp.mean(jnp.stack([info_nce(*pair, temperature=temperature) for pair in pairs]))
        closeness = jnp.mean(cosine(jax.lax.stop_gradient(projections), jnp.stack(neighbours)))
        return loss, _enqueued(memory, projections[0]), {"neighbour_similarity": closeness}

    return Objective(init, apply)


def _queued(name, size, seed, losses):
    """The objective of losses(memory, student's first view, teacher's last view); the latter is enqueued."""

    def init(outputs):
        return _empty_queue(size, named(outputs.target, name, "target"), seed)

    def apply(memory, outputs, step):
        student, teacher = check(
            student=(named(outputs.student, name, "student"), "V B D"),
            teacher=(named(outputs.target, name, "target"), "G B D"),
        )
        student, teacher = student[0], jax.lax.stop_gradient(teacher[-1])
        loss = jnp.mean(losses(memory, student, teacher))
        closeness = jnp.mean(cosine(jax.lax.stop_gradient(student), teacher))
        return loss, _enqueued(memory, teacher), {"positive_similarity": closeness}

    return Objective(init, apply)


def _empty_queue(size, embeddings, seed):
    batch = embeddings.shape[1]
    if size % batch:
        raise ValueError(
            f"size is {size}, which the batch of {batch} does not divide; choose a multiple of the batch"
        )
    return {"queue": random_units(size, embeddings, seed=seed), "pointer": jnp.zeros((), jnp.int32)}


def _enqueued(memory, embeddings):
    size, batch = len(memory["queue"]), len(embeddings)
    if size % batch:
        raise ValueError(f"the queue's size is {size}, which the batch of {batch} does not divide")
    queue, pointer = enqueue(memory["queue"], memory["pointer"], unit(embeddings))
    return {"queue": queue, "pointer": pointer}
