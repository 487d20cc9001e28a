"""SwAV's assignments are balanced, and its queue waits for its time; DeepCluster's clusters stand still for
an epoch, SMoG's groups move with every batch.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import init_state, methods, models, objectives, train_step
from jssl.arrays.vectors import unit
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


EXAMPLES = 24


def deepcluster():
    head = models.swav_head(8, hidden=16)
    return methods.deepcluster_v2(toys.Mlp(), examples=EXAMPLES, clusters=(3, 4, 5), head=head)


@cache
def two_epochs():
    """States of two epochs of three batches, the memory clustered between them."""
    method = deepcluster()
    batches = [toys.batch(i, size=8) | {"index": jnp.arange(8) + 8 * (i % 3)} for i in range(6)]
    states, metrics = toys.record(method, optax.sgd(0.1), toys.noisy(2), batches[:3])
    clustered = states[-1].replace(memory=jax.jit(method.refresh.call)(jax.random.key(7), states[-1].memory))
    step = jax.jit(train_step(method, optax.sgd(0.1), toys.noisy(2)))
    later = [clustered]
    for batch in batches[3:]:
        state, figures = step(later[-1], batch)
        later.append(state)
        metrics.append(figures)
    return states, later, metrics


def test_deepclusters_first_epoch_fills_the_banks_and_teaches_nothing():
    states, later, metrics = two_epochs()
    assert [float(m["loss"]) for m in metrics[:3]] == [0.0] * 3 and float(metrics[3]["loss"]) > 0
    for a, b in zip(*map(jax.tree.leaves, (states[0].params, states[3].params)), strict=True):
        np.testing.assert_array_equal(a, b)
    first, filled = (np.asarray(s.memory["objective"]["bank"]) for s in (states[0], states[1]))
    np.testing.assert_array_equal(first[:, 8:], filled[:, 8:])  # rows not seen stay as they are
    assert (np.abs(first - filled)[:, :8].max(-1) > 1e-3).all()
    assert np.abs(filled[0] - filled[1])[:8].max() > 1e-3  # a bank for each of two views
    assert optax.tree.norm(optax.tree.sub(later[-1].params, later[0].params)) > 1e-3


def test_deepclusters_clusters_are_the_memorys_and_stand_still_for_an_epoch():
    _, later, _ = two_epochs()
    kept = [state.memory["objective"]["clusterings"] for state in later]
    for one in kept[1:]:
        for a, b in zip(*map(jax.tree.leaves, (kept[0], one)), strict=True):
            np.testing.assert_array_equal(a, b)
    assert {len(one["prototypes"]) for one in kept[0]} == {3, 4, 5}
    assert set(later[0].params) == {"encoder", "cls"}
    with_prototypes = swav().init(jax.random.key(0), toys.noisy(2)(jax.random.key(0), toys.batch()))[0]
    assert "scores" in with_prototypes  # SwAV learns them


def test_clusterings_take_the_banks_of_both_views_in_turn():
    """The banks lie in different dimensions, and so do the prototypes that come of them."""
    halves, nothing = unit(jax.random.normal(jax.random.key(0), (2, 12, 3))), jnp.zeros((12, 3))
    bank = jnp.stack([jnp.hstack([halves[0], nothing]), jnp.hstack([nothing, halves[1]])])
    objective = objectives.cluster_classification(examples=12, clusters=(3, 4, 5))
    memory = objective.init(objectives.Outputs({"cls": jnp.zeros((2, 6, 6))}))
    found = jax.jit(objectives.recluster)(jax.random.key(1), memory | {"bank": bank})["clusterings"]
    lies_in = [np.any(one["prototypes"], axis=0).tolist() for one in found]
    first = [True] * 3 + [False] * 3
    assert lies_in == [first, first[::-1], first]


def test_names_of_clusters_mean_nothing_and_one_cluster_teaches_nothing():
    z = jax.random.normal(jax.random.key(0), (2, 6, 8))
    outputs = objectives.Outputs({"cls": z}, views={"index": jnp.arange(6)})
    objective = objectives.cluster_classification(examples=6, clusters=(4,))
    memory = objectives.recluster(jax.random.key(1), objective.init(outputs))
    (found,) = memory["clusterings"]
    order = jnp.array([2, 0, 3, 1])
    renamed = {
        "assignment": jnp.argsort(order)[found["assignment"]],
        "prototypes": found["prototypes"][order],
    }
    expected = objective.apply(memory, outputs, 0)[0]
    np.testing.assert_allclose(
        objective.apply(memory | {"clusterings": [renamed]}, outputs, 0)[0], expected, rtol=1e-5
    )
    assert (
        abs(
            objective.apply(
                memory | {"clusterings": [found | {"prototypes": renamed["prototypes"]}]}, outputs, 0
            )[0]
            - expected
        )
        > 1e-2
    )
    one = objectives.cluster_classification(examples=6, clusters=(1,))
    memory = objectives.recluster(jax.random.key(1), one.init(outputs))
    loss, slope = jax.value_and_grad(lambda z: one.apply(memory, outputs._replace(student={"cls": z}), 0)[0])(
        z
    )
    np.testing.assert_allclose(loss, 0, atol=1e-6)
    np.testing.assert_allclose(slope, 0, atol=1e-6)


@partial(jax.jit, static_argnames="momentum")
def grouped(predicted, z, taught, groups, momentum=0.99):
    objective = objectives.momentum_grouping(groups=len(groups), recent=len(z), momentum=momentum)
    outputs = objectives.Outputs(
        {"prediction": predicted[None], "projection": z[None]}, {"projection": taught[None]}
    )
    return objective.apply(objective.init(outputs) | {"groups": groups}, outputs, 0)


def test_smogs_groups_move_with_their_members_alone_and_carry_the_gradient():
    predicted, z, taught = jax.random.normal(jax.random.key(0), (3, 8, 5))
    far = -10 * z.mean(0, keepdims=True)
    groups = jnp.concatenate([jax.random.normal(jax.random.key(1), (3, 5)), far])
    own = objectives.nearest_group(z, groups)
    lonely = sorted(set(range(4)) - set(own.tolist()))
    moved = grouped(predicted, z, taught, groups)[1]["groups"]
    assert lonely and all(np.array_equal(moved[i], groups[i]) for i in lonely)
    expected = 0.99 * groups[own[0]] + 0.01 * z[own == own[0]].mean(0)
    np.testing.assert_allclose(moved[own[0]], expected, atol=1e-6)

    def slope(momentum):
        return jax.grad(lambda z: grouped(predicted, z, taught, groups, momentum=momentum)[0])(z)

    assert np.abs(slope(0.9)).max() > 1e-3
    np.testing.assert_array_equal(slope(1.0), 0)
    loss, _, metrics = grouped(predicted, z, taught, groups[:1])
    np.testing.assert_allclose(loss, 0, atol=1e-6)  # one group
    assert abs(metrics["groups_used"] - 1) < 1e-5


def test_smog_assigns_before_the_groups_move():
    """The first group turns away from the image that was its own, which would then find the second one."""
    groups = unit(jnp.array([[1.0, 0.1], [1.0, -0.1]]))
    z = jnp.array([[0.0, 1.0], [1.0, -0.02]])  # each nearest to its own
    loss, memory, _ = grouped(groups, z, groups, groups, momentum=0.0)
    np.testing.assert_allclose(memory["groups"], z, atol=1e-6)
    before, after = (objectives.nearest_group(groups, x) for x in (groups, z))
    assert before.tolist() == [0, 1] and after.tolist() == [1, 1]
    first, second = (objectives.assigned_cross_entropy(groups, own, z).mean() for own in (before, after))
    np.testing.assert_allclose(loss, first, rtol=1e-5)
    assert abs(first - second) > 1


def test_smogs_teacher_begins_anew_as_the_student():
    head, predictor = models.moco_v3_head(8, hidden=16, layers=2), models.swav_head(8, hidden=16)
    method = methods.smog(toys.Mlp(), prototypes=4, head=head, predictor=predictor, recent=16, restart=3)
    states, _ = toys.record(method, optax.sgd(0.5), toys.noisy(2), [toys.batch(i) for i in range(4)])
    apart = [optax.tree.norm(optax.tree.sub(s.params["encoder"], s.teacher["encoder"])) for s in states]
    assert apart[1] > 1e-4 and apart[2] > 1e-4 and apart[3] == 0 and apart[4] > 1e-4
    assert set(states[0].teacher) == {"encoder", "projection"}
    again = method.refresh.call(jax.random.key(0), states[3].memory)["objective"]
    assert method.refresh.every == 3 and not np.allclose(
        again["groups"], states[3].memory["objective"]["groups"]
    )
    np.testing.assert_allclose(np.linalg.norm(again["groups"], axis=1), 1, atol=1e-5)


def test_deepclusters_clusters_are_noise_without_a_first_epoch_and_then_come_to_be_classes():
    """How much clusters know of labels: at once, of a network as it is drawn, and of a trained one."""
    from sklearn.metrics import normalized_mutual_info_score

    examples = 256
    method = methods.deepcluster_v2(
        toys.Mlp((64,)), examples=examples, clusters=(10,), head=models.swav_head(16, hidden=64)
    )
    data, views, optimizer = toys.handwriting(0, size=examples), toys.noisy(2, noise=0.5), optax.adam(1e-3)

    def batch(i):
        rows = slice(32 * (i % 8), 32 * (i % 8) + 32)
        return {"image": data["image"][rows], "index": jnp.arange(examples)[rows]}

    state = init_state(method, optimizer, views, batch(0), key=jax.random.key(0))
    step, again = jax.jit(train_step(method, optimizer, views)), jax.jit(method.refresh.call)

    def known(memory):
        (found,) = memory["objective"]["clusterings"]
        return normalized_mutual_info_score(data["label"], found["assignment"])

    told = [known(again(jax.random.key(1), state.memory))]
    for epoch in range(13):
        for i in range(8):
            state, _ = step(state, batch(i))
        state = state.replace(memory=again(jax.random.key(epoch), state.memory))
        told.append(known(state.memory))
    assert told[0] < 0.12 < told[1] - 0.1 and np.mean(told[-3:]) > told[1] + 0.03, told
