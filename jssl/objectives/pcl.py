"""PCL, prototypical contrast: an image finds the prototype of its cluster, with a temperature in proportion
to the cluster's concentration.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import random_units, rows_at, similarity, unit
from jssl.objectives.base import Memory, Objective, named
from jssl.objectives.clusters import concentration, kmeans, random_rows, spread_rows

SPREAD = 1000  # up to so many clusters, k-means starts from `spread_rows`


def proto_nce(z, assignment, prototypes, density, negatives, *, temperature=0.2) -> jax.Array:
    """Computes ProtoNCE of one clustering: each example finds its own prototype among those of the batch and
    some negatives.

    l_b = cross entropy of the logits z_b . c / (temperature density_c) with candidate b, all normalised;
    candidates: prototypes[assignment] of the whole batch in order, then prototypes[negatives].

    Args:
        z: [B, D], the only array with a gradient.
        assignment: [B] integers, each example's prototype.
        prototypes: [K, D].
        density: [K], above 0, of mean 1.
        negatives: [R] integers, prototypes of no example of the batch; R may be 0.
        temperature: of the softmax.
    Returns:
        [B]; nan for ids that are not those of prototypes.
    Raises:
        ValueError: for other shapes, or if there is only one candidate.
        TypeError: for ids that are not integers.
    References:
        PCL, arXiv:2005.04966
    Examples:
        >>> own, negatives = jnp.array([0]), jnp.array([1, 2])
        >>> loss = proto_nce(jnp.eye(3)[:1], own, jnp.eye(3), jnp.ones(3), negatives, temperature=1.0)
        >>> print(loss.round(3))
        [0.551]
    """
    z, assignment, prototypes, density = check(
        z=(z, "B D"),
        assignment=(assignment, "B", int),
        prototypes=(prototypes, "K D"),
        density=(density, "K"),
    )
    check_positive(temperature=temperature)
    negatives = jnp.asarray(negatives)
    if negatives.ndim != 1 or not jnp.issubdtype(negatives.dtype, jnp.integer) and negatives.size:
        raise ValueError(
            f"negatives has shape {negatives.shape}, dtype {negatives.dtype}, expected [R] integers"
        )
    candidates = jnp.concatenate([assignment.astype(int), negatives.astype(int)])
    if len(candidates) < 2:
        raise ValueError(
            f"z has shape {z.shape}, expected a batch of at least 2 where there are no negatives"
        )
    chosen = rows_at(unit(prototypes), candidates), rows_at(density, candidates)
    prototypes, density = jax.lax.stop_gradient(chosen)
    logits = similarity(unit(z), prototypes) / (temperature * density)
    return jax.nn.logsumexp(logits, axis=1) - jnp.diagonal(logits)


def prototype_contrast(
    name: str = "cls",
    *,
    examples: int,
    clusters: tuple[int, ...] = (25000, 50000, 100000),
    negatives: int = 16384,
    temperature=0.2,
    seed: int = 0,
) -> Objective:
    """Makes PCL's prototype term: ProtoNCE averaged over several clusterings of a bank of all images.

    It reads `student[name]` [V, B, D], of which view 0 counts, `target[name]` [G, B, D] and `views["index"]`
    [B], ids below `examples`. After the loss, the last view of the target is written, normalised, to the
    bank. The loss is 0 until the caller has clustered the bank by `refresh`, once per epoch. PCL adds
    `queue_contrast`.

    Args:
        name: of the embeddings.
        examples: images in the data set.
        clusters: the sizes of the clusterings.
        negatives: the most prototypes drawn as negatives; never more than clusters - B, so that none belongs
            to an example of the batch.
        temperature: of the softmax.
        seed: of the bank's first rows and of the negatives, which also depend on the step.
    Returns:
        An `Objective`; memory {"bank": [examples, D], "clusterings": one {"assignment": [examples],
        "prototypes": [K, D], "density": [K]} per size, "clustered": bool []}; metric accuracy, how often an
        example's own prototype is the nearest.
    Raises:
        ValueError: for a missing name, no index, or other shapes. An index outside the bank reads its last
            row.
    References:
        PCL, arXiv:2005.04966
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective = prototype_contrast(examples=8, clusters=(3, 4))
        >>> z = jax.random.normal(jax.random.key(0), (2, 2, 5))
        >>> outputs = Outputs({"cls": z}, {"cls": z}, views={"index": jnp.array([3, 0])})
        >>> memory = objective.init(outputs)
        >>> float(objective.apply(memory, outputs, 0)[0])
        0.0
        >>> float(objective.apply(refresh(jax.random.key(1), memory), outputs, 0)[0]) > 0
        True
    """

    def init(outputs):
        like = named(outputs.target, name, "target")
        clusterings = [
            {
                "assignment": jnp.zeros(examples, jnp.int32),
                "prototypes": random_units(size, like, seed=seed),
                "density": jnp.ones(size, jnp.promote_types(like.dtype, jnp.float32)),
            }
            for size in clusters
        ]
        bank = random_units(examples, like, seed=seed)
        return {"bank": bank, "clusterings": clusterings, "clustered": jnp.zeros((), bool)}

    def apply(memory, outputs, step):
        student, teacher, index = check(
            student=(named(outputs.student, name, "student")[0], "B D"),
            teacher=(named(outputs.target, name, "target")[-1], "B D"),
            index=(named(outputs.views, "index", "views"), "B", int),
        )
        losses, hits = [], []
        for i, clustering in enumerate(memory["clusterings"]):
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), i), step)
            own, prototypes = jnp.asarray(clustering["assignment"])[index], clustering["prototypes"]
            others = _nobodys(key, own, len(prototypes), negatives)
            arguments = student, own, prototypes, clustering["density"], others
            losses.append(jnp.mean(proto_nce(*arguments, temperature=temperature)))
            hits.append(jnp.mean(jnp.argmax(similarity(student, unit(prototypes)), axis=1) == own))
        loss = jnp.where(memory["clustered"], jnp.mean(jnp.stack(losses)), 0.0)
        return loss, remember(memory, index, teacher), {"accuracy": jnp.mean(jnp.stack(hits))}

    return Objective(init, apply)


def _nobodys(key, own, prototypes, most):
    """Draws up to `most` ids of prototypes that are not among `own`."""
    count = max(0, min(most, prototypes - len(own)))
    luck = jax.random.uniform(key, (prototypes,)).at[own].set(-1.0)
    return jax.lax.top_k(luck, count)[1]


def remember(memory: Memory, index, z) -> Memory:
    """Writes embeddings into the bank of `prototype_contrast`.

    Args:
        memory: as prototype_contrast has it.
        index: [B] integers, of the images.
        z: [B, D].
    Returns:
        The memory with these rows, scaled to length 1.
    References:
        PCL, arXiv:2005.04966
    Examples:
        >>> memory = remember({"bank": jnp.zeros((3, 2))}, jnp.array([2]), jnp.array([[3.0, 4.0]]))
        >>> [round(float(x), 3) for x in memory["bank"][2]]
        [0.6, 0.8]
    """
    rows = jax.lax.stop_gradient(unit(z)).astype(memory["bank"].dtype)
    return memory | {"bank": jnp.asarray(memory["bank"]).at[index].set(rows)}


def refresh(key, memory: Memory, *, iterations: int = 20, restarts: int = 5) -> Memory:
    """Clusters the bank of `prototype_contrast` anew. It is pure, with static shapes, so that it can be
    jitted.

    For more than a thousand clusters k-means starts from random rows, as the authors' always does.

    Args:
        key: draws where each clustering starts.
        memory: as prototype_contrast has it.
        iterations: of k-means.
        restarts: of k-means.
    Returns:
        The memory with new assignments, prototypes and densities, and `clustered` True. The prototypes are
        centroids scaled to length 1.
    Raises:
        ValueError: for more clusters than the bank has rows.
    References:
        PCL, arXiv:2005.04966
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> outputs = Outputs({}, {"cls": jnp.zeros((1, 2, 5))})
        >>> memory = prototype_contrast(examples=8, clusters=(3,)).init(outputs)
        >>> bool(refresh(jax.random.key(1), memory)["clustered"])
        True
    """
    clusterings = []
    for i, old in enumerate(memory["clusterings"]):
        size = len(old["prototypes"])
        first_rows = spread_rows if size <= SPREAD else random_rows
        found = kmeans(
            jax.random.fold_in(key, i),
            memory["bank"],
            size,
            iterations=iterations,
            restarts=restarts,
            first_rows=first_rows,
        )
        density = concentration(found.distance, found.assignment, size)
        new = {"assignment": found.assignment, "prototypes": unit(found.centroids), "density": density}
        clusterings.append(new)
    return memory | {"clusterings": clusterings, "clustered": jnp.ones((), bool)}
