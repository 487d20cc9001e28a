"""Prototypical contrast: an embedding is told from other clusters' prototypes, each as concentrated as its cluster."""

import jax
import jax.numpy as jnp

from jssl.objectives.checks import check, check_positive
from jssl.objectives.cosine import similarity, unit


def proto_nce(z, assignment, prototypes, density, negatives, *, temperature=0.2) -> jax.Array:
    """ProtoNCE of one clustering: the own prototype is found among the batch's and some others.

    l_b = cross entropy of the logits z_b . c / (temperature density_c) with candidate b, all normalised; the candidates:
    prototypes[assignment] of the whole batch in order, then prototypes[negatives].

    z: [B, D]. assignment: [B] integers, each example's prototype. prototypes: [K, D]. density: [K], positive, of mean 1.
    negatives: [R] integers, prototypes that are nobody's own; R may be 0. Gradient to z only.

    Returns: [B].

    Raises: ValueError for other shapes, TypeError for ids that are no integers.

    Source: PCL, arXiv:2005.04966.

    >>> loss = proto_nce(jnp.eye(3)[:1], jnp.array([0]), jnp.eye(3), jnp.ones(3), jnp.array([1, 2]), temperature=1.0)
    >>> print(loss.round(3))
    [0.551]
    """
    z, assignment, prototypes, density = check(
        z=(z, "B D"), assignment=(assignment, "B", int), prototypes=(prototypes, "K D"), density=(density, "K")
    )
    check_positive(temperature=temperature)
    negatives = jnp.asarray(negatives)
    if negatives.ndim != 1 or not jnp.issubdtype(negatives.dtype, jnp.integer) and negatives.size:
        raise ValueError(f"negatives has shape {negatives.shape}, dtype {negatives.dtype}, expected [R] integers")
    candidates = jnp.concatenate([assignment, negatives.astype(assignment.dtype)])
    prototypes, density = jax.lax.stop_gradient((unit(prototypes)[candidates], density[candidates]))
    logits = similarity(unit(z), prototypes) / (temperature * density)
    return jax.nn.logsumexp(logits, axis=1) - jnp.diagonal(logits)
