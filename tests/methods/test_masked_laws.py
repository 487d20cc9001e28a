"""What I-JEPA's context sees, and what MAE's encoder costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import methods, models
from jssl.arrays.keys import sample_keys
from jssl.masks import multiblock_masks, multiblock_sizes
from tests.methods import toys
from tests.methods.toys import seen_as

SIDE, PATCH, BATCH = 32, 4, 4
GRID = (SIDE // PATCH,) * 2


def test_no_patch_is_in_context_and_target():
    keys = jax.random.split(jax.random.key(0), 300)
    hidden, targets = jax.jit(jax.vmap(lambda key: multiblock_masks(jax.random.split(key, BATCH), GRID)))(
        keys
    )
    assert not np.any(~hidden & targets.any(1))  # [keys, batch, patches]
    assert np.all((~hidden).any(-1)) and np.all(targets.any(-1))  # and neither is ever empty


def patches(mask):
    """[B, N] -> the same of pixels, [B, H, W, 1]."""
    return jnp.kron(mask.reshape(len(mask), *GRID), jnp.ones((PATCH, PATCH)))[..., None]


@pytest.fixture(scope="module")
def i_jepa():
    """(images, key) -> what the predictor makes of the context, what the teacher makes of the targets, and
    the masks.
    """
    vit = models.ViT(patch=PATCH, dim=24, depth=2, heads=3, class_token=False)
    method = methods.i_jepa(vit, predictor=models.Predictor(dim=12, depth=1, heads=2))
    images = jax.random.normal(jax.random.key(0), (BATCH, SIDE, SIDE, 3))
    params, memory = jax.jit(method.init)(jax.random.key(1), seen_as(images))

    @jax.jit
    def outputs(images, key):
        seen = method.outputs(params, {"encoder": params["encoder"]}, memory, seen_as(images), key)
        keys = sample_keys(jax.random.split(key)[0], jnp.arange(BATCH))
        hidden, targets = multiblock_masks(keys, GRID)
        return seen.student["patch"], seen.target["patch"], seen.mask, hidden, targets

    return images, outputs


def test_what_is_in_a_target_changes_no_prediction(i_jepa):
    images, outputs = i_jepa
    noise = jax.random.normal(jax.random.key(2), images.shape)
    for key in jax.random.split(jax.random.key(3), 10):
        predicted, wanted, _, hidden, targets = outputs(images, key)
        elsewhere, changed, *_ = outputs(images + noise * patches(targets.any(0)), key)
        np.testing.assert_array_equal(predicted, elsewhere)
        assert np.all(np.abs(wanted - changed).max((0, 2, 3)) > 1e-2)  # the teacher sees it, in every image
        seen, around, *_ = outputs(images + noise * patches(~hidden), key)
        assert np.all(np.abs(wanted - around).max((0, 2, 3)) > 1e-3)  # all of the image, unlike CAE's
        assert np.all(np.abs(predicted - seen).max((0, 2, 3)) > 1e-6)  # and the predictor the context


def test_no_gradient_of_a_prediction_reaches_a_pixel_outside_the_context(i_jepa):
    images, outputs = i_jepa
    key = jax.random.key(4)
    _, _, real, hidden, _ = outputs(images, key)
    weights = jax.random.normal(key, outputs(images, key)[0].shape) * real[..., None]
    slope = jax.grad(lambda images: jnp.sum(weights * outputs(images, key)[0]))(images)
    assert np.all(np.where(patches(hidden), slope, 0) == 0)
    assert np.all((np.abs(slope) * patches(~hidden)).max((1, 2, 3)) > 0)


def test_a_quarter_of_the_patches_costs_mae_about_a_quarter():
    """The products of the encoder at 75 % masking, without its decoder, against those of the encoder of whole
    images, as deep as a ViT-S.
    """
    vit = models.ViT(patch=PATCH, dim=96, depth=12, heads=6)
    nothing = (
        (lambda *inputs: {}),
        (lambda params, features, visible, grid: jnp.zeros((BATCH, 64, PATCH * PATCH * 3))),
    )
    method = methods.mae(vit, decoder=nothing)
    images = jax.ShapeDtypeStruct((BATCH, SIDE, SIDE, 3), jnp.float32)
    params, memory = jax.eval_shape(lambda images: method.init(jax.random.key(0), seen_as(images)), images)

    def masked(params, memory, images):
        return method.outputs(params, None, memory, seen_as(images), jax.random.key(0)).student["tokens"]

    def whole(params, memory, images):
        return method.features(params, None, memory, images).tokens

    shapes = [jax.eval_shape(f, params, memory, images).shape for f in (masked, whole)]
    assert shapes == [(1, BATCH, 16, 96), (BATCH, 64, 96)]
    part, full = (toys.flops(f, params, memory, images) for f in (masked, whole))
    assert full > 2 * 12 * 12 * 96**2 * BATCH * 64  # the matrices alone, so that it counts what it should
    assert part < 0.35 * full


def test_i_jepas_student_costs_what_its_context_costs():
    """The encoder of the context, without a predictor, against that of whole images."""
    vit = models.ViT(patch=PATCH, dim=96, depth=4, heads=6, class_token=False)

    def mean(params, context, visible, places, grid, **more):
        return jnp.broadcast_to(context.mean(1)[:, None], (*places.shape, 96))

    method = methods.i_jepa(vit, predictor=(lambda *inputs: {}, mean))
    images = jax.ShapeDtypeStruct((BATCH, SIDE, SIDE, 3), jnp.float32)
    params, memory = jax.eval_shape(lambda images: method.init(jax.random.key(0), seen_as(images)), images)

    def student(params, memory, images):
        teacher = {"encoder": params["encoder"]}
        return method.outputs(params, teacher, memory, seen_as(images), jax.random.key(0)).student["patch"]

    def whole(params, memory, images):
        return vit.apply({"params": params["encoder"]}, images).tokens

    part, full = (toys.flops(f, params, memory, images) for f in (student, whole))
    context = multiblock_sizes(GRID)[0] / 64  # the most patches that a context can have
    assert 0.5 < context < 0.8 and 0.8 * context * full < part < 1.1 * context * full
