"""SwAV: each view predicts the balanced prototype assignments of the others; a queue of embeddings helps the
balance.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.distributions import entropy
from jssl.arrays.vectors import similarity, unit
from jssl.objectives.base import Objective, named, value_at
from jssl.objectives.sinkhorn import sinkhorn_knopp


def swapped_prediction(scores, codes, *, temperature=0.1) -> jax.Array:
    """Computes the cross entropy of each view's code with the scores of every other view.

    l_b = -mean over pairs g != v of sum_k codes[g, b, k] log softmax(scores[v, b] / temperature)_k; scores[v]
    and codes[v] are of the same view.

    Args:
        scores: [V, B, K], for SwAV cosines with the prototypes.
        codes: [G, B, K], probabilities of the first G views, no gradient.
        temperature: of the prediction.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes, or where no two views differ.
    References:
        SwAV, arXiv:2006.09882
    Examples:
        >>> scores = jnp.array([[[1.0, -1.0]], [[1.0, -1.0]]])
        >>> print(swapped_prediction(scores, jnp.array([[[1.0, 0.0]]]), temperature=1.0).round(3))
        [0.127]
    """
    scores, codes = check(scores=(scores, "V B K"), codes=(codes, "G B K"))
    check_positive(temperature=temperature)
    views, others = len(scores), len(codes)
    pairs = views * others - min(views, others)
    if not pairs:
        raise ValueError(f"{views} student view and {others} target view make no pair of different views")
    predictions = jax.nn.log_softmax(scores / temperature)
    entropies = -jnp.einsum(
        "gbk,vbk->gvb", jax.lax.stop_gradient(codes), predictions, precision=jax.lax.Precision.HIGHEST
    )
    different = ~jnp.eye(others, views, dtype=bool)
    return jnp.sum(entropies, axis=(0, 1), where=different[..., None]) / pairs


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
    """Makes SwAV's objective: the scores of every view predict the balanced assignments of the other views,
    of which the first `assigned` have one.

    It reads `student[name]` [V, B, K], cosines with the prototypes, the assigned views first. With a queue it
    also reads `student[embeddings]` [V, B, D] and `student[prototypes]` [K, D]; both are normalised here.

    Args:
        name: of the scores.
        embeddings: name of the embeddings that the queue keeps.
        prototypes: name of the prototypes that score the queue.
        assigned: how many views get an assignment.
        temperature: of the predictions, a number or a schedule.
        epsilon: Sinkhorn's temperature, applied to the cosines, a number or a schedule.
        iterations: of Sinkhorn.
        queue: past embeddings kept per assigned view, a multiple of the batch; their scores join the batch's
            in Sinkhorn once the queue is full.
        queue_start: the step from which the queue is filled.
    Returns:
        An `Objective`; memory {"queue": [assigned, queue, D], newest rows first, initially zeros}, or {}
        without a queue; metric assignment_entropy, the mean entropy of the assignments.
    Raises:
        ValueError: for a missing name, other shapes, or a batch that does not divide the queue.
    References:
        SwAV, arXiv:2006.09882
    Examples:
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
        return loss, memory, {"assignment_entropy": jnp.mean(entropy(codes))}

    return Objective(init, apply)


def _assigned_with(past, scores, prototypes, settings):
    """The batch's assignments, balanced together with the queue's as soon as the queue is full."""
    full = jnp.any(past[-1] != 0)
    rows = jnp.concatenate([similarity(past, prototypes), scores])
    counts = jnp.concatenate([jnp.full(len(past), full), jnp.ones(len(scores), bool)])
    return sinkhorn_knopp(rows, **settings, where=counts)[len(past) :]


def _shifted(queue, z):
    """The queue with the batch in front and without the oldest rows."""
    newest = jax.lax.stop_gradient(z).astype(queue.dtype)
    return jnp.concatenate([newest, queue], axis=1)[:, : queue.shape[1]]
