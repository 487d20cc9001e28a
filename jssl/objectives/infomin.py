"""InfoMin: a contrastive loss for an image as a whole and for its tiles, with one queue of keys."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.objectives.base import Objective, named
from jssl.objectives.contrastive import info_nce
from jssl.objectives.moco import queue_contrast


def tile_contrast(
    name: str = "cls",
    tiles: str = "tiles",
    *,
    size: int = 65536,
    temperature=0.15,
    weight: float = 0.5,
    seed: int = 0,
) -> Objective:
    """Makes InfoMin's objective: (1 - weight) times MoCo's loss + weight times that of the image's tiles,
    with one queue.

    It reads student[name] and `student[tiles]` [V, B, D], of which view 0 counts, and `target[name]` [G, B,
    D], of which view G - 1 is the key of both. The keys enter the queue after the loss.

    Args:
        name: the name of the outputs compared.
        tiles: the name of the embedding of an image's tiles.
        size: past keys kept, a multiple of the batch.
        temperature: of the softmax.
        weight: of the tiles' loss.
        seed: of the random unit rows that the queue starts with.
    Returns:
        An `Objective`; memory and metrics as `queue_contrast`, and the metric tiles, their loss.
    Raises:
        ValueError: for a missing name, other shapes, or a batch that does not divide the size.
    References:
        InfoMin, arXiv:2005.10243
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective, z = tile_contrast(size=8), jnp.ones((1, 4, 3))
        >>> outputs = Outputs({"cls": z, "tiles": z}, {"cls": z})
        >>> loss, memory, metrics = objective.apply(objective.init(outputs), outputs, 0)
        >>> bool(loss == metrics["tiles"])  # here both embeddings are the same
        True
    """
    whole = queue_contrast(name, size=size, temperature=temperature, seed=seed)

    def apply(memory, outputs, step):
        loss, after, metrics = whole.apply(memory, outputs, step)
        query, key = check(
            query=(named(outputs.student, tiles, "student")[0], "B D"),
            key=(named(outputs.target, name, "target")[-1], "B D"),
        )
        key = jax.lax.stop_gradient(key)
        cut = jnp.mean(info_nce(query, key, memory["queue"], temperature=temperature))
        return (1 - weight) * loss + weight * cut, after, metrics | {"tiles": cut}

    return Objective(whole.init, apply)
