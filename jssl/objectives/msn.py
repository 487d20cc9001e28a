"""MSN, masked siamese networks: an image with hidden patches is assigned to the same prototypes as the whole
image.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import similarity, unit
from jssl.objectives.base import Objective, named, value_at
from jssl.objectives.sinkhorn import sinkhorn_knopp


def masked_siamese(
    anchor, target, prototypes, *, temperature=0.1, sharpening=0.25, sinkhorn: bool = True, entropy_weight=1.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Computes MSN's loss: masked anchors predict the target's sharpened assignment; their mean prediction is
    kept uniform.

    p(z) = softmax(cos(z, prototypes) / temperature); target q ~ p(target)^(1 / sharpening), then balanced by
    Sinkhorn; loss = mean H(q, p(anchor)) + entropy_weight (log K - H(mean p(anchor))).

    Args:
        anchor: [V, B, D].
        target: [B, D], no gradient.
        prototypes: [K, D], which get a gradient through the anchors only.
        temperature: of the softmax over prototypes.
        sharpening: the power 1 / sharpening sharpens the target.
        sinkhorn: whether the targets are balanced.
        entropy_weight: of the mean prediction's entropy.
    Returns:
        (loss, {"cross_entropy", "mean_entropy"}), scalars; mean_entropy is the entropy of the mean
        prediction.
    Raises:
        ValueError: for other shapes, or a batch of one where the targets are balanced.
    References:
        MSN, arXiv:2204.07141
    Examples:
        >>> loss, metrics = masked_siamese(jnp.ones((2, 3, 4)), jnp.ones((3, 4)), jnp.ones((5, 4)))
        >>> print(f"{loss:.3f}", f"{metrics['mean_entropy']:.3f}")
        1.609 1.609
    """
    anchor, target, prototypes = check(
        anchor=(anchor, "V B D"), target=(target, "B D"), prototypes=(prototypes, "K D")
    )
    check_positive(temperature=temperature, sharpening=sharpening)
    prototypes = unit(prototypes)

    def log_probabilities(z, prototypes):
        return jax.nn.log_softmax(similarity(unit(z), prototypes) / temperature)

    of_target = log_probabilities(*jax.lax.stop_gradient((target, prototypes)))
    sharpened = jax.nn.log_softmax(of_target / sharpening)
    targets = sinkhorn_knopp(sharpened, temperature=1.0) if sinkhorn else jnp.exp(sharpened)
    views, batch, features = anchor.shape
    predictions = log_probabilities(anchor.reshape(-1, features), prototypes).reshape(views, batch, -1)
    cross_entropy = -jnp.mean(jnp.sum(targets * predictions, axis=-1))
    log_mean = jax.nn.logsumexp(predictions, axis=(0, 1)) - jnp.log(views * batch)
    mean_entropy = -jnp.sum(jnp.exp(log_mean) * log_mean)
    loss = cross_entropy + entropy_weight * (jnp.log(len(prototypes)) - mean_entropy)
    return loss, {"cross_entropy": cross_entropy, "mean_entropy": mean_entropy}


def masked_siamese_objective(
    name: str = "cls",
    prototypes: str = "prototypes",
    *,
    temperature=0.1,
    sharpening=0.25,
    sinkhorn: bool = True,
    entropy_weight=1.0,
) -> Objective:
    """Makes MSN's objective: every student view is an anchor, the teacher's first view is the target.

    It reads `student[name]` [V, B, D], `target[name]` [G, B, D] and `student[prototypes]` [K, D], which are
    trained through the anchors.

    Args:
        name: of the embeddings.
        prototypes: name of the prototypes.
        temperature: of the softmax over prototypes, a number or a schedule.
        sharpening: the power 1 / sharpening sharpens the target; a number or a schedule.
        sinkhorn: whether the targets are balanced.
        entropy_weight: of the mean prediction's entropy, a number or a schedule.
    Returns:
        An `Objective` without memory; metrics cross_entropy and mean_entropy.
    Raises:
        ValueError: for a missing name, or other shapes.
    References:
        MSN, arXiv:2204.07141
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> student = {"cls": jnp.ones((2, 3, 4)), "prototypes": jnp.ones((5, 4))}
        >>> outputs = Outputs(student, {"cls": jnp.ones((1, 3, 4))})
        >>> print(f"{masked_siamese_objective().apply((), outputs, 0)[0]:.3f}")
        1.609
    """

    def apply(memory, outputs, step):
        loss, metrics = masked_siamese(
            named(outputs.student, name, "student"),
            named(outputs.target, name, "target")[0],
            named(outputs.student, prototypes, "student"),
            temperature=value_at(temperature, step),
            sharpening=value_at(sharpening, step),
            sinkhorn=sinkhorn,
            entropy_weight=value_at(entropy_weight, step),
        )
        return loss, memory, metrics

    return Objective(lambda outputs: (), apply)
