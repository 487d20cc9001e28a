"""data2vec: a student predicts, for the patches hidden from it, the average output of a teacher's blocks."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jssl.objectives.base import Objective, stateless
from jssl.objectives.ibot import patches_of
from jssl.objectives.reconstruction import by_tokens, masked_reconstruction


def averaged_blocks(
    blocks: Sequence[jax.Array], *, last: int | None = None, each: int | None = -1, mean: int | None = -1
) -> jax.Array:
    """Averages the outputs of a transformer's last blocks, normalised before and after.

    Args:
        blocks: outputs [B, N, D], the last block's last.
        last: how many of the last blocks are averaged; None: all.
        each: the axis over which each block's output is brought to mean 0 and variance 1: -1 the features, -2
            the tokens; None: not normalised.
        mean: the same of the average.
    Returns:
        [B, N, D], at least float32, no gradient.
    Raises:
        ValueError: for fewer blocks than `last`.
    References:
        data2vec, arXiv:2202.03555
    Examples:
        >>> averaged_blocks([jnp.zeros((1, 1, 2)), jnp.array([[[1.0, 3.0]]])], each=None, mean=None).tolist()
        [[[0.5, 1.5]]]
    """
    if last is not None and not 1 <= last <= len(blocks):
        raise ValueError(f"last must lie between 1 and the {len(blocks)} blocks, got {last}")
    chosen = [normalized(block, each) for block in blocks[-(last or len(blocks)) :]]
    return jax.lax.stop_gradient(normalized(sum(chosen[1:], chosen[0]) / len(chosen), mean))


def normalized(x: jax.Array, axis: int | None) -> jax.Array:
    """Brings values to mean 0 and variance 1 over an axis, like a norm without parameters.

    Args:
        x: any array.
        axis: the axis; None leaves the array as it is.
    Returns:
        The same shape, at least float32.
    References:
        data2vec, arXiv:2202.03555
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if axis is None:
        return x
    variance = jnp.var(x, axis=axis, keepdims=True)  # exact for any mean, as jax's own is not
    return jax.nn.standardize(x, axis=axis, variance=variance, epsilon=1e-5)


def patch_regression(name: str = "patch", *, beta=2.0) -> Objective:
    """Makes data2vec's objective: the smooth L1 error, averaged over all hidden patches of the batch.

    It reads `student[name]` [V, B, N, D], `target[name]` [V, B, N, D], the mask and, where heads ran on
    hidden patches alone, the places.

    Args:
        name: of the outputs.
        beta: the size of the error at which it changes from quadratic to linear.
    Returns:
        An `Objective` without memory; metric target_std, the standard deviation of a target's features over
        the tokens, which is 0 if the teacher has collapsed.
    Raises:
        ValueError: for a missing name or mask, or other shapes.
    References:
        data2vec, arXiv:2202.03555
    Examples:
        >>> from jssl.objectives.base import Outputs
        >>> patches, mask = jnp.ones((1, 2, 4, 3)), jnp.ones((1, 2, 4), bool)
        >>> outputs = Outputs({"patch": patches}, {"patch": 0 * patches}, mask)
        >>> float(patch_regression(beta=2.0).apply((), outputs, 0)[0])  # 1 / (2 beta)
        0.25
    """

    def losses(outputs):
        student, target, mask = patches_of(outputs, name)

        def of_view(*arrays):
            return masked_reconstruction(*arrays, distance="smooth_l1", beta=beta)

        spread = jnp.std(outputs.target[name].astype(jnp.float32), axis=(0, 1, 2))
        each = by_tokens(jax.vmap(of_view)(student, target, mask), mask)
        return each, {"target_std": jnp.mean(spread)}

    return stateless(losses)
