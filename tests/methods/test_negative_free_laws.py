"""BYOL's teacher in closed form, and what becomes of SimSiam without its stop-gradient."""

import jax
import numpy as np
import optax
import pytest

from jssl import methods, models, siamese, with_heads
from jssl.arrays.vectors import cosine
from jssl.evaluate import diagnose, embedding_health
from jssl.methods.frames.forward import apart
from jssl.methods.pairs import between_views
from jssl.optim import teacher_momentum
from tests.methods import toys


def test_the_teacher_of_byol_is_the_moving_average_of_all_students():
    steps, momentum = 6, teacher_momentum(0.6, 8)
    heads = dict(head=models.byol_head(4, hidden=8), predictor=models.byol_head(4, hidden=8))
    method = methods.byol(toys.Mlp(), momentum=momentum, **heads)
    states, _ = toys.record(method, optax.sgd(0.3), toys.noisy(2), [toys.batch(i) for i in range(steps)])
    assert set(states[0].params) == {"encoder", "cls", "prediction"}
    assert set(states[-1].teacher) == {"encoder", "cls"}

    m = np.array([momentum(step) for step in range(steps)])
    shares = [
        m.prod(),
        *((1 - m[i]) * m[i + 1 :].prod() for i in range(steps)),
    ]  # of the first student and those after
    assert 0.05 < shares[0] < 0.5 and np.isclose(sum(shares), 1)
    for part in ("encoder", "cls"):
        students = [state.params[part] for state in states]
        expected = jax.tree.map(
            lambda *values: sum(s * v for s, v in zip(shares, values, strict=True)), *students
        )
        for a, b in zip(*map(jax.tree.leaves, (states[-1].teacher[part], expected)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        for other in (students[0], students[-1]):
            assert optax.tree.norm(optax.tree.sub(expected, other)) > 1e-2


@pytest.mark.parametrize("make", [methods.byol, methods.simsiam])
def test_the_predictor_reads_the_projection(make):
    """Not the encoder, whose vector goes by the name of cls as well."""
    head, predictor = models.moco_head(6, hidden=8), models.moco_head(6, hidden=8)
    method, views = (
        make(toys.Mlp(), head=head, predictor=predictor),
        toys.noisy(2)(jax.random.key(0), toys.batch()),
    )
    params, memory = jax.jit(method.init)(jax.random.key(1), views)
    teacher = method.teacher and method.teacher.init(params)
    seen = jax.jit(method.outputs)(params, teacher, memory, views, jax.random.key(2)).student
    assert seen["cls"].shape[-1] == 6 and not np.allclose(seen["cls"], seen["prediction"], atol=1e-2)
    expected = predictor.apply({"params": params["prediction"]}, seen["cls"])
    np.testing.assert_allclose(seen["prediction"], expected, atol=1e-6)


HEADS = dict(head=models.byol_head(32, hidden=64), predictor=models.simsiam_predictor(32, hidden=16))


def simsiam_with_gradient(encoder, *, head, predictor):
    """SimSiam whose targets get a gradient, and no more changed."""
    network = with_heads(encoder, cls=head, prediction=("cls", predictor))
    objective = between_views(
        lambda prediction, target: -cosine(prediction, target) / 2, student="prediction"
    )
    return siamese(network, objective, across=apart)


@pytest.mark.parametrize("make", [methods.simsiam, simsiam_with_gradient])
def test_simsiam_collapses_without_its_stop_gradient_and_its_figures_say_so(make):
    method = make(
        toys.Mlp((64, 64)), **HEADS
    )  # no batch norm after the projection, which hides a collapse for long
    state = toys.trained(method, optax.adam(1e-2), toys.noisy(2, noise=1.0), toys.handwriting, steps=300)
    projection = toys.outputs_of(method, state, toys.handwriting(999, size=256)["image"]).student["cls"][0]
    found = diagnose({name: float(value) for name, value in embedding_health(projection).items()})
    if make is methods.simsiam:
        assert found == []
    else:
        assert any("collapsed to a point; check the stop-gradient" in line for line in found)
