"""DINOv3: the similarities between a student's patches are kept close to those between an earlier teacher's
patches.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.vectors import similarity, unit
from jssl.objectives.base import Objective, named, stateless


def gram_anchor(student, target) -> jax.Array:
    """Computes the Gram loss: the mean square difference between the cosines of an image's patches and those
    of a target's.

    l_b = mean over i, j of (cos(s_bi, s_bj) - cos(t_bi, t_bj)) ** 2.

    Args:
        student: [B, N, D].
        target: [B, N, E], of the same patches, no gradient.
    Returns:
        [B].
    Raises:
        ValueError: for other shapes.
    References:
        DINOv3, arXiv:2508.10104
    Examples:
        >>> patches = jnp.array([[[1.0, 0.0], [0.0, 2.0]]])
        >>> print(gram_anchor(patches, 3 * patches), gram_anchor(patches, jnp.ones((1, 2, 5))).round(3))
        [0.] [0.5]
    """
    student, target = check(student=(student, "B N D"), target=(target, "B N E"))
    own, wanted = (jax.vmap(similarity)(z, z) for z in (unit(student), unit(jax.lax.stop_gradient(target))))
    return jnp.mean((own - wanted) ** 2, axis=(1, 2))


def gram_anchoring(name: str = "tokens", anchor: str = "anchor") -> Objective:
    """Makes DINOv3's objective on patch features: their similarities stay close to those of an earlier
    teacher's.

    It reads `student[name]` [V, B, N, D], of which the first G views count, and `target[anchor]` [G, B, N,
    E].

    Args:
        name: the name of the student's patch features.
        anchor: the name of the earlier teacher's patch features.
    Returns:
        An `Objective` without memory.
    Raises:
        ValueError: for a missing name, or other shapes.
    References:
        DINOv3, arXiv:2508.10104
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> patches = jnp.ones((1, 2, 3, 4))
        >>> outputs = Outputs({"tokens": patches}, {"anchor": -2 * patches})
        >>> print(f"{gram_anchoring().apply((), outputs, 0)[0]:.3f}")
        0.000
    """

    def loss(outputs):
        target = named(outputs.target, anchor, "target")
        return jax.vmap(gram_anchor)(named(outputs.student, name, "student")[: len(target)], target)

    return stateless(loss)
