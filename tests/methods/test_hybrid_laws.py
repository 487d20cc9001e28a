"""SplitMask's halves, CMAE's two branches, and what SiT restores."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import methods, models, objectives
from jssl.data import cmae as cmae_views
from jssl.data import corrupted
from jssl.masks import unit_mask
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.pairs import over_patches
from jssl.models.masked.autoencoder import encode_decode
from tests.methods import toys
from tests.methods.test_latent_laws import BATCH, KEY, PATCH, SIDE, VIT, N, images_of, pixels, views_of

DECODER = models.mae_decoder(PATCH, dim=8, depth=1, heads=2)
HEADS = dict(projection=models.byol_head(8, hidden=16), prediction=models.byol_head(8, hidden=16))


def cmae(**settings):
    describer = models.MaskedDecoder(16, dim=8, depth=1, heads=2)
    return methods.cmae(VIT, decoder=DECODER, describer=describer, **HEADS, **settings)


MADE = {
    "splitmask": lambda: methods.splitmask(
        VIT, words=6, decoder=models.WordDecoder(6, models.MaskedDecoder(None, 8, 1, 2))
    ),
    "cmae": lambda: cmae(ratio=0.5, contrast=0.0),
    "sit": lambda: methods.sit(VIT, head=models.sit_head(8, hidden=16)),
}


@cache
def begun(name):
    """The method, parameters away from zeros, its teacher and memory, and what it makes of views."""
    method, views = MADE[name](), views_of(images_of(0), images_of(1))
    clean = dict(clean=views["global"], corrupted=jnp.zeros((2, BATCH, SIDE, SIDE), bool))
    params, memory = jax.jit(method.init)(jax.random.key(2), views | clean)
    params = jax.tree.map(lambda x: x + 0.1, params)
    teacher = method.teacher and method.teacher.init(params)
    outputs = jax.jit(lambda views: method.outputs(params, teacher, memory, views, KEY)._replace(views=None))
    return method, params, teacher, memory, outputs


# SplitMask


def test_splitmasks_halves_are_halves_and_never_see_each_other():
    outputs = begun("splitmask")[-1]
    images, noise = images_of(0), images_of(2)
    found = outputs(views_of(images))
    hidden = pixels(found.mask[0])
    assert np.all(found.mask.sum(-1) == N // 2)
    assert found.student["tokens"].shape == found.student["tokens_rest"].shape == (1, BATCH, N // 2, 16)
    for own, other, unseen in (("patch", "patch_rest", hidden), ("patch_rest", "patch", 1 - hidden)):
        after = outputs(views_of(images + noise * unseen))
        np.testing.assert_array_equal(found.student[own], after.student[own])
        assert np.abs(found.student[other] - after.student[other]).max() > 1e-3
        told = found.target["patch"] != after.target["patch"]  # the words of what was changed
        assert told.any() and not (told[0] & (pixels_of(unseen) == 0)).any()


def test_the_encoder_of_splitmasks_neighbour_sees_all_places():
    method, views = methods.mim_contrast(VIT, ratio=0.5), views_of(images_of(0), images_of(1))
    state = jax.eval_shape(method.init, KEY, views)
    seen = jax.eval_shape(lambda params, memory: method.outputs(params, None, memory, views, KEY), *state)
    assert seen.student["tokens"].shape == (2, BATCH, N, 16)


def pixels_of(mask):
    """[B, H, W, 1] -> of patches, [B, N]."""
    return np.asarray(mask[:, ::PATCH, ::PATCH, 0]).reshape(len(mask), -1)


def test_exchanging_splitmasks_halves_leaves_the_loss():
    found = begun("splitmask")[-1](views_of(images_of(0)))
    swapped = {
        (name.removesuffix("_rest") if name.endswith("_rest") else f"{name}_rest"): value
        for name, value in found.student.items()
    }
    objective = objectives.weighted_sum(
        words=(1.0, objectives.words_of_halves()), match=(1.0, objectives.match_of_halves())
    )
    memory = objective.init(found)
    loss, _, figures = objective.apply(memory, found, 0)
    other, *_ = objective.apply(memory, found._replace(student=swapped, mask=~found.mask), 0)
    np.testing.assert_allclose(loss, other, rtol=1e-6)
    counts = np.bincount(np.asarray(found.target["patch"]).ravel(), minlength=6) / (BATCH * N)
    entropy = -np.sum(counts[counts > 0] * np.log(counts[counts > 0]))
    np.testing.assert_allclose(figures["words/unigram"], entropy, rtol=1e-5)


def test_what_cannot_be_halved_or_told_apart_is_refused():
    method = MADE["splitmask"]()
    views = {"global": jnp.zeros((1, BATCH, 12, 12, 3)), "index": jnp.arange(BATCH)}
    with pytest.raises(ValueError, match="an image has 9 patches, which cannot be halved"):
        jax.eval_shape(method.init, KEY, views)
    one = {"image": jnp.zeros((1, 1, 3)), "image_rest": jnp.zeros((1, 1, 3))}
    with pytest.raises(ValueError, match="a batch of at least 2"):
        objectives.match_of_halves().apply((), objectives.Outputs(one), 0)


def test_both_halves_cost_what_one_image_costs():
    """Of the encoder's products: half of the patches twice, and less attention, than all of them once."""
    vit = models.ViT(patch=PATCH, dim=96, depth=4, heads=6)
    nothing = (lambda *inputs: {}), (lambda params, features, *more: {"patch": features.tokens[..., :6]})
    method = methods.splitmask(vit, words=6, decoder=nothing)
    views = {
        "global": jax.ShapeDtypeStruct((1, BATCH, 32, 32, 3), jnp.float32),
        "index": jax.ShapeDtypeStruct((BATCH,), jnp.int32),
    }
    params, memory = jax.eval_shape(lambda views: method.init(KEY, views), views)

    def masked(params, memory, views):
        student = method.outputs(params, None, memory, views, KEY).student
        return student["tokens"], student["tokens_rest"]

    def whole(params, memory, views):
        return method.features(params, None, memory, views["global"][0]).tokens

    part, full = (toys.flops(f, params, memory, views) for f in (masked, whole))
    assert full > 4 * 2 * 12 * 96**2 * BATCH * 64  # the matrices alone
    assert 0.8 * full < part < 1.1 * full


