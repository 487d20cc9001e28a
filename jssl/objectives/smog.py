"""SMoG: images are classified by groups, whose centers move with every batch."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.distributions import entropy
from jssl.arrays.vectors import random_units, similarity, unit
from jssl.objectives.base import Memory, Objective, named
from jssl.objectives.clusters import assigned_cross_entropy, kmeans
from jssl.objectives.moco import enqueue


def nearest_group(z, groups) -> jax.Array:
    """Finds the most similar group, by cosine.

    Args:
        z: [B, D].
        groups: [G, D].
    Returns:
        [B] int32, without gradient.
    Raises:
        ValueError: for other shapes.
    References:
        SMoG, arXiv:2207.06167
    Examples:
        >>> nearest_group(jnp.array([[1.0, 0.1]]), jnp.array([[0.0, 2.0], [2.0, 0.0]])).tolist()
        [1]
    """
    z, groups = check(z=(z, "B D"), groups=(groups, "G D"))
    return jnp.argmax(jax.lax.stop_gradient(similarity(unit(z), unit(groups))), axis=1).astype(jnp.int32)


def moved_groups(groups, z, assignment, *, momentum=0.99) -> jax.Array:
    """Moves groups towards the mean of their members: momentum g + (1 - momentum) mean, in one step.

    Gradients reach the members; a group without members stays as it is.

    Args:
        groups: [G, D].
        z: [B, D], not normalised.
        assignment: [B] integers, each row's group.
        momentum: from 0 (groups become the mean) to 1 (groups stay).
    Returns:
        [G, D].
    Raises:
        ValueError: for other shapes.
        TypeError: for ids that are not integers.
    References:
        SMoG, arXiv:2207.06167
    Examples:
        >>> groups, z = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[3.0, 0.0]])
        >>> moved_groups(groups, z, jnp.array([0]), momentum=0.5).tolist()
        [[2.0, 0.0], [0.0, 1.0]]
    """
    groups, z, assignment = check(groups=(groups, "G D"), z=(z, "B D"), assignment=(assignment, "B", int))
    members = jax.ops.segment_sum(jnp.ones(len(z), z.dtype), assignment, len(groups))[:, None]
    means = jax.ops.segment_sum(z, assignment, len(groups)) / jnp.maximum(members, 1)
    return jnp.where(members > 0, momentum * groups + (1 - momentum) * means, groups)


def momentum_grouping(
    name: str = "prediction",
    projection: str = "projection",
    *,
    groups: int = 300,
    momentum=0.99,
    temperature=0.1,
    recent: int = 10000,
    seed: int = 0,
) -> Objective:
    """Makes SMoG's objective: a prediction finds the group of its image's other view, among groups moved in
    the same step.

    It reads `student[name]` and `student[projection]` [V, B, D], of which view 0 counts, and
    `target[projection]` [G, B, D], of which the last view counts. First, the teacher's view is assigned to a
    group. Then the groups move towards the student's projections, each of which counts for its nearest group.
    Then the prediction is compared with the moved groups, through which the projections get a gradient too.

    Args:
        name: of the predictions.
        projection: of the projections.
        groups: how many.
        momentum: of the groups.
        temperature: of the softmax.
        recent: past projections kept for `regroup`, at least a batch.
        seed: of the random unit rows that groups and past projections start with.
    Returns:
        An `Objective`; memory {"groups": [groups, D], "queue": [recent, D], "pointer": []}; metrics accuracy,
        how often the group is found, and groups_used, the exponential of the entropy of the batch's groups.
    Raises:
        ValueError: for a missing name, other shapes, or a batch larger than `recent`.
    References:
        SMoG, arXiv:2207.06167
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> objective, z = momentum_grouping(groups=2, recent=4), jnp.eye(2)[None]
        >>> outputs = Outputs({"prediction": z, "projection": z}, {"projection": z})
        >>> memory = objective.init(outputs) | {"groups": jnp.eye(2)}
        >>> print(f"{objective.apply(memory, outputs, 0)[0]:.5f}")
        0.00005
    """

    def init(outputs):
        like = named(outputs.student, projection, "student")
        rows = random_units(groups + recent, like, seed=seed)
        return {"groups": rows[:groups], "queue": rows[groups:], "pointer": jnp.zeros((), jnp.int32)}

    def apply(memory, outputs, step):
        predicted, z, taught = check(
            prediction=(named(outputs.student, name, "student")[0], "B D"),
            projection=(named(outputs.student, projection, "student")[0], "B D"),
            target=(named(outputs.target, projection, "target")[-1], "B D"),
        )
        old = jnp.asarray(memory["groups"])
        wanted = nearest_group(taught, old)
        moved = moved_groups(old, z, nearest_group(z, old), momentum=momentum)
        losses = assigned_cross_entropy(predicted, wanted, moved, temperature=temperature)
        queue, pointer = enqueue(memory["queue"], memory["pointer"], unit(z))
        shares = jnp.zeros(groups, losses.dtype).at[wanted].add(1 / len(wanted))
        metrics = {
            "accuracy": jnp.mean(nearest_group(predicted, moved) == wanted),
            "groups_used": jnp.exp(entropy(shares)),
        }
        moved = jax.lax.stop_gradient(moved)
        return jnp.mean(losses), {"groups": moved, "queue": queue, "pointer": pointer}, metrics

    return Objective(init, apply)


def regroup(key, memory: Memory, *, iterations: int = 10) -> Memory:
    """Replaces the groups of `momentum_grouping` by clusters of recent projections, found by spherical
    k-means.

    lightly clusters projections of any length by plain k-means and normalises the centroids.

    Args:
        key: draws where k-means starts.
        memory: the memory of `momentum_grouping`.
        iterations: of k-means.
    Returns:
        The memory with new groups of length 1. The function is pure, with static shapes.
    Raises:
        ValueError: for more groups than projections kept.
    References:
        SMoG, arXiv:2207.06167, table 7b
    Examples:
        >>> memory = {"groups": jnp.ones((2, 2)), "queue": jnp.eye(2), "pointer": jnp.array(0)}
        >>> sorted(regroup(jax.random.key(0), memory)["groups"].tolist())
        [[0.0, 1.0], [1.0, 0.0]]
    """
    found = kmeans(key, memory["queue"], len(memory["groups"]), iterations=iterations, spherical=True)
    return memory | {"groups": found.centroids}
