"""iBOT without its patches is DINO; and what becomes of DINO without centering or without sharpening."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import collecting, methods, models, objectives, self_distillation, with_heads
from jssl.evaluate import diagnose
from jssl.masks import attention_mask
from jssl.methods.distillation import sometimes_blocks
from jssl.models.encoders.vit import cls_attention
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


def ibot(head, *, prototypes, only_hidden):
    """With blocks hidden, and the head on all patches or on the hidden ones alone."""
    vit = models.ViT(patch=4, dim=16, depth=1, heads=2)
    blocks = sometimes_blocks(vit, ratio=(0.1, 0.25), probability=0.7)
    masking = blocks if only_hidden else blocks.draw
    return methods.ibot(vit, prototypes=prototypes, head=head, shared_head=False, masking=masking)


def arguments_of(method):
    """Of its loss: parameters, teacher, memory, views, key and step."""
    views = toys.noisy(2)(jax.random.key(0), toys.batch(side=16))
    params, memory = method.init(jax.random.key(1), views)
    return params, method.teacher.init(params), memory, views, jax.random.key(2), 0


def gradient(method):
    """params, ... -> (loss, (memory, metrics)), gradient."""
    return jax.jit(jax.value_and_grad(method.loss, has_aux=True))


@pytest.mark.parametrize("norm", [None, models.batch_norm])
def test_a_head_on_hidden_patches_alone_gives_the_same_loss_gradient_and_memory(norm):
    made = {each: ibot(partial(HEAD, norm=norm), prototypes=8, only_hidden=each) for each in (False, True)}
    arguments, results = jax.jit(partial(arguments_of, made[False]))(), []  # both begin with these
    for only_hidden, method in made.items():
        results.append(gradient(method)(*arguments))
        patch = jax.eval_shape(method.outputs, *arguments[:-1]).student["patch"]
        assert patch.shape == (2, 8, 4 if only_hidden else 16, 8)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-4), *results)
    assert results[0][0][1][1]["patch"] > 1


def test_the_patch_head_costs_what_the_hidden_patches_cost():
    """By the operations of the compiled gradient: a quarter of the patches takes the student's head a quarter
    of the work.
    """
    widths = (16, 64, 64, 32, 4096)
    head = partial(models.dino_head, hidden=64, bottleneck=32)
    flops = []
    for only_hidden in (False, True):
        method = ibot(head, prototypes=widths[-1], only_hidden=only_hidden)
        shapes = jax.eval_shape(partial(arguments_of, method))
        flops.append(gradient(method).lower(*shapes).compile().cost_analysis()["flops"])
    tokens = 2 * 8 * (16 - 4)
    pairs = zip(widths, widths[1:], strict=False)
    products = 3 * sum(2 * a * b for a, b in pairs)  # forward, and two backward
    assert 1 <= (flops[0] - flops[1]) / (tokens * products) < 1.25  # the products, and the softmax over them


def test_a_masking_may_see_what_the_teacher_attends_to():
    """The mask is that of the teacher's attention on whole images, whatever the student's parameters are."""
    vit = models.ViT(patch=4, dim=16, depth=2, heads=2)

    def masking(keys, images, taught):
        return attention_mask(taught["attention"][-1][..., 1:].mean(1), ratio=0.5)

    network = with_heads(collecting(vit, "attention"), cls=HEAD(8))
    method = self_distillation(network, objectives.view_distillation(), momentum=0.9, masking=masking)
    views = toys.noisy(2, crops=1)(jax.random.key(0), toys.batch(side=16))
    params, memory = jax.jit(method.init)(jax.random.key(1), views)
    teacher = jax.tree.map(lambda x: x + 0.1, params)
    seen = jax.jit(method.outputs)
    outputs = seen(params, teacher, memory, views, jax.random.key(2))
    other = seen(jax.tree.map(lambda x: 2 * x, params), teacher, memory, views, jax.random.key(2))
    np.testing.assert_array_equal(outputs.mask, other.mask)
    attends = jax.jit(lambda images: cls_attention(vit, {"params": teacher["encoder"]}, images).mean(1))
    for mask, images in zip(outputs.mask, views["global"], strict=True):
        attention = attends(images)
        np.testing.assert_array_equal(mask, attention_mask(attention, ratio=0.5))
    assert np.any(outputs.mask[0] != outputs.mask[1]) and np.all(outputs.mask.sum(-1) == 8)


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