# CMAE


def test_cmae_without_contrast_is_mae_on_the_first_window():
    """The same loss and gradient, from the same parameters and under the same masks."""
    method, params, teacher, memory, _ = begun("cmae")

    def visible(patches):
        return patches // 2

    loss = over_patches(lambda *x: objectives.masked_reconstruction(*x, normalize_target=True))
    mae = masked_prediction(
        encode_decode(VIT, DECODER, visible=visible),
        loss,
        masking=lambda keys, images: unit_mask(keys, VIT.grid(images.shape), ratio=0.5, unit=2),
        target=lambda images: objectives.patchify(images, PATCH),
    )
    views = views_of(images_of(0), images_of(1))
    own = {name: params[name] for name in ("encoder", "decoder")}
    _, other = jax.eval_shape(mae.init, KEY, views)  # without arrays

    def one(method, params, teacher, memory, views):
        run = jax.jit(
            jax.value_and_grad(lambda params: method.loss(params, teacher, memory, views, KEY, 0)[0])
        )
        return run(params)

    value, slope = one(method, params, teacher, memory, views)
    expected, wanted = one(mae, own, None, other, views | {"global": views["global"][:1]})
    assert value > 0
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for name in own:
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), slope[name], wanted[name])
    assert all(np.all(x == 0) for x in jax.tree.leaves([slope["describer"], slope["prediction"]]))


def test_cmaes_branches_see_their_own_windows():
    _, params, teacher, _, outputs = begun("cmae")
    assert set(teacher) == {"encoder", "projection"} and set(params) == {
        "encoder",
        "decoder",
        "describer",
        "projection",
        "prediction",
    }
    first, second, noise = images_of(0), images_of(1), images_of(2)
    found = outputs(views_of(first, second))
    np.testing.assert_array_equal(found.target["patch"][0], objectives.patchify(first, PATCH))
    after = outputs(views_of(first, second + noise))
    np.testing.assert_array_equal(found.target["patch"], after.target["patch"])
    np.testing.assert_array_equal(found.student["prediction"], after.student["prediction"])
    assert np.abs(found.target["prediction"] - after.target["prediction"]).max() > 1e-3
    after = outputs(views_of(first + noise * pixels(found.mask[0]), second))
    np.testing.assert_array_equal(found.student["prediction"], after.student["prediction"])
    assert found.student["tokens"].shape == (1, BATCH, N // 2, 16)


def batch_of(images):
    return {"image": jnp.asarray(images), "index": jnp.arange(len(images))}


def windows(images, **settings):
    return np.asarray(jax.jit(cmae_views(size=28, **settings))(KEY, batch_of(images))["global"])


def test_cmaes_windows_are_of_one_crop():
    images = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), np.uint8)
    bare = windows(images, shift=0, strength=0.0)
    np.testing.assert_array_equal(*bare)
    first, second = windows(images, strength=0.0)
    shifts = set()
    for a, b in zip(first, second, strict=True):  # b is a, moved by less than a seventh of 28
        found = [
            (y, x)
            for y in range(4)
            for x in range(4)
            if np.array_equal(a[y:, x:], b[: 28 - y or None, : 28 - x or None])
        ]
        assert len(found) == 1
        shifts |= set(found)
    assert len(shifts) > 2
    plain, colored = windows(images, shift=0)
    np.testing.assert_allclose(plain, bare[0], atol=1e-4)  # which is restored in its own colors
    assert np.abs(plain - colored).max() > 0.1


