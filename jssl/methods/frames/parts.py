"""A forward pass in parts of the batch, for activations that do not fit, under a loss that still sees the
whole batch.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.blocks import dealt
from jssl.methods.base import EXACT
from jssl.methods.frames.forward import GROUPS, averaged, moved


def in_parts(forward, parts: int):
    """Makes a forward pass that takes the batch in parts and forgets their activations until the gradient
    asks for them.

    Value and gradient are those of the whole batch where rows do not influence each other. Batch norm does
    let them: it normalises each part by itself, and its running statistics become the mean of the parts'.
    Masks are drawn by the samples' indices and are those of the whole batch; what a masking draws once for a
    batch, such as the size of I-JEPA's blocks, is drawn once for a part. What a network draws, such as paths
    to drop, each part draws for itself, and again the same when the gradient asks.

    Args:
        forward: (params, teacher, statistics, views, `Keys`) -> (Outputs, statistics).
        parts: how many; they must divide the batch.
    Returns:
        A function like `forward`.
    Raises:
        ValueError: when called, for parts that do not divide the batch.
    References:
        GradCache, arXiv:2101.06983
    """

    def run(params, teacher, statistics, views, keys):
        size = views["global"].shape[1]
        if size % parts:
            raise ValueError(
                f"parts={parts} must divide the batch; views['global'] is {views['global'].shape}"
            )

        def outputs_of(part):
            number, views = part
            own = keys._replace(network=jax.random.fold_in(keys.network, number))
            outputs, after = forward(params, teacher, statistics, views, own)
            return outputs._replace(views=None), moved(statistics, after)

        whole, _ = jax.eval_shape(outputs_of, (0, views))
        each = jnp.arange(parts), _dealt_views(views, parts, size)
        outputs, after = jax.lax.map(jax.checkpoint(outputs_of), each)
        outputs = jax.tree.map(_gathered, outputs, whole)
        return outputs._replace(views=views), averaged(statistics, after)

    return run


def _dealt_views(views, parts, size):
    return {
        name: _dealt_views(x, parts, size)
        if name == EXACT
        else dealt(x, parts, axis=_batch_axis(name, x, size))
        for name, x in views.items()
    }


def _batch_axis(name, x, size):
    return 1 if name in GROUPS or len(x) != size else 0


def _gathered(x, whole):
    """What was dealt, [P, ...]; arrays without a batch, such as prototypes, are the same in all parts."""
    axes = [axis for axis, (a, b) in enumerate(zip(x.shape[1:], whole.shape, strict=True)) if a != b]
    if not axes:
        return x[0]
    return jnp.moveaxis(x, 0, axes[0] + 1).reshape(whole.shape)
