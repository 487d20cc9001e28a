"""What MSN drops, what data2vec's targets are made of, and whose patches SdAE's teacher sees."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import collecting, methods, models, objectives
from jssl.optim import constant, every
from tests.methods import toys

SIDE, PATCH, BATCH = 16, 4, 4
GRID = (SIDE // PATCH,) * 2
N = GRID[0] * GRID[1]
VIT = models.ViT(patch=PATCH, dim=16, depth=2, heads=2)
KEY = jax.random.key(3)
MADE = {
    "msn": lambda: methods.msn(VIT, prototypes=6, head=models.msn_head(8, hidden=16), ratio=0.3),
    "dino": lambda: methods.dino(VIT, prototypes=6, head=partial(models.dino_head, hidden=16, bottleneck=8)),
    "ibot": lambda: methods.ibot(VIT, prototypes=6, head=partial(models.dino_head, hidden=16, bottleneck=8)),
    "data2vec": lambda: methods.data2vec(VIT, layers=2, ratio=0.5),
    "last_block": lambda: methods.data2vec(VIT, layers=1, ratio=0.5, each=None, mean=None),
    "sdae": lambda: methods.sdae(VIT, decoder=models.MaskedDecoder(16, dim=8, depth=1, heads=2)),
    "mae": lambda: methods.mae(VIT, decoder=models.mae_decoder(PATCH, dim=8, depth=1, heads=2)),
}


def images_of(number):
    return jax.random.normal(jax.random.key(number), (BATCH, SIDE, SIDE, 3))


def views_of(*images):
    return {"global": jnp.stack(images), "index": jnp.arange(BATCH)}


@cache
def seen_by(name):
    """Views -> what the objective sees of them, under one key; and the teacher's parameters."""
    method, views = MADE[name](), views_of(images_of(0), images_of(1))
    params, memory = jax.jit(method.init)(jax.random.key(2), views)
    params = jax.tree.map(lambda x: x + 0.1, params)  # away from zeros
    teacher = method.teacher and jax.tree.map(lambda x: 1.1 * x, method.teacher.init(params))
    outputs = jax.jit(lambda views: method.outputs(params, teacher, memory, views, KEY)._replace(views=None))
    return outputs, teacher


def pixels(mask):
    """[..., N] -> the same of pixels, [..., H, W, 1]."""
    return jnp.kron(mask.reshape(*mask.shape[:-1], *GRID), jnp.ones((PATCH, PATCH)))[..., None]


# MSN


def test_what_an_anchor_drops_changes_nothing_and_it_is_dropped():
    anchor, target, noise = images_of(0), images_of(1), images_of(2)
    outputs, _ = seen_by("msn")
    first = outputs(views_of(anchor, target))
    hidden = pixels(first.mask[0])
    assert first.mask.shape == (1, BATCH, N)
    np.testing.assert_array_equal(first.mask.sum(-1), N - int(N * 0.7))
    assert first.student["tokens"].shape == (1, BATCH, int(N * 0.7), 16)
    changed = outputs(views_of(anchor + noise * hidden, target))
    np.testing.assert_array_equal(first.student["cls"], changed.student["cls"])
    np.testing.assert_array_equal(first.target["cls"], changed.target["cls"])
    changed = outputs(views_of(anchor + noise * (1 - hidden), target))
    assert np.all(np.abs(first.student["cls"] - changed.student["cls"]).max((0, 2)) > 1e-3)
    for neighbour in ("dino", "ibot"):  # one drops nothing, and the other's hidden patches are tokens
        outputs, _ = seen_by(neighbour)
        first, changed = outputs(views_of(anchor, target)), outputs(views_of(anchor + noise * hidden, target))
        assert not np.array_equal(first.student["cls"], changed.student["cls"])
        assert first.student["tokens"].shape == (2, BATCH, N, 16)


def test_msns_prototypes_are_the_students_and_in_any_order():
    outputs, teacher = seen_by("msn")
    assert set(teacher) == {"encoder", "cls"}
    found, objective = outputs(views_of(images_of(0), images_of(1))), objectives.masked_siamese_objective()
    order = jnp.array([3, 1, 5, 0, 2, 4])
    mixed = found.student | {"prototypes": found.student["prototypes"][order]}
    losses = [objective.apply((), one, 0)[0] for one in (found, found._replace(student=mixed))]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    assert found.student["prototypes"].shape == (6, 8) and "prototypes" not in found.target


