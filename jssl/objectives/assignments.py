"""SwAV's objective: views swap their balanced assignments to prototypes; a queue of embeddings helps the balance."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.vectors import similarity, unit
from jssl.objectives.base import Objective, named, value_at
from jssl.objectives.sinkhorn import sinkhorn_knopp, swapped_prediction


def swapped_assignment(
    name: str = "scores",
    embeddings: str = "projection",
    prototypes: str = "prototypes",
    *,
    assigned: int = 2,
    temperature=0.1,
    epsilon=0.05,
    iterations: int = 3,
    queue: int = 0,
    queue_start: int = 0,
) -> Objective:
    """SwAV: the balanced assignment of each of the first views is predicted from the scores of every other view.

    Reads student[name] [V, B, K], cosines with the prototypes, the assigned views first. With a queue also
    student[embeddings] [V, B, D] and student[prototypes] [K, D]; both are normalised here.

    assigned: how many views get an assignment. epsilon: Sinkhorn's temperature, applied to the cosines. queue: the past
    embeddings kept per assigned view, a multiple of the batch; their scores join the batch's in Sinkhorn. queue_start:
    the step from which it is filled; it is used once full. temperature and epsilon are numbers or schedules.

    Returns: an `Objective`; memory {"queue": [assigned, queue, D], newest first and zeros at first}, or {} without a
        queue; metric assignment_entropy, the mean entropy of the assignments.

    Raises: ValueError for a missing name, other shapes, or a batch that does not divide the queue.

    Source: arXiv:2006.09882.

    >>> from jssl.objectives.base import Outputs
    >>> scores = jnp.broadcast_to(jnp.eye(3), (2, 3, 3))
    >>> objective = swapped_assignment()
    >>> outputs = Outputs({"scores": scores})
    >>> print(f"{objective.apply(objective.init(outputs), outputs, 0)[0]:.4f}")
    0.0001
    """

    def init(outputs):
        if not queue:
            return {}
        z = named(outputs.student, embeddings, "student")
        if queue % z.shape[1]:
            raise ValueError(
                f"queue is {queue}, which the batch of {z.shape[1]} does not divide; choose a multiple"
            )
        return {"queue": jnp.zeros((assigned, queue, z.shape[-1]), jnp.promote_types(z.dtype, jnp.float32))}

    def apply(memory, outputs, step):
        (scores,) = check(scores=(named(outputs.student, name, "student"), "V B K"))
        if len(scores) < assigned:
            raise ValueError(f"scores has shape {scores.shape}, expected at least {assigned} views to assign")
        settings = dict(temperature=value_at(epsilon, step), iterations=iterations)
        if queue:
            z, weights = check(
                embeddings=(named(outputs.student, embeddings, "student")[:assigned], "G B D"),
                prototypes=(named(outputs.student, prototypes, "student"), "K D"),
            )
            codes = [
                _assigned_with(past, own, unit(weights), settings)
                for past, own in zip(memory["queue"], scores, strict=False)
            ]
            memory = {
                "queue": jnp.where(step >= queue_start, _shifted(memory["queue"], unit(z)), memory["queue"])
            }
        else:
            codes = [sinkhorn_knopp(own, **settings) for own in scores[:assigned]]
        codes = jnp.stack(codes)
        loss = jnp.mean(swapped_prediction(scores, codes, temperature=value_at(temperature, step)))
        entropy = jnp.mean(jnp.sum(jax.scipy.special.entr(codes), axis=-1))
        return loss, memory, {"assignment_entropy": entropy}

    return Objective(init, apply)


def _assigned_with(past, scores, prototypes, settings):
    """The batch's assignments, balanced together with the queue's once its oldest row has been written."""
    full = jnp.any(past[-1] != 0)
    rows = jnp.concatenate([similarity(past, prototypes), scores])
    counts = jnp.concatenate([jnp.full(len(past), full), jnp.ones(len(scores), bool)])
    return sinkhorn_knopp(rows, **settings, where=counts)[len(past) :]


def _shifted(queue, z):
    """The queue with the batch in front and the oldest rows gone."""
    newest = jax.lax.stop_gradient(z).astype(queue.dtype)
    return jnp.concatenate([newest, queue], axis=1)[:, : queue.shape[1]]
