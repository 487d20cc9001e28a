"""The authors' own numbers: values, gradients and states that their public code gave on the arrays in golden/.

in_*: inputs; hp_*: hyper-parameters; out_*: results; grad_*: gradients of the result; a leading axis of steps where the
code carries a state. Everything in double precision.
"""

from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import objectives as o

HERE = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def load(name):
    with np.load(HERE / f"{name}.npz") as arrays:
        return SimpleNamespace(**{key: arrays[key].item() if arrays[key].ndim == 0 else arrays[key] for key in arrays})


def near(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def agree(loss, arrays, value, gradients):
    ours, slopes = jax.jit(jax.value_and_grad(loss, tuple(range(len(gradients)))))(*arrays)
    near(ours, value)
    for slope, expected in zip(slopes, gradients, strict=True):
        near(slope, expected)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def tangent(gradient, x):
    """The gradient by unit vectors where the loss normalises them itself."""
    return gradient - np.sum(gradient * x, -1, keepdims=True) * x


def nhwc(images):
    return images.transpose(0, 2, 3, 1)


def crops(rows, batch):
    return rows.reshape(-1, batch, *rows.shape[1:])


def student_gradient(objective, memory, outputs, step=0):
    """(loss, gradients by the student's arrays, memory)."""

    def loss(student):
        value, new, _ = objective.apply(memory, outputs._replace(student=student), step)
        return value, new

    (value, new), slopes = jax.jit(jax.value_and_grad(loss, has_aux=True))(outputs.student)
    return value, slopes, new


@pytest.mark.parametrize("block_size", [None, 5])
def test_nt_xent(block_size):
    c = load("nt_xent")
    settings = dict(temperature=c.hp_temperature, block_size=block_size)
    agree(lambda a, b: jnp.mean(o.nt_xent(a, b, **settings)), [c.in_z0, c.in_z1], c.out_loss, [c.grad_z0, c.grad_z1])


def test_decoupled_nt_xent():
    c = load("dcl")

    def loss(sigma):
        return lambda a, b: jnp.mean(o.decoupled_nt_xent(a, b, temperature=c.hp_temperature, sigma=sigma))

    agree(loss(None), [c.in_z0, c.in_z1], c.out_loss, [c.grad_z0, c.grad_z1])
    slopes = [c.grad_z0_weighted, c.grad_z1_weighted]
    agree(loss(c.hp_sigma), [c.in_z0, c.in_z1], c.out_loss_weighted, slopes)


@pytest.mark.parametrize("block_size", [None, 3])
def test_clip(block_size):
    c = load("clip")
    a, b = c.in_image_features, c.in_text_features

    def loss(a, b, scale):
        return jnp.mean(o.symmetric_info_nce(a, b, logit_scale=scale, block_size=block_size))

    slopes = [tangent(c.grad_image_features, a), tangent(c.grad_text_features, b), c.grad_logit_scale]
    agree(loss, [a, b, c.in_logit_scale], c.out_loss, slopes)


@pytest.mark.parametrize("block_size", [None, 3])
def test_siglip(block_size):
    c = load("siglip")
    a, b = c.in_image_features, c.in_text_features

    def loss(a, b, scale, bias):
        return jnp.mean(o.sigmoid_pairwise(a, b, logit_scale=scale, logit_bias=bias, block_size=block_size))

    slopes = [tangent(c.grad_image_features, a), tangent(c.grad_text_features, b)]
    slopes += [c.grad_logit_scale, c.grad_logit_bias]
    agree(loss, [a, b, c.in_logit_scale, c.in_logit_bias], c.out_loss, slopes)


def test_supervised_contrastive():
    c = load("supcon")

    def loss(features):
        losses = o.supervised_contrastive(features[:, 0], features[:, 1], c.in_labels, temperature=c.hp_temperature)
        return c.hp_temperature / c.hp_base_temperature * jnp.mean(losses)

    agree(loss, [c.in_features], c.out_loss, [c.grad_features])


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
    loss, slopes, memory = student_gradient(objective, {"queue": c.in_queue, "pointer": c.in_queue_ptr}, outputs)
    near(loss, c.out_loss)
    near(slopes["prediction"], np.stack([c.grad_p1, c.grad_p2]))
    near(slopes["projection"], 0)
    near(memory["queue"], c.out_queue)
    assert memory["pointer"] == c.out_queue_ptr


def test_moco_v3():
    c = load("moco_v3")

    def loss(q1, q2):
        pairs = (q1, c.in_k2), (q2, c.in_k1)
        return 2 * c.hp_temperature * sum(jnp.mean(o.info_nce(*pair, temperature=c.hp_temperature)) for pair in pairs)

    agree(loss, [c.in_q1, c.in_q2], c.out_loss, [c.grad_q1, c.grad_q2])


def test_npid():
    c = load("npid")
    objective = o.instance_memory(examples=20, temperature=c.hp_temperature, momentum=c.hp_memory_momentum)
    outputs = o.Outputs({"cls": c.in_x[None]}, views={"index": c.in_index})
    loss, slopes, memory = student_gradient(objective, {"bank": c.in_memory}, outputs)
    near(loss, c.out_loss_full_softmax)
    near(slopes["cls"][0], tangent(c.grad_x_full_softmax, c.in_x))
    near(memory["bank"], c.out_memory)


def test_pcl():
    c = load("pcl_protonce")

    def loss(q):
        total = jnp.mean(o.info_nce(q, jax.lax.stop_gradient(c.in_k), c.in_queue.T, temperature=c.hp_temperature))
        for i in range(c.hp_n_clusterings):
            names = "im2cluster", "centroids", "density", "negative_proto_ids"
            own, prototypes, density, negatives = (vars(c)[f"in_{name}_{i}"] for name in names)
            arrays = q, own[c.in_index], prototypes, density / density.mean(), negatives
            total += jnp.mean(o.proto_nce(*arrays, temperature=density.mean())) / c.hp_n_clusterings
        return total

    agree(loss, [c.in_q], c.out_loss, [c.grad_q])


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


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_alignment(name):
    c = load(name)

    def loss(p1, p2, z1, z2):
        if name == "byol":
            return jnp.mean(o.normalized_mse(p1, z2) + o.normalized_mse(p2, z1))
        return jnp.mean(o.negative_cosine_similarity(p1, z2) + o.negative_cosine_similarity(p2, z1)) / 2

    agree(loss, [c.in_p1, c.in_p2, c.in_z1, c.in_z2], c.out_loss, [c.grad_p1, c.grad_p2, 0 * c.in_z1, 0 * c.in_z2])


def test_barlow_twins():
    c = load("barlow_twins")
    agree(
        lambda a, b: o.barlow_twins(a, b, off_diagonal_weight=c.hp_lambda),
        [c.in_z1, c.in_z2],
        c.out_loss,
        [c.grad_z1, c.grad_z2],
    )


def test_vicreg():
    c = load("vicreg")
    agree(o.vicreg, [c.in_z1, c.in_z2], c.out_loss, [c.grad_z1, c.grad_z2])
    near(o.vicreg(c.in_z1, c.in_z2, invariance=0, variance=1, covariance=0), c.out_variance)
    near(o.vicreg(c.in_z1, c.in_z2, invariance=0, variance=0, covariance=1), c.out_covariance)


def test_koleo():
    c = load("koleo")
    agree(lambda x: jnp.mean(o.koleo(x)), [c.in_x], c.out_loss, [c.grad_x])


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
        outputs = o.Outputs({"cls": crops(c.in_student[i], c.hp_batch)}, {"cls": crops(c.in_teacher[i], c.hp_batch)})
        loss, slopes, memory = student_gradient(objective, memory, outputs, epoch)
        near(loss, c.out_loss[i])
        near(slopes["cls"].reshape(c.grad_student[i].shape), c.grad_student[i])
        near(memory["center"], c.out_center[i, 0])


def test_ibot():
    c = load("ibot")
    steps, views, batch = c.in_mask.shape[:3]
    schedules = [jnp.asarray(x) for x in (c.out_teacher_temp_schedule, c.out_teacher_temp2_schedule)]
    objective = o.weighted_sum(
        cls=(c.hp_lambda1, o.view_distillation("cls", teacher_temperature=lambda step: schedules[0][step])),
        patch=(c.hp_lambda2, o.patch_distillation("patch", teacher_temperature=lambda step: schedules[1][step])),
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
    logits = c.hp_sinkhorn_logit_scale * c.in_teacher
    codes, _ = o.balanced(temperature=c.hp_teacher_temp).apply((), logits, None, 0)
    student = jax.nn.log_softmax(c.in_student / c.hp_student_temp)
    near(-jnp.sum(codes[:, None] * student) / student.shape[1], c.out_loss_sinkhorn)


def test_dinov2_patches():
    c = load("dinov2_patch_loss")

    def loss(student):
        arrays = student, c.in_teacher, c.in_mask, jnp.zeros(c.in_teacher.shape[-1])
        return jnp.mean(o.masked_patch_distillation(*arrays, teacher_temperature=c.hp_teacher_temp))

    agree(loss, [c.in_student], c.out_loss_full, [c.grad_student_full])


def test_sinkhorn_knopp():
    c = load("sinkhorn_knopp")
    near(o.sinkhorn_knopp(c.in_logits, temperature=c.hp_temperature), c.out_assignments)


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


@pytest.mark.parametrize("normalize", [False, True])
def test_mae(normalize):
    c = load("mae")
    patches = o.patchify(nhwc(c.in_imgs), c.hp_patch_size)
    near(patches, c.out_patches)

    def loss(prediction):
        return jnp.mean(o.masked_reconstruction(prediction, patches, c.out_mask == 1, normalize_target=normalize))

    kind = "normpix" if normalize else "raw"
    agree(loss, [c.in_pred], vars(c)[f"out_loss_{kind}"], [vars(c)[f"grad_pred_{kind}"]])


def test_ijepa():
    c = load("ijepa")

    def loss(prediction):
        hidden = jnp.ones(c.in_pred.shape[:2], bool)
        return jnp.mean(o.masked_reconstruction(prediction, c.out_targets, hidden, distance="smooth_l1"))

    agree(loss, [c.in_pred], c.out_loss, [c.grad_pred])


def test_beit():
    c = load("beit")
    mask, tokens = (x.reshape(len(x), -1) for x in (c.in_mask.astype(bool), c.in_token_ids))
    hidden = np.nonzero(mask)

    def loss(predicted):
        logits = jnp.zeros((*mask.shape, c.hp_vocab)).at[hidden].set(predicted)
        return jnp.sum(o.masked_token_cross_entropy(logits, tokens, mask) * mask.sum(-1)) / mask.sum()

    agree(loss, [c.in_logits_masked], c.out_loss, [c.grad_logits_masked])


def test_hog():
    c = load("maskfeat_hog")
    batch, channels, bins, rows, columns = c.out_hog.shape
    features = o.hog(nhwc(c.in_images), bins=bins, cell=c.hp_pool)
    near(features, c.out_hog.transpose(0, 3, 4, 1, 2).reshape(batch, rows, columns, channels * bins))


def test_sincos_position_embedding():
    c = load("sincos_pos_embed_2d")
    near(o.sincos_position_embedding(c.hp_embed_dim, (c.hp_grid_size, c.hp_grid_size)), c.out_pos_embed)