def test_one_prototype_for_all_has_the_largest_penalty():
    z, prototypes = jnp.tile(jnp.eye(5)[:1], (4, 1)), jnp.eye(5)
    loss, figures = objectives.masked_siamese(z[None], z, prototypes, temperature=0.01, sinkhorn=False)
    np.testing.assert_allclose(loss - figures["cross_entropy"], np.log(5), atol=1e-5)


# data2vec


def test_with_one_block_and_no_norm_data2vec_regresses_the_teachers_last_block():
    outputs, teacher = seen_by("last_block")
    images = images_of(0)
    blocks = jax.jit(collecting(VIT, "blocks").apply)(teacher["encoder"], {}, images)[0].inner["blocks"]
    found = outputs(views_of(images)).target["patch"]
    np.testing.assert_allclose(found[0], blocks[-1][:, 1:], rtol=1e-4, atol=1e-5)
    assert np.abs(blocks[-1] - blocks[0]).max() > 0.1


def test_data2vecs_targets_are_standardised_means_of_the_blocks():
    outputs, teacher = seen_by("data2vec")
    images = images_of(0)
    blocks = jax.jit(collecting(VIT, "blocks").apply)(teacher["encoder"], {}, images)[0].inner["blocks"]
    norm = lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)  # noqa: E731
    wanted = norm(sum(norm(np.asarray(x[:, 1:], np.float64)) for x in blocks) / 2)
    np.testing.assert_allclose(outputs(views_of(images)).target["patch"][0], wanted, atol=1e-4)


def moved_targets(name, places):
    """[places, B, N]: the targets that change with the pixels at each place."""
    outputs, _ = seen_by(name)
    images, other = images_of(0), images_of(2)
    first = outputs(views_of(images)).target["patch"]

    def moved(place):
        chosen = pixels(jnp.arange(N) == place)
        after = outputs(views_of(jnp.where(chosen, other, images))).target["patch"]
        return np.abs(after - first).max((0, -1)) > 0

    return np.stack([moved(place) for place in places])


def test_a_target_of_data2vec_depends_on_every_patch_and_one_of_mae_on_its_own():
    assert moved_targets("data2vec", (0, 9)).all()
    np.testing.assert_array_equal(
        moved_targets("mae", (0, 9)), np.repeat(np.eye(N, dtype=bool)[[0, 9]][:, None], BATCH, 1)
    )


def test_a_collapsed_teacher_shows_in_data2vecs_figures():
    objective, mask = objectives.patch_regression(), jnp.ones((1, 2, 3), bool)
    spread = {}
    for name, target in (("same", jnp.ones((1, 2, 3, 4))), ("all", images_of(0)[None, :2, :3, :4, 0])):
        target = jnp.broadcast_to(target, (1, 2, 3, 4))
        outputs = objectives.Outputs({"patch": target}, {"patch": target}, mask=mask)
        loss, _, figures = objective.apply((), outputs, 0)
        spread[name] = float(figures["target_std"])
        assert loss == 0
    assert spread["same"] == 0 and spread["all"] > 0.5


def test_data2vec_weighs_hidden_patches_and_not_images():
    """Errors of 1 at three hidden patches and of 2 at one: (3 x 1 + 4) / 4 squares, over 2 beta."""
    mask = jnp.array([[True, True, True], [True, False, False]])[None]
    target = jnp.broadcast_to(jnp.array([1.0, 2.0])[None, :, None, None], (1, 2, 3, 4))
    outputs = objectives.Outputs({"patch": 0 * target}, {"patch": target}, mask=mask)
    assert float(objectives.patch_regression(beta=4.0).apply((), outputs, 0)[0]) == 7 / 4 / 8


