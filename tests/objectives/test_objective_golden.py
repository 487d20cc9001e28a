"""The losses on the authors' own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import objectives as o
from tests.objectives.golden_numbers import agree, load, near, nhwc, tangent


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("block_size", [None, 5])
def test_nt_xent(block_size):
    c = load("nt_xent")
    settings = dict(temperature=c.hp_temperature, block_size=block_size)
    agree(
        lambda a, b: jnp.mean(o.nt_xent(a, b, **settings)),
        [c.in_z0, c.in_z1],
        c.out_loss,
        [c.grad_z0, c.grad_z1],
    )


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
        losses = o.supervised_contrastive(
            features[:, 0], features[:, 1], c.in_labels, temperature=c.hp_temperature
        )
        return c.hp_temperature / c.hp_base_temperature * jnp.mean(losses)

    agree(loss, [c.in_features], c.out_loss, [c.grad_features])


def test_moco_v3():
    c = load("moco_v3")

    def loss(q1, q2):
        pairs = (q1, c.in_k2), (q2, c.in_k1)
        return sum(jnp.mean(o.scaled_info_nce(*pair, temperature=c.hp_temperature)) for pair in pairs)

    agree(loss, [c.in_q1, c.in_q2], c.out_loss, [c.grad_q1, c.grad_q2])


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_alignment(name):
    c = load(name)

    def loss(p1, p2, z1, z2):
        if name == "byol":
            return jnp.mean(o.normalized_mse(p1, z2) + o.normalized_mse(p2, z1))
        return jnp.mean(o.negative_cosine_similarity(p1, z2) + o.negative_cosine_similarity(p2, z1)) / 2

    agree(
        loss,
        [c.in_p1, c.in_p2, c.in_z1, c.in_z2],
        c.out_loss,
        [c.grad_p1, c.grad_p2, 0 * c.in_z1, 0 * c.in_z2],
    )


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


def test_dinov2_patches():
    c = load("dinov2_patch_loss")

    def loss(student):
        arrays = student, c.in_teacher, c.in_mask, jnp.zeros(c.in_teacher.shape[-1])
        return jnp.mean(o.masked_patch_distillation(*arrays, teacher_temperature=c.hp_teacher_temp))

    agree(loss, [c.in_student], c.out_loss_full, [c.grad_student_full])


def test_sinkhorn_knopp():
    c = load("sinkhorn_knopp")
    near(o.sinkhorn_knopp(c.in_logits, temperature=c.hp_temperature), c.out_assignments)


@pytest.mark.parametrize("normalize", [False, True])
def test_mae(normalize):
    c = load("mae")
    patches = o.patchify(nhwc(c.in_imgs), c.hp_patch_size)
    near(patches, c.out_patches)

    def loss(prediction):
        return jnp.mean(
            o.masked_reconstruction(prediction, patches, c.out_mask == 1, normalize_target=normalize)
        )

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
