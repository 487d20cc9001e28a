"""iBOT without its patches is DINO; and what becomes of DINO without centering or without sharpening."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods, models
from jssl.evaluate import diagnose
from tests.methods import toys

HEAD = partial(models.dino_head, hidden=16, bottleneck=8)


def test_ibot_without_patches_is_dino():
    """The same loss and gradients from the same parameters, and so the same after steps."""
    vit = models.ViT(patch=4, dim=16, depth=1, heads=2)
    settings = dict(prototypes=8, head=HEAD, momentum=0.9, teacher_temperature=0.1)
    dino, ibot = (
        methods.dino(vit, **settings),
        methods.ibot(vit, **settings, patch_weight=0.0, masking=nothing_hidden),
    )
    views, batches = toys.noisy(2, crops=2), [toys.batch(i, side=16) for i in range(3)]
    (first, *_, last), figures = toys.record(ibot, optax.sgd(0.01), views, batches)

    state = first
    loss = jax.jit(jax.value_and_grad(dino.loss, has_aux=True))
    for batch, expected in zip(batches, figures, strict=True):
        key, loss_key = toys.keys_of(state)
        memory = {"statistics": state.memory["statistics"], "objective": state.memory["objective"]["cls"]}
        inputs = memory, views(key, batch), loss_key, state.step
        (value, (memory, _)), gradient = loss(state.params, state.teacher, *inputs)
        np.testing.assert_allclose(value, expected["loss"], rtol=1e-4)
        np.testing.assert_allclose(optax.tree.norm(gradient), expected["gradient_norm"], rtol=1e-4)
        params = jax.tree.map(lambda p, g: p - 0.01 * g, state.params, gradient)
        teacher = jax.tree.map(lambda t, p: 0.9 * t + 0.1 * p, state.teacher, params)
        both = {"cls": memory["objective"], "patch": state.memory["objective"]["patch"]}
        memory = {"statistics": memory["statistics"], "objective": both}
        state = state.replace(step=state.step + 1, params=params, teacher=teacher, memory=memory)
    for a, b in zip(*map(jax.tree.leaves, (state.teacher, last.teacher)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert optax.tree.norm(optax.tree.sub(last.params, first.params)) > 1e-3
    np.testing.assert_allclose(
        state.memory["objective"]["cls"]["center"], last.memory["objective"]["cls"]["center"], atol=1e-5
    )


def nothing_hidden(keys, images, taught):
    return jnp.zeros((len(images), 16), bool)


COLLAPSES = {
    "intact": (dict(), None),
    "without centering": (
        dict(center_momentum=1.0),
        "uses 1.0 prototypes: collapsed to one; check that the center moves",
    ),
    "without sharpening": (dict(teacher_temperature=0.3), "collapsed to uniform; check temperatures"),
}


@pytest.mark.parametrize("name", COLLAPSES)
def test_dino_collapses_without_centering_or_sharpening_and_its_figures_say_so(name):
    settings, words = COLLAPSES[name]
    encoder, head = toys.Mlp((64, 64)), partial(models.dino_head, hidden=64, bottleneck=32)
    method = methods.dino(encoder, prototypes=16, head=head, momentum=0.99, **settings)
    views = toys.noisy(2, noise=0.3)
    state = toys.trained(method, optax.adam(1e-3), views, toys.handwriting, steps=200)

    images = {"image": toys.handwriting(999, size=256)["image"], "index": jnp.arange(256)}
    key = jax.random.key(1)
    _, (_, figures) = jax.jit(method.loss)(
        state.params, state.teacher, state.memory, views(key, images), key, state.step
    )
    found = diagnose({name: float(value) for name, value in figures.items()})
    if words is None:
        assert found == [] and figures["prototypes_used"] > 8
    else:
        assert len(found) == 1 and words in found[0]
