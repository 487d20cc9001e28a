"""Health figures of a run, cheap enough for every logged step, and sentences about what they show."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from jssl.arrays.checks import check
from jssl.arrays.distributions import entropy, target_spread
from jssl.arrays.vectors import similarity
from jssl.evaluate.measures.metrics import alignment, dead_dimensions, feature_std, smooth_rank, uniformity


def embedding_health(z: jax.Array, *, rows: int = 128) -> dict[str, jax.Array]:
    """Measures whether embeddings have collapsed, to a point or to a few directions.

    Args:
        z: [B, D] embeddings of different images.
        rows: The most rows used, from the first on, which bounds the cost.
    Returns:
        {"feature_std" (0 collapsed, 1 spread), "effective_rank" (1 to min(B, D)), "rank_share" (of min(B,
        D)), "uniformity", "dead_dimensions" (share)}, scalars.
    Raises:
        ValueError: where z is not [B, D] with at least two rows.
    References:
        arXiv:2011.10566, arXiv:2210.02885, arXiv:2005.10242
    Examples:
        >>> health = embedding_health(jnp.ones((4, 3)))
        >>> float(health["feature_std"]), float(health["dead_dimensions"])
        (0.0, 1.0)
    """
    (z,) = check(z=(z, "B D"))
    z = jax.lax.stop_gradient(z[:rows])
    rank = _rank(z)
    health = {
        "feature_std": feature_std(z),
        "effective_rank": rank,
        "rank_share": rank / min(z.shape),
        "uniformity": uniformity(z),
        "dead_dimensions": dead_dimensions(z),
    }
    finite = jnp.all(jnp.isfinite(z))  # comparisons and clamps would turn nan into a number
    return {name: jnp.where(finite, value, jnp.nan) for name, value in health.items()}


def pair_health(z_a: jax.Array, z_b: jax.Array) -> dict[str, jax.Array]:
    """Measures how close the two views of an image are, and whether all images coincide.

    Args:
        z_a: [B, D] what a loss compares of one view, such as projections.
        z_b: [B, D] the same of another view.
    Returns:
        {"alignment": mean squared distance on the sphere, 0 the same, 2 unrelated,
        "projection_std": 0 collapsed, 1 spread}, scalars.
    Raises:
        ValueError: for wrong shapes.
    References:
        arXiv:2005.10242, arXiv:2011.10566
    Examples:
        >>> health = pair_health(jnp.eye(2), jnp.eye(2))
        >>> float(health["alignment"]), round(float(health["projection_std"]), 3)
        (0.0, 0.707)
    """
    z_a, z_b = jax.lax.stop_gradient((z_a, z_b))
    return {"alignment": alignment(z_a, z_b), "projection_std": feature_std(z_a)}


def teacher_health(probabilities: jax.Array) -> dict[str, jax.Array]:
    """Measures whether a teacher's distributions over prototypes are all uniform, or all the same.

    Args:
        probabilities: [B, K] the targets the student learns, centred and sharpened as in the loss.
    Returns:
        "teacher_entropy" and "prototypes_used" of `target_spread`, scalars.
    Raises:
        ValueError: where probabilities is not [B, K].
    References:
        The two collapses of DINO, arXiv:2104.14294, section 5.3
    Examples:
        >>> health = teacher_health(jnp.eye(4))
        >>> float(health["teacher_entropy"]), round(float(health["prototypes_used"]), 3)
        (0.0, 4.0)
    """
    (p,) = check(probabilities=(probabilities, "B K"))
    p = jax.lax.stop_gradient(p)
    return target_spread(jnp.mean(entropy(p)), jnp.mean(p, axis=0))


def gradient_health(gradients) -> dict[str, jax.Array]:
    """Measures the size of the gradient.

    Args:
        gradients: A pytree of arrays.
    Returns:
        {"gradient_norm"}: the norm of all of them together, in float32.
    Examples:
        >>> float(gradient_health({"a": jnp.array([3.0]), "b": jnp.array([4.0])})["gradient_norm"])
        5.0
    """
    promoted = jax.tree.map(lambda g: g.astype(jnp.promote_types(g.dtype, jnp.float32)), gradients)
    return {"gradient_norm": optax.tree.norm(promoted)}


def diagnose(metrics: Mapping[str, float]) -> list[str]:
    """Says in words which failures the health figures show, gravest first.

    Args:
        metrics: Any of the figures of this module as numbers; others are ignored.
    Returns:
        One sentence per failure: what was measured, what it means, what to look at. Empty when all is well.
    Examples:
        >>> diagnose({"feature_std": 0.6, "rank_share": 0.3, "teacher_entropy": 0.5})
        []
        >>> diagnose({"teacher_entropy": 0.9996})
        ['teacher entropy is log K (share 1.000): collapsed to uniform; check temperatures and centering']
    """
    known = [
        (path.rpartition("/"), float(value))  # of one term of several, such as image/teacher_entropy
        for name in _FAILURES
        for path, value in metrics.items()
        if path.rpartition("/")[2] == name
    ]
    broken = [
        f"{''.join(path)} is {value}: not finite; lower the learning rate, warm up longer, or compute in "
        "float32"
        for path, value in known
        if not math.isfinite(value)
    ]
    return broken + [
        (f"{path[0]}: " if path[0] else "") + _FAILURES[path[2]][1].format(value)
        for path, value in known
        if math.isfinite(value) and _FAILURES[path[2]][0](value)
    ]


_FAILURES = {
    "teacher_entropy": (
        lambda share: share > 0.995,
        "teacher entropy is log K (share {:.3f}): collapsed to uniform; check temperatures and centering",
    ),
    "prototypes_used": (
        lambda count: count < 1.5,
        "the teacher uses {:.1f} prototypes: collapsed to one; check that the center moves, or balance with "
        "Sinkhorn",
    ),
    "feature_std": (
        lambda std: std < 0.02,
        "feature deviation is {:.4f} of a spread sphere's: embeddings collapsed to a point; "
        "check the stop-gradient, the predictor, negatives and batch normalisation of the head",
    ),
    "projection_std": (
        lambda std: std < 0.02,
        "projection deviation is {:.4f} of a spread sphere's: what the loss compares collapsed to a point; "
        "check the stop-gradient, the predictor, negatives and batch normalisation of the head",
    ),
    "rank_share": (
        lambda share: share < 0.02,
        "effective rank is {:.1%} of the dimensions: embeddings collapsed to a few directions; "
        "check the head's width, the temperature and the strength of the augmentations",
    ),
    "effective_rank": (  # a share of few dimensions, or of few images, cannot be as small as that
        lambda rank: rank < 1.25,
        "effective rank is {:.2f}: embeddings collapsed to one direction; "
        "check the head's width, the temperature and the strength of the augmentations",
    ),
    "dead_dimensions": (
        lambda share: share > 0.5,
        "{:.0%} of the dimensions are dead: they do not vary over the batch; "
        "lower the learning rate or the weight decay, or check the variance term",
    ),
    "alignment": (
        lambda distance: distance > 1.9,
        "alignment is {:.2f}, as of unrelated images: views of one image are not pulled together; "
        "check that views are paired in order and that the crops still overlap",
    ),
    "gradient_norm": (
        lambda norm: norm == 0.0,
        "gradient norm is {:.0f}: nothing is learned; check what is stopped, frozen or masked",
    ),
}


def _rank(z: jax.Array) -> jax.Array:
    """RankMe from the Gram matrix, many times cheaper than the SVD; eigenvalues below its rounding error
    count as zero.
    """
    gram = similarity(z, z) if len(z) <= z.shape[1] else similarity(z.T, z.T)
    squares = jnp.linalg.eigvalsh(gram)
    floor = len(gram) * jnp.finfo(z.dtype).eps * jnp.max(squares)
    return smooth_rank(jnp.sqrt(jnp.where(squares > floor, squares, 0.0)))
