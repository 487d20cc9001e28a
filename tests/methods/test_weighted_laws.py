"""Several methods at once: each moves its own teacher, and the first one is evaluated."""

import jax
import numpy as np
import optax
import pytest

from jssl import init_state, methods, models
from jssl.methods import weighted_methods
from jssl.methods.base import Refresh
from tests.methods import toys

HEAD = dict(head=models.moco_head(6, hidden=8))


def both():
    first = methods.byol(toys.Mlp(), predictor=models.moco_head(6, hidden=8), momentum=0.9, **HEAD)
    second = methods.moco_v2(toys.Mlp(), queue=16, momentum=0.5, groups=1, **HEAD)
    return weighted_methods(first=(1.0, first), second=(1.0, second))


def test_each_teacher_moves_by_its_own_momentum():
    (before, after), _ = toys.record(both(), optax.sgd(0.1), toys.noisy(2), [toys.batch()])
    for name, momentum in (("first", 0.9), ("second", 0.5)):
        student = {"encoder": after.params["encoder"], "cls": after.params[name]["cls"]}
        old, new = before.teacher[name], after.teacher[name]
        assert set(new) == set(student)
        moved = jax.tree.map(lambda t, p, m=momentum: m * t + (1 - m) * p, old, student)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), new, moved)
        assert optax.tree.norm(optax.tree.sub(new, old)) > 1e-4


def test_the_first_method_is_evaluated():
    method, batch, key = both(), toys.batch(), jax.random.key(0)
    state = jax.eval_shape(lambda: init_state(method, optax.sgd(0.1), toys.noisy(2), batch, key=key))
    variables = method.encoder(state.params, state.teacher, state.memory)
    assert variables == {"params": state.params["encoder"]}


def test_methods_refreshed_at_different_steps_are_refused():
    method = methods.simclr(toys.Mlp(), head=models.moco_head(6, hidden=8))
    one, other = (method._replace(refresh=Refresh(n, lambda key, memory: memory)) for n in (3, None))
    with pytest.raises(ValueError, match="refreshed at the same steps"):
        weighted_methods(one=(1.0, one), other=(1.0, other))
