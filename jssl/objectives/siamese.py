"""Masked Siamese Networks: an image with patches hidden is assigned to the prototypes of the whole image."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import similarity, unit
from jssl.objectives.base import Objective, named, value_at
from jssl.objectives.sinkhorn import sinkhorn_knopp


def masked_siamese(
    anchor, target, prototypes, *, temperature=0.1, sharpening=0.25, sinkhorn: bool = True, entropy_weight=1.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """MSN: masked anchors predict the target's sharpened assignment, and on average use every prototype.

    p(z) = softmax(cos(z, prototypes) / temperature); target q ~ p(target)^(1 / sharpening), then balanced by Sinkhorn;
    loss = mean H(q, p(anchor)) + entropy_weight (log K - H(mean p(anchor))).

    anchor: [V, B, D]. target: [B, D], no gradient. prototypes: [K, D], gradient through the anchors only.

    Returns: (loss, {"cross_entropy", "mean_entropy"}), scalars; mean_entropy: the entropy of the mean prediction.

    Raises: ValueError for other shapes.

    Source: arXiv:2204.07141.

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

    sharpened = jax.nn.log_softmax(
        log_probabilities(*jax.lax.stop_gradient((target, prototypes))) / sharpening
    )
    targets = sinkhorn_knopp(sharpened, temperature=1.0) if sinkhorn else jnp.exp(sharpened)
    predictions = log_probabilities(anchor.reshape(-1, anchor.shape[-1]), prototypes).reshape(
        *anchor.shape[:2], -1
    )
    cross_entropy = -jnp.mean(jnp.sum(targets * predictions, axis=-1))
    log_mean = jax.nn.logsumexp(predictions, axis=(0, 1)) - jnp.log(
        predictions.shape[0] * predictions.shape[1]
    )
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
    """MSN's objective over a method's outputs.

    Reads student[name] [V, B, D], every view an anchor, teacher[name] [G, B, D], of which view 0 is the target, and
    student[prototypes] [K, D], trained through the anchors. Hyper-parameters are numbers or schedules.

    Returns: an `Objective` without memory; metrics cross_entropy and mean_entropy.

    Raises: ValueError for a missing name or other shapes.

    Source: MSN, arXiv:2204.07141.

    >>> from jssl.objectives.base import Outputs
    >>> outputs = Outputs({"cls": jnp.ones((2, 3, 4)), "prototypes": jnp.ones((5, 4))}, {"cls": jnp.ones((1, 3, 4))})
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
