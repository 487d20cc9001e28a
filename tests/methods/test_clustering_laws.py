"""SwAV's assignments are balanced, and its queue waits for its time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods, models
from jssl.objectives import swav as swav_file
from tests.methods import toys

PROTOTYPES, BATCH = 8, 64


def swav(**settings):
    return methods.swav(
        toys.Mlp((64,)), prototypes=PROTOTYPES, head=models.swav_head(128, hidden=64), **settings
    )


def states_of(method, batches):
    return toys.record(method, optax.sgd(0.1), toys.noisy(2), batches)


@pytest.fixture
def balanced(monkeypatch):
    """What Sinkhorn-Knopp is given and gives while a method computes its loss: [(scores, codes)]."""
    seen, original = [], swav_file.sinkhorn_knopp

    def sinkhorn_knopp(scores, **settings):
        seen.append((scores, original(scores, **settings)))
        return seen[-1][1]

    monkeypatch.setattr(swav_file, "sinkhorn_knopp", sinkhorn_knopp)
    return seen


@pytest.mark.parametrize("queue", [0, BATCH])
def test_codes_give_every_prototype_an_equal_share(balanced, queue):
    method, views = swav(queue=queue), toys.noisy(2)
    batches = [toys.batch(i, size=BATCH) for i in range(3)]
    states, _ = states_of(method, batches)
    balanced.clear()  # what was traced
    for state, batch in zip(states, batches, strict=False):
        key, loss_key = toys.keys_of(state)
        method.loss(state.params, None, state.memory, views(key, batch), loss_key, state.step)
    assert len(balanced) == 2 * len(batches)
    for scores, codes in balanced[-2:]:  # of the trained network, the queue full
        assert len(codes) == BATCH + queue
        np.testing.assert_allclose(codes.sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(codes.mean(0), 1 / PROTOTYPES, rtol=0.1)
        unbalanced = jax.nn.softmax(scores / 0.05).mean(0)
        assert np.abs(PROTOTYPES * unbalanced - 1).max() > 0.3


def test_the_queue_is_used_only_after_its_start():
    """Filled from step 2 on in two steps, a queue of two batches changes the loss from step 4 on, and not
    before.
    """
    with_queue, without = swav(queue=2 * BATCH, queue_start=2), swav()
    views, batches = toys.noisy(2), [toys.batch(i, size=BATCH) for i in range(6)]
    states, metrics = states_of(with_queue, batches)
    loss = jax.jit(without.loss)
    differs = []
    for state, batch, figures in zip(states, batches, metrics, strict=False):
        key, loss_key = toys.keys_of(state)
        memory = {"statistics": state.memory["statistics"], "objective": {}}
        plain, _ = loss(state.params, None, memory, views(key, batch), loss_key, state.step)
        differs.append(not np.isclose(plain, figures["loss"], rtol=1e-5))
        assert jnp.any(state.memory["objective"]["queue"]) == (state.step > 2)
    assert differs == [False] * 4 + [True] * 2