def test_what_predicts_zero_has_a_known_loss():
    """A quarter of the variance at beta 2, for targets that are seldom beyond it."""
    target = jax.nn.standardize(jax.random.uniform(KEY, (4, 64, 32)), axis=-1)
    hidden = jnp.ones((4, 64), bool)
    loss = objectives.masked_reconstruction(0 * target, target, hidden, distance="smooth_l1", beta=2.0)
    np.testing.assert_allclose(loss.mean(), 0.25, atol=1e-3)


# SdAE


def test_sdaes_folds_do_not_see_each_other_nor_what_is_visible():
    outputs, _ = seen_by("sdae")
    found = outputs(views_of(images_of(0)))
    mask, moved = np.asarray(found.mask[0]), moved_targets("sdae", range(N)).swapaxes(0, 1)
    assert np.all(mask.sum(-1) == 12) and found.student["tokens"].shape == (1, BATCH, 4, 16)
    for hidden, sees in zip(mask, moved, strict=True):  # sees[p, n]: the target of n moves with patch p
        assert not sees[~hidden].any() and not sees[:, ~hidden].any()
        assert np.all(sees[hidden].sum(-1) == 4) and np.all(np.diag(sees)[hidden])
        np.testing.assert_array_equal(sees, sees.T)
        assert len({row.tobytes() for row in sees[hidden]}) == 3  # equal and disjoint folds that cover them
    assert moved_targets("data2vec", (0,)).sum() == BATCH * N  # unlike its neighbour's


def test_folds_are_dealt_anew_for_each_image():
    moved = moved_targets("sdae", range(N)).swapaxes(0, 1)
    assert len({one.tobytes() for one in moved}) == BATCH


def test_sdaes_teacher_moves_at_the_end_of_an_epoch_alone():
    method = methods.sdae(VIT, decoder=models.MaskedDecoder(16, 8, 1, 2), momentum=every(2, constant(0.5)))
    batches = [toys.batch(i, size=BATCH, side=SIDE) for i in range(4)]
    states, _ = toys.record(method, optax.sgd(0.5), toys.noisy(1), batches)
    teachers = [np.concatenate([x.ravel() for x in jax.tree.leaves(state.teacher)]) for state in states]
    still = [np.array_equal(a, b) for a, b in zip(teachers, teachers[1:], strict=False)]
    assert still == [True, False, True, False]
    expected = jax.tree.map(
        lambda t, p: (t + p) / 2, states[1].teacher["encoder"], states[2].params["encoder"]
    )
    for a, b in zip(*map(jax.tree.leaves, (states[2].teacher["encoder"], expected)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_sdaes_loss_is_between_0_and_2_and_blind_to_affine_maps_of_the_teacher():
    prediction, teacher = (jax.random.normal(jax.random.key(i), (2, 5, 7)) for i in (0, 1))
    loss = partial(
        objectives.masked_reconstruction,
        mask=jnp.ones((2, 5), bool),
        distance="cosine",
        normalize_target=True,
    )
    np.testing.assert_allclose(loss(prediction, teacher), loss(prediction, 3 * teacher + 2), atol=1e-5)
    standardised = jax.nn.standardize(teacher, axis=-1)
    np.testing.assert_allclose(loss(standardised, teacher), 0, atol=1e-5)
    np.testing.assert_allclose(loss(-standardised, teacher), 2, atol=1e-5)


def test_folds_that_do_not_divide_the_hidden_patches_are_refused():
    method = methods.sdae(VIT, decoder=models.MaskedDecoder(16, 8, 1, 2), folds=5)
    with pytest.raises(ValueError, match="folds=5 must divide the 12 hidden patches"):
        jax.eval_shape(method.init, KEY, views_of(images_of(0)))


def test_where_the_square_ends_at_once_data2vecs_distance_is_the_absolute_one():
    prediction, target = (jax.random.normal(jax.random.key(i), (2, 5, 7)) for i in (0, 1))
    loss = partial(objectives.masked_reconstruction, prediction, target, jnp.ones((2, 5), bool))
    np.testing.assert_allclose(loss(distance="smooth_l1", beta=1e-6), loss(distance="l1"), rtol=1e-5)
    wide = loss(distance="smooth_l1", beta=2.0)
    assert np.all(np.abs(wide - loss(distance="l1")) > 0.1)
