"""The pairs that remember: their states are plain pytrees, start the same, move as they should, on any device
count.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jssl import objectives as o
from jssl.arrays.grids import at_places

B, D, K, N, V, G = 8, 6, 5, 4, 3, 2
EXAMPLES = 24


def outputs(seed=0):
    rng = np.random.default_rng(seed)
    student = {
        "cls": rng.normal(size=(V, B, D)),
        "scores": rng.normal(size=(V, B, K)),
        "patch": rng.normal(size=(V, B, N, K)),
        "projection": rng.normal(size=(V, B, D)),
        "prediction": rng.normal(size=(V, B, D)),
        "prototypes": rng.normal(size=(K, D)),
    }
    taught = ("cls", "scores", "patch", "projection")
    teacher = {name: rng.normal(size=student[name][:G].shape) for name in taught}
    index = rng.permutation(EXAMPLES)[:B].astype(np.int32)
    arrays = o.Outputs(student, teacher, rng.uniform(size=(G, B, N)) < 0.5, {"index": index})
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32) if x.dtype == float else jnp.asarray(x), arrays)


def two_views(outputs):
    return outputs._replace(student={name: x[:2] for name, x in outputs.student.items()})


def refreshed(objective):
    """Prototypes found in the bank before anything is compared with them."""
    return objective._replace(
        init=lambda outputs: o.refresh(jax.random.key(3), objective.init(outputs), iterations=3)
    )


def clustered(objective):
    """Clusters found in the banks before anything is compared with them."""
    return objective._replace(init=lambda outputs: o.recluster(jax.random.key(3), objective.init(outputs)))


OBJECTIVES = {
    "view_distillation": o.view_distillation("scores"),
    "balanced_view_distillation": o.balanced_view_distillation("scores"),
    "patch_distillation": o.patch_distillation(),
    "balanced_patch_distillation": o.balanced_patch_distillation(),
    "region_distillation": o.region_distillation(features="patch"),
    "queue_contrast": o.queue_contrast(size=2 * B),
    "relational": o.relational(size=2 * B),
    "neighbour_contrast": o.neighbour_contrast(size=2 * B),
    "instance_memory": o.instance_memory(examples=EXAMPLES, proximal=0.1),
    "instance_memory_noise": o.instance_memory(examples=EXAMPLES, negatives=7),
    "prototype_contrast": refreshed(o.prototype_contrast(examples=EXAMPLES, clusters=(9, 10))),
    "cluster_classification": clustered(o.cluster_classification(examples=EXAMPLES, clusters=(9, 5))),
    "momentum_grouping": o.momentum_grouping(groups=5, recent=2 * B),
    "swapped_assignment": o.swapped_assignment(),
    "swapped_assignment_queue": o.swapped_assignment(queue=2 * B),
    "masked_siamese": o.masked_siamese_objective(),
}
EVERY = pytest.mark.parametrize("name", OBJECTIVES)


def given_to(name, seed=0):
    return two_views(outputs(seed)) if name == "neighbour_contrast" else outputs(seed)


def run(objective, memory, arrays, step):
    def loss(student):
        value, new, metrics = objective.apply(memory, arrays._replace(student=student), step)
        return value, (new, metrics)

    (value, (new, metrics)), slopes = jax.value_and_grad(loss, has_aux=True)(arrays.student)
    return value, new, metrics, slopes


@functools.cache
def compiled(name):
    """(memory, arrays, step) -> loss, memory, metrics and gradients."""
    return jax.jit(functools.partial(run, OBJECTIVES[name]))


@functools.cache
def begun(name):
    return OBJECTIVES[name].init(given_to(name))


@EVERY
def test_state_is_a_pytree_that_keeps_its_structure(name):
    memory, step, programs = begun(name), compiled(name), set()
    for i in range(4):
        loss, moved, metrics, slopes = step(memory, given_to(name, i), i)
        programs.add(step._cache_size())
        chex.assert_trees_all_equal_shapes_and_dtypes(moved, memory)
        chex.assert_shape([loss, *metrics.values()], ())
        chex.assert_tree_all_finite((loss, metrics, slopes))
        assert max(np.abs(x).max() for x in jax.tree.leaves(slopes)) > 0
        memory = moved
    assert len(programs) == 1


@EVERY
def test_starts_the_same_twice_from_shapes_alone(name):
    objective = OBJECTIVES[name]
    first = begun(name)
    assert jax.tree.structure(jax.eval_shape(objective.init, given_to(name))) == jax.tree.structure(first)
    chex.assert_trees_all_equal(first, objective.init(given_to(name, 1)))


@EVERY
def test_a_sharded_batch_gives_the_same_loss_memory_and_gradients(name):
    arrays, memory = given_to(name), begun(name)
    mesh = jax.make_mesh((8,), ("data",), (AxisType.Auto,))

    def place(axis):
        return lambda x: jax.device_put(x, NamedSharding(mesh, P(*[None] * axis, "data")))

    fixed = {key: x for key, x in arrays.student.items() if key == "prototypes"}
    varying = {key: x for key, x in arrays.student.items() if key != "prototypes"}
    sharded = o.Outputs(
        jax.tree.map(place(1), varying) | fixed,
        jax.tree.map(place(1), arrays.target),
        place(1)(arrays.mask),
        jax.tree.map(place(0), arrays.views),
    )
    spread, whole = (compiled(name)(memory, given, 0) for given in (sharded, arrays))
    chex.assert_trees_all_close(spread, whole, rtol=2e-5, atol=2e-6)


@EVERY
def test_bfloat16_outputs_are_judged_in_float32(name):
    """The loss and the memory are those of the same numbers in float32, whatever the network computes in."""
    objective = OBJECTIVES[name]

    def told(dtype):
        rounded = jax.tree.map(
            lambda x: x.astype(jnp.bfloat16).astype(dtype) if x.dtype == jnp.float32 else x, given_to(name)
        )
        memory = objective.init(rounded)
        return objective.apply(memory, rounded, 0)

    half, single = told(jnp.bfloat16), told(jnp.float32)
    chex.assert_trees_all_equal_dtypes(half, single)
    chex.assert_trees_all_equal(half, single)


@EVERY
def test_no_gradient_reaches_the_teacher(name):
    arrays, memory = given_to(name), begun(name)

    def loss(teacher):
        return OBJECTIVES[name].apply(memory, arrays._replace(target=teacher), 0)[0]

    slopes = jax.jit(jax.grad(loss))(arrays.target)
    assert not any(np.any(x) for x in jax.tree.leaves(slopes))


def test_a_queue_forgets_the_oldest_and_refuses_what_does_not_fit():
    objective, arrays = o.queue_contrast(size=2 * B), outputs()
    memory = objective.init(arrays)
    np.testing.assert_allclose(np.linalg.norm(memory["queue"], axis=1), 1, rtol=1e-5)
    moved = objective.apply(memory, arrays, 0)[1]
    assert moved["pointer"] == B and np.array_equal(moved["queue"][B:], memory["queue"][B:])
    again = objective.apply(objective.apply(moved, outputs(1), 1)[1], outputs(2), 2)[1]
    assert again["pointer"] == B and not np.array_equal(again["queue"][:B], moved["queue"][:B])
    with pytest.raises(ValueError, match="size is 12, which the batch of 8 does not divide"):
        o.queue_contrast(size=12).init(arrays)


def test_swav_fills_its_queue_from_a_step_on_and_uses_it_once_full():
    objective, arrays = o.swapped_assignment(queue=2 * B, queue_start=2), outputs()
    plain = o.swapped_assignment().apply({}, arrays, 0)[0]
    memory, losses = objective.init(arrays), []
    for step in range(5):
        loss, memory, _ = objective.apply(memory, arrays, step)
        losses.append(float(loss))
        assert bool(jnp.any(memory["queue"])) == (step >= 2)
    np.testing.assert_allclose(losses[:4], plain, rtol=1e-5)  # full after steps 2 and 3
    assert abs(losses[4] - plain) > 1e-4


def test_prototypes_are_nobodys_own_and_wait_for_the_first_clustering():
    objective, arrays = o.prototype_contrast(examples=EXAMPLES, clusters=(20,)), outputs()
    memory = objective.init(arrays)
    assert objective.apply(memory, arrays, 0)[0] == 0
    loss, moved, _ = objective.apply(o.refresh(jax.random.key(0), memory), arrays, 0)
    assert loss > 0
    wanted = arrays.target["cls"][-1] / jnp.linalg.norm(arrays.target["cls"][-1], axis=1, keepdims=True)
    np.testing.assert_allclose(moved["bank"][arrays.views["index"]], wanted, rtol=1e-5)
    density = moved["clusterings"][0]["density"]
    np.testing.assert_allclose(jnp.mean(density), 1, rtol=1e-5)


def test_kmeans_finds_separate_blobs_and_keeps_empty_clusters():
    rng = np.random.default_rng(0)
    centers = 10 * np.eye(4)
    x = np.repeat(centers, 10, 0) + 0.1 * rng.normal(size=(40, 4))
    found = o.lloyd(x, x[[0, 10, 20, 30]], iterations=5, block_size=7)
    assert np.array_equal(found.assignment, np.repeat(np.arange(4), 10))
    np.testing.assert_allclose(found.centroids, x.reshape(4, 10, 4).mean(1), rtol=1e-4, atol=1e-4)
    empty = o.lloyd(x, np.concatenate([x[:1], np.full((1, 4), 1e3)]), iterations=3)
    np.testing.assert_array_equal(empty.centroids[1], np.full(4, 1e3))
    with pytest.raises(ValueError, match="clusters is 41, expected 1 to 40"):
        o.kmeans(jax.random.key(0), x, 41)


@pytest.mark.parametrize("make", [o.patch_distillation, o.balanced_patch_distillation])
def test_patches_at_their_places_give_what_all_patches_give(make):
    """The student's logits of the hidden patches alone; what fills up the places has no part in anything."""
    arrays, objective = outputs(), make()
    most = int(arrays.mask.sum(-1).max())
    places = jnp.argsort(~arrays.mask, axis=-1, stable=True)[..., :most]  # hidden first
    student = at_places(arrays.student["patch"][:G], places)
    real = jnp.take_along_axis(arrays.mask, places, axis=-1)
    assert 0 < real.sum() < real.size
    student = jnp.where(real[..., None], student, 1e3)
    few = arrays._replace(student={"patch": student}, places=places)
    memory = objective.init(arrays)
    expected, found = (objective.apply(memory, given, 0) for given in (arrays, few))
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)


