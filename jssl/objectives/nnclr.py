"""NNCLR: the positive of an image is its nearest neighbour among past embeddings."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.vectors import cosine, similarity, unit
from jssl.objectives.base import Objective, named
from jssl.objectives.contrastive import info_nce
from jssl.objectives.moco import new_queue, remember


def nearest_neighbour(z, queue) -> jax.Array:
    """Finds the most similar row of a queue, by cosine.

    Args:
        z: [B, D].
        queue: [Q, D].
    Returns:
        [B, D], rows of the queue unchanged, without gradient.
    Raises:
        ValueError: for other shapes.
    References:
        NNCLR, arXiv:2104.14548
    Examples:
        >>> nearest_neighbour(jnp.array([[1.0, 0.1]]), jnp.array([[0.0, 2.0], [2.0, 0.0]])).tolist()
        [[2.0, 0.0]]
    """
    stored = jnp.asarray(queue).dtype
    z, queue = check(z=(z, "B D"), queue=(queue, "Q D"))
    z, queue = jax.lax.stop_gradient((z, queue))
    return queue[jnp.argmax(similarity(unit(z), unit(queue)), axis=1)].astype(stored)


def neighbour_contrast(
    name: str = "prediction",
    support: str = "projection",
    *,
    size: int = 98304,
    temperature=0.1,
    seed: int = 0,
) -> Objective:
    """Makes NNCLR's objective: the past embedding nearest to one view's projection is contrasted with the
    other view's prediction.

    It reads `student[name]` [2, B, D], the predictions, and `student[support]` [2, B, D], the projections.
    Both directions are averaged; only the predictions get a gradient. View 0's normalised projections enter
    the queue after the loss.

    Args:
        name: of the predictions.
        support: of the projections.
        size: past projections kept, a multiple of the batch.
        temperature: of the softmax.
        seed: of the random unit rows that the queue starts with.
    Returns:
        An `Objective`; memory {"queue": [size, D], "pointer": []}; metric neighbour_similarity, the mean
        cosine of a projection and its neighbour.
    Raises:
        ValueError: for a missing name, other shapes, or a batch that does not divide the size.
    References:
        NNCLR, arXiv:2104.14548
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective, z = neighbour_contrast(size=8), jnp.ones((2, 4, 3))
        >>> outputs = Outputs({"prediction": z, "projection": z})
        >>> int(objective.apply(objective.init(outputs), outputs, 0)[1]["pointer"])
        4
    """

    def init(outputs):
        return new_queue(named(outputs.student, support, "student"), size=size, seed=seed)

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
        return loss, remember(memory, projections[0]), {"neighbour_similarity": closeness}

    return Objective(init, apply)
