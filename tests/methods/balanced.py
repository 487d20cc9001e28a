"""A small DINOv2: its network and heads, which patches hide, and its loss with the gradient."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jssl import models
from jssl.masks import Masking
from tests.methods import toys

HEAD = partial(models.dino_head, hidden=16, bottleneck=8)
BALANCED = dict(prototypes=8, patch_prototypes=8, head=HEAD, patch_head=HEAD, momentum=0.9)
VIT = models.ViT(patch=4, dim=16, depth=1, heads=2)
HIDDEN = np.zeros((2, 8, 16), bool)  # of each image's two views one hides four patches
HIDDEN[0, ::2, 3:7] = HIDDEN[1, 1::2, 8:12] = True


def fixed(keys, crops):
    return jnp.asarray(HIDDEN)


def by_row(keys, images, taught):
    """The same masks as iBOT's frame asks for them: an image's views side by side, at first one view's."""
    rows = HIDDEN.swapaxes(0, 1).reshape(-1, 16)
    return jnp.asarray(rows if len(keys) == len(rows) else HIDDEN[0])


MASKING = Masking(fixed, lambda patches: 4)


def started(method, views=None, **changed):
    """(loss and gradient by the parameters, compiled; their arguments)."""
    views = views or toys.noisy(2)(jax.random.key(0), toys.batch(side=16))
    params, memory = jax.jit(method.init)(jax.random.key(1), views)
    state = dict(params=params, teacher=method.teacher.init(params), memory=memory) | changed
    return jax.jit(jax.value_and_grad(method.loss, has_aux=True)), (
        *state.values(),
        views,
        jax.random.key(2),
        0,
    )
