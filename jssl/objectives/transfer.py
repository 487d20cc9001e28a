"""Clusters as labels: the clusters of one network's features are the labels of another network.
arXiv:1805.00385
"""

import jax
import jax.numpy as jnp
import optax

from jssl.arrays.checks import check
from jssl.arrays.vectors import random_units
from jssl.objectives.base import Memory, Objective, named
from jssl.objectives.clusters import lloyd, random_rows


def cluster_labels(name: str = "logits", *, examples: int, dim: int = 128, seed: int = 0) -> Objective:
    """Makes an objective that classifies each image as the cluster that it belongs to.

    Args:
        name: of the student's logits [V, B, K].
        examples: images in the data set.
        dim: width of the features in the bank.
        seed: of the random rows that memory starts with.
    Returns:
        An `Objective`; memory {"bank": [examples, dim], "assignment": [examples], "clustered": bool []}. The
        loss is 0 until `clustered_once` has set the assignment. Metric: `accuracy`.
    References:
        arXiv:1805.00385
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> outputs = Outputs({"logits": jnp.zeros((1, 2, 3))}, views={"index": jnp.arange(2)})
        >>> objective = cluster_labels(examples=4, dim=2)
        >>> memory = objective.init(outputs)
        >>> float(objective.apply(memory, outputs, 0)[0])
        0.0
        >>> known = clustered_once(jax.random.key(0), memory, 3)
        >>> round(float(objective.apply(known, outputs, 0)[0]), 3)  # log 3
        1.099
    """

    def init(outputs):
        bank = random_units(examples, jnp.zeros((1, dim), jnp.float32), seed=seed)
        return {
            "bank": bank,
            "assignment": jnp.zeros(examples, jnp.int32),
            "clustered": jnp.zeros((), bool),
        }

    def apply(memory, outputs, step):
        logits, index = check(
            student=(named(outputs.student, name, "student"), "V B K"),
            index=(named(outputs.views, "index", "views"), "B", int),
        )
        labels = jnp.broadcast_to(jnp.asarray(memory["assignment"])[index], logits.shape[:2])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == labels)
        return jnp.where(memory["clustered"], jnp.mean(losses), 0.0), memory, {"accuracy": accuracy}

    return Objective(init, apply)


def remembered_features(memory: Memory, index, rows, *, seed: int = 0) -> Memory:
    """Writes features into the bank after a random projection, which nearly keeps their distances.

    Args:
        memory: as `cluster_labels` has it.
        index: [B], of the rows.
        rows: [B, D].
        seed: of the projection.
    Returns:
        The memory with these rows.
    References:
        arXiv:1805.00385; the projection is our own, by Johnson and Lindenstrauss, 1984
    Examples:
        >>> bank = {"bank": jnp.zeros((3, 2))}
        >>> remembered_features(bank, jnp.array([1]), jnp.ones((1, 5)))["bank"].any(axis=1).tolist()
        [False, True, False]
    """
    dim = memory["bank"].shape[1]
    projection = jax.random.normal(jax.random.key(seed), (rows.shape[1], dim)) / jnp.sqrt(dim)
    return memory | {"bank": memory["bank"].at[index].set(rows.astype(jnp.float32) @ projection)}


def clustered_once(key, memory: Memory, clusters: int, *, iterations: int = 50) -> Memory:
    """Clusters the bank by k-means, if that has not been done yet: later calls keep the labels.

    Args:
        key: draws the rows to start from.
        memory: as `cluster_labels` has it.
        clusters: how many.
        iterations: of k-means.
    Returns:
        The memory with the assignment.
    Raises:
        ValueError: for more clusters than rows.
    References:
        arXiv:1805.00385
    Examples:
        >>> memory = {"bank": jnp.array([[0.0], [9.0]]), "assignment": jnp.zeros(2, jnp.int32)}
        >>> found = clustered_once(jax.random.key(0), memory | {"clustered": jnp.zeros((), bool)}, 2)
        >>> sorted(found["assignment"].tolist())
        [0, 1]
    """

    def found(bank):
        return lloyd(bank, random_rows(key, bank, clusters), iterations=iterations).assignment

    assignment = jax.lax.cond(memory["clustered"], lambda bank: memory["assignment"], found, memory["bank"])
    return memory | {"assignment": assignment.astype(jnp.int32), "clustered": jnp.ones((), bool)}
