"""The losses on the authors' own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import objectives as o
from jssl.methods.pairs import over_hidden
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


def test_invariant_spreading():
    c = load("spreading_instance")
    rows = c.in_x.reshape(2, -1, c.in_x.shape[-1])
    slopes = tangent(c.grad_x, c.in_x).reshape(rows.shape)
    agree(
        lambda a, b: jnp.mean(o.invariant_spreading(a, b, temperature=c.hp_temperature)),
        list(rows),
        c.out_loss,
        list(slopes),
    )


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


def test_cpc_along_a_sequence():
    """CPC's loss of sound: products are averaged over features, negatives are shared by all offsets."""
    c = load("cpc")
    length, steps = c.in_context.shape[1], c.hp_n_predicts

    def losses(context, encoded, maps):
        window, dim = length - steps, encoded.shape[-1]
        negatives = encoded.reshape(-1, dim)[c.in_negative_index].swapaxes(1, 2)  # [B, T, negatives, D]
        for k in range(1, steps + 1):
            made = context[:, :window] @ maps[k - 1].T
            candidates = jnp.concatenate([encoded[:, k : k + window, None], negatives], axis=2)
            each = jax.vmap(lambda p, t: o.place_contrast(p[None], t, jnp.array([0]), scale=1 / p.shape[-1]))
            flat = made.reshape(-1, dim), candidates.reshape(-1, candidates.shape[2], dim)
            yield jnp.mean(each(*flat))

    arrays = [c.in_context, c.in_encoded, c.in_prediction_weights]
    slopes = [c.grad_context, c.grad_encoded, c.grad_prediction_weights]
    near(jnp.stack(list(losses(*arrays))), c.out_loss_per_step)
    agree(lambda *arrays: sum(losses(*arrays)), arrays, c.out_loss_per_step.sum(), slopes)


def test_cpc_on_a_grid_of_patches():
    """With the authors' draw of negatives: every place chooses among its own five candidates."""
    c = load("cpc_image")

    def loss(z, context, maps):
        z, context = z.transpose(0, 2, 3, 1), context.transpose(0, 2, 3, 1)
        steps = []
        for k in range(c.hp_prediction_steps):
            below = k + 1 + c.hp_skip_step
            rows = z[:, below:].transpose(1, 2, 0, 3)  # the places of negatives are numbered in this order
            made = (context[:, :-below] @ maps[k]).transpose(1, 2, 0, 3).reshape(-1, maps.shape[-1])
            positive = rows.reshape(-1, rows.shape[-1])
            drawn = positive[vars(c)[f"in_negative_index_{k}"]].reshape(len(made), -1, rows.shape[-1])
            candidates = jnp.concatenate([positive[:, None], drawn], axis=1)
            each = jax.vmap(lambda p, t: o.place_contrast(p[None], t, jnp.array([0]), scale=1.0))
            steps.append(jnp.mean(each(made, candidates)))
        return sum(steps) / len(steps)

    agree(loss, [c.in_z, c.in_c, c.in_W], c.out_loss, [c.grad_z, c.grad_c, c.grad_W])


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


@pytest.mark.parametrize("name, norm", [("data2vec_vision", -1), ("data2vec_instance_norm", -2)])
def test_data2vec(name, norm):
    """The authors add up over features and tokens, and scale."""
    c = load(name)
    settings = dict(last=c.hp_average_top_k_layers, each=norm, mean=None)
    targets, mask = o.averaged_blocks(list(c.in_teacher_layers), **settings), c.in_mask.astype(bool)
    near(targets, c.out_targets)
    scale = c.hp_loss_scale * targets.shape[-1] * mask.sum()
    objective = o.patch_regression(beta=c.hp_loss_beta)

    def loss(prediction):
        pair = ({"patch": x[None]} for x in (prediction, targets))
        return scale * objective.apply((), o.Outputs(*pair, mask=mask[None]), 0)[0]

    agree(loss, [c.in_pred], c.out_loss_sum, [c.grad_pred_of_loss_sum])


@pytest.mark.parametrize("axis", [-1, -2])
def test_data2vecs_targets_are_exact_whatever_the_mean(axis):
    """As torch's norms are. mean(x^2) - mean(x)^2 in float32 would be wrong by half."""
    block = np.random.default_rng(0).normal(100, 0.1, (1, 64, 32)).astype(np.float32)
    exact = block - block.mean(axis, keepdims=True, dtype=float)
    exact /= np.sqrt(np.square(exact).mean(axis, keepdims=True) + 1e-5)
    np.testing.assert_allclose(o.averaged_blocks([block], each=axis, mean=None), exact, atol=2e-3)


def test_sdae():
    c = load("sdae")

    def loss(prediction):
        hidden = c.in_mask.astype(bool)
        return jnp.mean(
            o.masked_reconstruction(
                prediction, c.in_teacher, hidden, distance="cosine", normalize_target=True
            )
        )

    agree(loss, [c.in_pred], c.out_loss, [c.grad_pred])


def test_cmae():
    c = load("cmae")
    target, mask = o.patchify(nhwc(c.in_images), c.hp_patch_size), c.in_mask == 1

    def loss(pixels, student):
        losses = o.masked_reconstruction(pixels, target, mask, normalize_target=True)
        pairs = student[:, 0], c.in_proj_teacher[:, 0]
        contrast = jnp.mean(o.scaled_info_nce(*pairs, temperature=c.hp_temperature))
        return jnp.sum(losses * mask.sum(-1)) / mask.sum() + contrast

    slopes = [c.grad_pred_pixel, c.grad_pred_student]
    agree(loss, [c.in_pred_pixel, c.in_pred_student], c.out_loss, slopes)


def test_beit():
    c = load("beit")
    mask, tokens = (x.reshape(len(x), -1) for x in (c.in_mask.astype(bool), c.in_token_ids))
    hidden = np.nonzero(mask)

    def loss(predicted):
        logits = jnp.zeros((*mask.shape, c.hp_vocab)).at[hidden].set(predicted)
        outputs = o.Outputs({"patch": logits[None]}, {"patch": jnp.asarray(tokens)[None]}, mask[None])
        return over_hidden(o.masked_token_cross_entropy).apply((), outputs, 0)[0]

    agree(loss, [c.in_logits_masked], c.out_loss, [c.grad_logits_masked])


def test_hog():
    c = load("maskfeat_hog")
    batch, channels, bins, rows, columns = c.out_hog.shape
    features = o.hog(nhwc(c.in_images), bins=bins, cell=c.hp_pool)
    near(features, c.out_hog.transpose(0, 3, 4, 1, 2).reshape(batch, rows, columns, channels * bins))


def test_maskfeat():
    c = load("maskfeat_hog")
    target = o.hog_of_patches(nhwc(c.in_images), c.hp_pool * c.hp_feature_grid, cell=c.hp_pool)
    mask = c.in_mask.astype(bool)
    near(target[mask], c.out_labels_masked)

    def loss(predicted):
        prediction = jnp.zeros(target.shape).at[np.nonzero(mask)].set(predicted)
        outputs = o.Outputs({"patch": prediction[None]}, {"patch": target[None]}, mask[None])
        return over_hidden(o.masked_reconstruction).apply((), outputs, 0)[0]

    agree(loss, [c.in_pred], c.out_loss, [c.grad_pred])


def test_sincos_position_embedding():
    c = load("sincos_pos_embed_2d")
    near(o.sincos_position_embedding(c.hp_embed_dim, (c.hp_grid_size, c.hp_grid_size)), c.out_pos_embed)