def test_schedules_are_read_at_the_step():
    schedule = o.view_distillation("scores", teacher_temperature=lambda step: 0.04 + 0.01 * step)
    fixed = o.view_distillation("scores", teacher_temperature=0.07)
    arrays = outputs()
    memory = fixed.init(arrays)
    chex.assert_trees_all_close(schedule.apply(memory, arrays, 3), fixed.apply(memory, arrays, 0), rtol=1e-5)


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="needs 'nose' of outputs.student, which has"):
        o.view_distillation("nose").apply({"center": jnp.zeros(K)}, outputs(), 0)
    with pytest.raises(ValueError, match="outputs.target, which is None"):
        o.queue_contrast(size=8).init(outputs()._replace(target=None))
    with pytest.raises(ValueError, match="outputs.mask"):
        o.patch_distillation().apply({"center": jnp.zeros(K)}, outputs()._replace(mask=None), 0)
    with pytest.raises(ValueError, match="'index' of outputs.views"):
        o.instance_memory(examples=3).apply({"bank": jnp.ones((3, D))}, outputs()._replace(views={}), 0)


def test_a_queue_keeps_its_dtype_and_can_be_carried_through_a_loop():
    queue, keys = jnp.zeros((4, 2), jnp.bfloat16), jnp.ones((3, 2, 2), jnp.bfloat16)

    def step(carry, keys):
        return o.enqueue(*carry, keys), o.nearest_neighbour(keys, carry[0])

    (queue, pointer), neighbours = jax.lax.scan(step, (queue, jnp.int32(0)), keys)
    assert queue.dtype == neighbours.dtype == jnp.bfloat16
    assert queue.tolist() == [[1.0, 1.0]] * 4 and int(pointer) == 2


def test_negatives_may_be_wider_integers_than_the_assignment():
    rng = np.random.default_rng(0)
    z, prototypes = rng.normal(size=(2, 3)), rng.normal(size=(300, 3))
    narrow, wide = (
        o.proto_nce(z, np.array([0, 1], dtype), prototypes, np.ones(300), np.array([290, 299]))
        for dtype in (np.uint8, np.int32)
    )
    np.testing.assert_array_equal(narrow, wide)