# SiT


def test_what_sit_corrupts_and_by_what():
    """Images that are their own number all over tell whose pixels a view has."""
    count, side = 32, 24
    images = jnp.broadcast_to(jnp.arange(1.0, count + 1)[:, None, None, None], (count, side, side, 3))
    plain = lambda key, batch: {"global": jnp.stack([images, images]), "index": batch["index"]}  # noqa: E731
    views = jax.jit(corrupted(plain))(KEY, batch_of(images))
    mask, shown = np.asarray(views["corrupted"]), np.asarray(views["global"])[..., 0]
    np.testing.assert_array_equal(views["clean"], jnp.stack([images, images]))
    own = np.arange(1, count + 1)[:, None, None]
    neighbour = np.roll(own, 1, axis=0)
    by_neighbour = (shown == neighbour).any((2, 3), keepdims=True)
    np.testing.assert_array_equal(shown, np.where(mask, np.where(by_neighbour, neighbour, 0), own))
    share, largest = mask.mean((2, 3)), (0.3 * side) ** 2 / side**2
    least = np.where(by_neighbour[..., 0, 0], 0.3, 0.5)
    assert np.all(share >= least) and np.all(share < least + largest)
    assert 0.3 < by_neighbour.mean() < 0.7 and not np.array_equal(mask[0], mask[1])


def test_sit_counts_corrupted_pixels_alone():
    prediction, clean = jax.random.normal(KEY, (BATCH, N, PATCH**2 * 3)), images_of(0)
    mask = jax.random.bernoulli(KEY, 0.3, (BATCH, SIDE, SIDE))
    spoiled = objectives.patchify(jnp.where(mask[..., None], 0.0, 9.0 * clean), PATCH)
    loss = objectives.restored_pixels(prediction, clean, mask, patch=PATCH)
    np.testing.assert_array_equal(
        loss, objectives.restored_pixels(prediction + spoiled, clean, mask, patch=PATCH)
    )
    restored = np.abs(np.asarray(objectives.unpatchify(prediction, PATCH) - clean))[np.asarray(mask)]
    np.testing.assert_allclose(loss, restored.mean(), rtol=1e-5)


def test_sit_without_corruption_is_contrast_with_the_teacher():
    method, params, teacher, memory, outputs = begun("sit")
    views = jax.jit(corrupted(toys.noisy(2), drop=0.0, replace=0.0))(KEY, toys.batch(size=BATCH, side=SIDE))
    loss, (_, figures) = jax.jit(method.loss)(params, teacher, memory, views, KEY, 0)
    found = outputs(views)
    student, target = found.student["projection"], found.target["projection"]
    pairs = (student[0], target[1]), (student[1], target[0])
    expected = sum(0.4 * objectives.info_nce(*pair, temperature=0.2).mean() for pair in pairs)
    assert figures["pixels"] == 0 and set(teacher) == {"encoder", "projection"}
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_sit_asks_for_views_that_are_corrupted():
    with pytest.raises(ValueError, match=r"sit needs views\['clean'\] .*corrupted\(views\) makes them"):
        jax.eval_shape(MADE["sit"]().init, KEY, views_of(images_of(0), images_of(1)))


def test_sits_teacher_sees_what_is_clean():
    outputs = begun("sit")[-1]
    batch = toys.batch(size=BATCH, side=SIDE)
    views = jax.jit(lambda drop: corrupted(toys.noisy(2), drop=drop)(KEY, batch))
    found, other = (outputs(views(drop)) for drop in (0.3, 0.6))
    np.testing.assert_array_equal(found.target["projection"], other.target["projection"])
    assert np.abs(found.student["projection"] - other.student["projection"]).max() > 1e-3
