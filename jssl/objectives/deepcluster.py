"""DeepCluster v2: every crop of an image predicts the cluster that was assigned to the image before the
epoch.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.vectors import random_units, unit
from jssl.objectives.base import Memory, Objective, named
from jssl.objectives.clusters import assigned_cross_entropy, lloyd, random_rows


def cluster_classification(
    name: str = "cls",
    *,
    examples: int,
    clusters: tuple[int, ...] = (3000, 3000, 3000),
    assigned: int = 2,
    temperature=0.1,
    seed: int = 0,
) -> Objective:
    """Makes DeepCluster v2's objective: all views are classified by their image's clusters.

    It reads `student[name]` [V, B, D] and `views["index"]` [B], ids below `examples`. After the loss, each of
    the first views is written, normalised, to a bank of its own. The loss is 0 until the caller has clustered
    the banks by `recluster`, after every epoch; so the first epoch only fills them.

    Args:
        name: of the embeddings.
        examples: images in the data set.
        clusters: the sizes of the clusterings; clustering i is one of bank i mod `assigned`.
        assigned: how many views have a bank.
        temperature: of the softmax.
        seed: of the random unit rows that the banks start with.
    Returns:
        An `Objective`; memory {"bank": [assigned, examples, D], "clusterings": one {"assignment": [examples],
        "prototypes": [K, D]} per size, "clustered": bool []}; metric accuracy, how often an example's own
        prototype is the nearest.
    Raises:
        ValueError: for a missing name, no index, other shapes, or fewer views than banks.
    References:
        DeepCluster v2, arXiv:2006.09882, appendix
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective = cluster_classification(examples=8, clusters=(3, 4))
        >>> z = jax.random.normal(jax.random.key(0), (2, 2, 5))
        >>> outputs = Outputs({"cls": z}, views={"index": jnp.arange(2)})
        >>> memory = objective.init(outputs)
        >>> float(objective.apply(memory, outputs, 0)[0])
        0.0
        >>> float(objective.apply(recluster(jax.random.key(1), memory), outputs, 0)[0]) > 0
        True
    """

    def init(outputs):
        like = named(outputs.student, name, "student")
        banks = [random_units(examples, like, seed=seed + i) for i in range(assigned)]
        clusterings = [
            {"assignment": jnp.zeros(examples, jnp.int32), "prototypes": random_units(size, like, seed=seed)}
            for size in clusters
        ]
        return {"bank": jnp.stack(banks), "clusterings": clusterings, "clustered": jnp.zeros((), bool)}

    def apply(memory, outputs, step):
        z, index = check(
            student=(named(outputs.student, name, "student"), "V B D"),
            index=(named(outputs.views, "index", "views"), "B", int),
        )
        if len(z) < assigned:
            raise ValueError(f"student[{name!r}] has shape {z.shape}, expected {assigned} views to remember")
        losses, hits, flat = [], [], z.reshape(-1, z.shape[-1])
        for clustering in memory["clusterings"]:
            own = jnp.tile(jnp.asarray(clustering["assignment"])[index], len(z))
            prototypes = jax.lax.stop_gradient(clustering["prototypes"])
            losses.append(jnp.mean(assigned_cross_entropy(flat, own, prototypes, temperature=temperature)))
            hits.append(jnp.mean(jnp.argmax(flat @ prototypes.T, axis=1) == own))
        loss = jnp.where(memory["clustered"], jnp.mean(jnp.stack(losses)), 0.0)
        rows = jax.lax.stop_gradient(unit(z[:assigned])).astype(memory["bank"].dtype)
        bank = jnp.asarray(memory["bank"]).at[:, index].set(rows)
        return loss, memory | {"bank": bank}, {"accuracy": jnp.mean(jnp.stack(hits))}

    return Objective(init, apply)


def recluster(key, memory: Memory, *, iterations: int = 10) -> Memory:
    """Clusters the banks of `cluster_classification` anew, by spherical k-means from random rows.

    Args:
        key: draws where each clustering starts.
        memory: the memory of `cluster_classification`.
        iterations: of k-means.
    Returns:
        The memory with new assignments and prototypes, and `clustered` True. The function is pure, with
        static shapes.
    Raises:
        ValueError: for more clusters than a bank has rows.
    References:
        DeepCluster v2, arXiv:2006.09882, appendix
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> outputs = Outputs({"cls": jnp.zeros((2, 2, 5))})
        >>> memory = cluster_classification(examples=8, clusters=(3,)).init(outputs)
        >>> bool(recluster(jax.random.key(1), memory)["clustered"])
        True
    """
    clusterings = []
    for i, old in enumerate(memory["clusterings"]):
        bank = memory["bank"][i % len(memory["bank"])]
        start = random_rows(jax.random.fold_in(key, i), bank, len(old["prototypes"]))
        found = lloyd(bank, start, iterations=iterations, spherical=True)
        clusterings.append({"assignment": found.assignment, "prototypes": found.centroids})
    return memory | {"clusterings": clusterings, "clustered": jnp.ones((), bool)}
