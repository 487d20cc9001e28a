"""The objectives that remember, and their states, on the authors' own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import objectives as o
from jssl.objectives import pcl
from tests.objectives.golden_numbers import crops, load, near, tangent


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def student_gradient(objective, memory, outputs, step=0):
    """(loss, gradients by the student's arrays, memory)."""

    def loss(student):
        value, new, _ = objective.apply(memory, outputs._replace(student=student), step)
        return value, new

    (value, new), slopes = jax.jit(jax.value_and_grad(loss, has_aux=True))(outputs.student)
    return value, slopes, new


def test_moco():
    c = load("moco_queue")
    objective = o.queue_contrast(size=c.hp_queue_size, temperature=c.hp_temperature)
    memory = {"queue": c.in_queue0.T, "pointer": c.in_queue_ptr0}
    for i in range(len(c.in_q)):
        outputs = o.Outputs({"cls": c.in_q[i][None]}, {"cls": c.in_k[i][None]})
        loss, slopes, memory = student_gradient(objective, memory, outputs)
        near(loss, c.out_loss[i])
        near(slopes["cls"][0], c.grad_q[i])
        near(memory["queue"], c.out_queue[i].T)
        assert memory["pointer"] == c.out_queue_ptr[i]


def test_ressl():
    c = load("ressl")
    objective = o.relational(
        size=c.hp_queue_size,
        student_temperature=c.hp_temperature_student,
        teacher_temperature=c.hp_temperature_teacher,
    )
    memory = {"queue": c.in_queue0.T, "pointer": c.in_queue_ptr0}
    for i in range(len(c.in_q)):
        outputs = o.Outputs({"cls": c.in_q[i][None]}, {"cls": c.in_k[i][None]})
        loss, slopes, memory = student_gradient(objective, memory, outputs)
        near(loss, c.out_loss[i])
        near(slopes["cls"][0], c.grad_q[i])
        near(memory["queue"], c.out_queue[i].T)


def test_nnclr():
    c = load("nnclr")
    objective = o.neighbour_contrast(size=c.hp_queue_size, temperature=c.hp_temperature)
    outputs = o.Outputs(
        {"prediction": np.stack([c.in_p1, c.in_p2]), "projection": np.stack([c.in_z1, c.in_z2])}
    )
    loss, slopes, memory = student_gradient(
        objective, {"queue": c.in_queue, "pointer": c.in_queue_ptr}, outputs
    )
    near(loss, c.out_loss)
    near(slopes["prediction"], np.stack([c.grad_p1, c.grad_p2]))
    near(slopes["projection"], 0)
    near(memory["queue"], c.out_queue)
    assert memory["pointer"] == c.out_queue_ptr


def test_npid():
    c = load("npid")
    objective = o.instance_memory(examples=20, temperature=c.hp_temperature, momentum=c.hp_memory_momentum)
    outputs = o.Outputs({"cls": c.in_x[None]}, views={"index": c.in_index})
    loss, slopes, memory = student_gradient(objective, {"bank": c.in_memory}, outputs)
    near(loss, c.out_loss_full_softmax)
    near(slopes["cls"][0], tangent(c.grad_x_full_softmax, c.in_x))
    near(memory["bank"], c.out_memory)


def test_npid_with_noise(monkeypatch):
    """With the authors' draw of negatives in place of ours; they add 1e-7 to the odds of noise."""
    c = load("npid")
    monkeypatch.setattr(jax.random, "randint", lambda *_: jnp.asarray(c.in_noise_index[:, 1:]))
    objective = o.instance_memory(
        examples=20, temperature=c.hp_temperature, momentum=c.hp_memory_momentum, negatives=c.hp_K
    )
    outputs = o.Outputs({"cls": c.in_x[None]}, views={"index": c.in_noise_index[:, 0]})
    memory = {"bank": c.in_memory, "normalizer": np.array(c.hp_Z)}
    loss, slopes, memory = student_gradient(objective, memory, outputs)
    np.testing.assert_allclose(loss, c.out_loss_nce[0], rtol=3e-6)
    np.testing.assert_allclose(slopes["cls"][0], tangent(c.grad_x_nce, c.in_x), rtol=3e-6, atol=3e-6)
    near(memory["normalizer"], c.out_nce_Z)
    near(memory["bank"], c.out_memory_nce)


def test_pcl(monkeypatch):
    """With the authors' draw of negatives in place of ours."""
    c = load("pcl_protonce")
    every = range(c.hp_n_clusterings)
    names = "im2cluster", "centroids", "density", "negative_proto_ids"
    draws = iter([vars(c)[f"in_negative_proto_ids_{i}"] for i in every])
    monkeypatch.setattr(pcl, "_nobodys", lambda key, own, prototypes, most: next(draws))
    clusterings = []
    for i in every:
        assignment, prototypes, density, _ = (vars(c)[f"in_{name}_{i}"] for name in names)
        density = density / c.hp_temperature  # theirs has the temperature in it
        clusterings.append({"assignment": assignment, "prototypes": prototypes, "density": density})
    examples = len(clusterings[0]["assignment"])
    prototype = o.prototype_contrast(examples=examples, temperature=c.hp_temperature)
    objective = o.weighted_sum(
        instance=(1.0, o.queue_contrast(size=c.in_queue.shape[1], temperature=c.hp_temperature)),
        prototype=(1.0, prototype),
    )
    bank = np.ones((examples, c.in_q.shape[1]))
    memory = {
        "instance": {"queue": c.in_queue.T, "pointer": np.array(0)},
        "prototype": {"bank": bank, "clusterings": clusterings, "clustered": np.array(True)},
    }
    outputs = o.Outputs({"cls": c.in_q[None]}, {"cls": c.in_k[None]}, views={"index": c.in_index})
    loss, slopes, memory = student_gradient(objective, memory, outputs)
    near(loss, c.out_loss)
    near(slopes["cls"][0], c.grad_q)


def test_pcl_density():
    c = load("pcl_density")
    density = o.concentration(c.in_sq_distance, c.in_assignment, len(c.in_centroids_raw))
    near(c.hp_temperature * density, c.out_density)


def test_spherical_kmeans_of_deepcluster():
    c = load("deepcluster_v2")
    for i in range(3):
        bank = c.in_memory[i % 2]
        start = bank[vars(c)[f"in_init_index_{i}"]]
        found = o.lloyd(bank, start, iterations=c.hp_kmeans_iters, spherical=True, block_size=7)
        near(found.centroids, vars(c)[f"out_centroids_{i}"])
        near(found.assignment, c.out_assignments[i])


def test_deepcluster():
    c = load("deepcluster_v2")
    memory, examples = c.in_memory, c.in_memory.shape[1]
    clusterings = [
        {"assignment": c.out_assignments[i], "prototypes": vars(c)[f"out_centroids_{i}"]} for i in range(3)
    ]
    objective = o.cluster_classification(examples=examples, clusters=(4, 4, 4), temperature=c.hp_temperature)
    memory = {"bank": memory, "clusterings": clusterings, "clustered": np.array(True)}
    features = crops(c.in_features, len(c.in_index))
    outputs = o.Outputs({"cls": features}, views={"index": c.in_index})
    loss, slopes, after = student_gradient(objective, memory, outputs)
    near(loss, c.out_loss)
    near(slopes["cls"], tangent(crops(c.grad_features, len(c.in_index)), features))
    written = c.out_memory_after[:, : len(c.in_index)]  # theirs lie in the order of the batches
    near(after["bank"][:, c.out_memory_index_after[: len(c.in_index)]], written)


def test_smog():
    c = load("smog")
    objective = o.momentum_grouping(
        groups=len(c.in_groups0), momentum=c.hp_beta, temperature=c.hp_temperature, recent=12
    )
    memory = {"groups": c.in_groups0, "queue": np.ones((12, 8)), "pointer": np.array(0)}
    for i in range(len(c.out_loss)):
        student = {"prediction": c.in_student_predicted[i][None], "projection": c.in_student_encoded[i][None]}
        outputs = o.Outputs(student, {"projection": c.in_teacher_encoded[i][None]})
        assert np.array_equal(
            o.nearest_group(c.in_teacher_encoded[i], memory["groups"]), c.out_assignments[i]
        )
        loss, slopes, memory = student_gradient(objective, memory, outputs)
        near(loss, c.out_loss[i])
        near(slopes["prediction"][0], c.grad_student_predicted[i])
        near(slopes["projection"][0], c.grad_student_encoded[i])
        near(memory["groups"], c.out_groups[i])


def test_dino():
    c = load("dino")
    temperatures = jnp.asarray(c.out_teacher_temp_schedule)
    objective = o.view_distillation(
        student_temperature=c.hp_student_temp,
        teacher_temperature=lambda step: temperatures[step],
        center_momentum=c.hp_center_momentum,
    )
    memory = {"center": c.in_center0[0]}
    for i, epoch in enumerate(c.in_epoch):
        outputs = o.Outputs(
            {"cls": crops(c.in_student[i], c.hp_batch)}, {"cls": crops(c.in_teacher[i], c.hp_batch)}
        )
        loss, slopes, memory = student_gradient(objective, memory, outputs, epoch)
        near(loss, c.out_loss[i])
        near(slopes["cls"].reshape(c.grad_student[i].shape), c.grad_student[i])
        near(memory["center"], c.out_center[i, 0])


def test_ibot():
    c = load("ibot")
    _, views, batch = c.in_mask.shape[:3]
    schedules = [jnp.asarray(x) for x in (c.out_teacher_temp_schedule, c.out_teacher_temp2_schedule)]
    objective = o.weighted_sum(
        cls=(c.hp_lambda1, o.view_distillation("cls", teacher_temperature=lambda step: schedules[0][step])),
        patch=(
            c.hp_lambda2,
            o.patch_distillation("patch", teacher_temperature=lambda step: schedules[1][step]),
        ),
    )
    memory = None
    for i, epoch in enumerate(c.in_epoch):
        cls = np.concatenate([c.in_student_cls[i], c.in_student_local_cls[i]])
        outputs = o.Outputs(
            {"cls": crops(cls, batch), "patch": crops(c.in_student_patch[i], batch)},
            {"cls": crops(c.in_teacher_cls[i], batch), "patch": crops(c.in_teacher_patch[i], batch)},
            mask=c.in_mask[i].reshape(views, batch, -1),
        )
        memory = objective.init(outputs) if memory is None else memory
        loss, slopes, memory = student_gradient(objective, memory, outputs, epoch)
        near(loss, c.out_loss[i])
        expected = np.concatenate([c.grad_student_cls[i], c.grad_student_local_cls[i]])
        near(slopes["cls"].reshape(expected.shape), expected)
        near(slopes["patch"].reshape(c.grad_student_patch[i].shape), c.grad_student_patch[i])
        near(memory["cls"]["center"], c.out_center_cls[i, 0])
        near(memory["patch"]["center"], c.out_center_patch[i, 0, 0])


def test_dinov2_class_tokens_with_balanced_targets():
    c = load("dinov2_cls_loss")
    objective = o.balanced_view_distillation(
        student_temperature=c.hp_student_temp, teacher_temperature=c.hp_teacher_temp
    )
    # The authors sum over all pairs; two views of uniform predictions go before, since a view is not compared
    # with itself.
    uniform = np.zeros_like(c.in_student[:2])
    student = {"cls": np.concatenate([uniform, c.in_student])}
    teacher = {"cls": c.hp_sinkhorn_logit_scale * c.in_teacher}
    loss, _, _ = objective.apply((), o.Outputs(student, teacher), 0)
    near(8 * loss - 2 * np.log(uniform.shape[-1]), c.out_loss_sinkhorn)


@pytest.mark.parametrize("name", ["swav", "swav_queue"])
def test_swav(name):
    c = load(name)
    past = c.in_queue if name == "swav_queue" else None
    objective = o.swapped_assignment(
        temperature=c.hp_temperature, epsilon=c.hp_epsilon, queue=0 if past is None else past.shape[1]
    )
    student = {
        "scores": crops(c.out_scores, c.hp_batch),
        "projection": crops(c.in_features, c.hp_batch),
        "prototypes": c.in_prototypes,
    }
    memory = {} if past is None else {"queue": past}
    loss, slopes, memory = student_gradient(objective, memory, o.Outputs(student))
    near(loss, c.out_loss)
    near(slopes["scores"].reshape(c.grad_scores.shape), c.grad_scores)
    if past is not None:
        near(memory["queue"], c.out_queue)


def test_msn():
    c = load("msn")
    student = {"cls": c.in_anchor.reshape(c.hp_num_views, *c.in_target.shape), "prototypes": c.in_prototypes}
    objective = o.masked_siamese_objective(temperature=c.hp_tau, sharpening=c.hp_sharpen_T)
    loss, slopes, _ = student_gradient(objective, (), o.Outputs(student, {"cls": c.in_target[None]}))
    near(loss, c.out_loss)
    near(slopes["cls"].reshape(c.grad_anchor.shape), c.grad_anchor)
    near(slopes["prototypes"], c.grad_prototypes)
