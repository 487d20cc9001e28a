"""EsViT's regions: a set that is matched, no gradient through the match, and DINO where they do not count."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jssl import methods, models
from jssl import objectives as o
from tests.methods import toys

B, N, SMALL, D, K = 3, 6, 4, 5, 7


def regions():
    """Two global views of N regions, and one local view of fewer."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    student = {"patch": draw(2, B, N, K), "tokens": draw(2, B, N, D)}
    student |= {"patch/local": draw(1, B, SMALL, K), "tokens/local": draw(1, B, SMALL, D)}
    return o.Outputs(student, {"patch": draw(2, B, N, K), "tokens": draw(2, B, N, D)})


OURS = o.region_distillation(teacher_temperature=0.5, student_temperature=0.5)
IBOTS = o.patch_distillation(teacher_temperature=0.5, student_temperature=0.5)


@partial(jax.jit, static_argnames="objective")
def loss_of(outputs, objective=OURS):
    return objective.apply({"center": jnp.zeros(K)}, outputs, 0)


def test_the_order_of_the_teachers_regions_means_nothing():
    outputs, order = regions(), jnp.array([3, 0, 5, 1, 4, 2])
    mixed = {name: x[:, :, order] for name, x in outputs.target.items()}
    value = loss_of(outputs)[0]
    np.testing.assert_allclose(loss_of(outputs._replace(target=mixed))[0], value, rtol=1e-5)
    seen = [x._replace(mask=jnp.ones((2, B, N), bool)) for x in (outputs, outputs._replace(target=mixed))]
    first, second = (loss_of(x, IBOTS)[0] for x in seen)  # iBOT compares places
    assert abs(first - second) > 1e-3


def test_of_the_same_regions_it_is_ibots_loss_of_patches():
    """Both views alike and every region itself: each predicts its own counterpart."""
    outputs = regions()
    logits, features = outputs.student["patch"][:1], outputs.student["tokens"][:1]
    twice = {"patch": jnp.tile(logits, (2, 1, 1, 1)), "tokens": jnp.tile(features, (2, 1, 1, 1))}
    same = o.Outputs(twice, twice, mask=jnp.ones((2, B, N), bool))
    np.testing.assert_allclose(loss_of(same)[0], loss_of(same, IBOTS)[0], rtol=1e-5)
    np.testing.assert_allclose(loss_of(same)[2]["regions_matched"], 1)


def test_the_match_is_the_nearest_and_has_no_gradient():
    outputs = regions()
    s, t = (np.asarray(x["tokens"][i]) for x, i in ((outputs.student, 1), (outputs.target, 0)))
    cosines = np.einsum("bnd,bmd->bnm", *(x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (s, t)))
    np.testing.assert_array_equal(o.matching_regions(s, t), cosines.argmax(-1))
    slopes = jax.grad(lambda student: loss_of(outputs._replace(student=student))[0])(outputs.student)
    for name, slope in slopes.items():
        assert np.any(slope) == name.startswith("patch"), name  # the local view's regions learn too


def test_without_regions_it_is_dino():
    swin = models.Swin(patch=4, dim=8, depths=(1,), heads=(1,), window=2)
    settings = dict(prototypes=8, head=partial(models.dino_head, hidden=16, bottleneck=8), momentum=0.9)
    dino, esvit = methods.dino(swin, **settings), methods.esvit(swin, **settings, region_weight=0.0)
    views = toys.noisy(2, crops=2)(jax.random.key(0), toys.batch(side=16))
    params, memory = jax.jit(esvit.init)(jax.random.key(1), views)
    assert {"cls", "patch"} <= set(params) and "patch/local" not in params  # one head for both sizes
    first, _ = jax.jit(dino.init)(jax.random.key(1), views)
    for a, b in zip(*map(jax.tree.leaves, (first["encoder"], params["encoder"])), strict=True):
        np.testing.assert_array_equal(a, b)

    def judged(method, params, memory):
        def loss(params):
            return method.loss(params, params, memory, views, jax.random.key(2), 0)[0]

        return jax.jit(jax.value_and_grad(loss))(params)

    parts = {name: params[name] for name in ("encoder", "cls")}
    alone = {
        "statistics": {who: {"encoder": {}, "cls": {}} for who in ("student", "teacher")},
        "objective": memory["objective"]["cls"],
    }
    expected, slopes = judged(dino, parts, alone)
    value, found = judged(esvit, params, memory)
    assert value == expected
    for a, b in zip(*map(jax.tree.leaves, (slopes, {name: found[name] for name in slopes})), strict=True):
        np.testing.assert_array_equal(a, b)
    outputs = jax.eval_shape(partial(esvit.outputs, params, params, memory, views), jax.random.key(2))
    shapes = {name: x.shape for name, x in outputs.student.items()}
    assert shapes["patch"][:3] == (2, 8, 16) and shapes["patch/local"][:3] == (2, 8, 4)
