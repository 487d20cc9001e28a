"""Runs a forward pass in parts of the batch, to save memory for activations, with a loss over the whole
batch.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.blocks import dealt
from jssl.methods.base import EXACT
from jssl.methods.frames.forward import GROUPS, averaged, moved


def in_parts(forward, parts: int):
    """Makes a forward pass that takes the batch in parts and forgets their activations until the gradient
    asks for them.

    Value and gradient equal those of the whole batch if rows do not influence each other. With batch norm
    they do: it normalises each part by itself, and its running statistics become the mean over the parts.
    Masks are drawn by the samples' indices and equal those of the whole batch, but draws that a masking makes
    once per batch, such as the size of I-JEPA's blocks, are made once per part. Random draws of a network,
    such as stochastic depth, are made for each part, and are the same again in the backward pass.

    Args:
        forward: (params, teacher, statistics, views, `Keys`) -> (Outputs, statistics).
        parts: the number of parts, which must divide the batch.
    Returns:
        A function like `forward`.
    Raises:
        ValueError: when called, if `parts` does not divide the batch.
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
    """Joins the parts [P, ...] of an array; arrays without a batch axis, such as prototypes, are the same in
    all parts.
    """
    axes = [axis for axis, (a, b) in enumerate(zip(x.shape[1:], whole.shape, strict=True)) if a != b]
    if not axes:
        return x[0]
    return jnp.moveaxis(x, 0, axes[0] + 1).reshape(whole.shape)
