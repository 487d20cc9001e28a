"""A hole that is filled, and an adversary: who sees what, and who learns from whom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import methods, models, objectives
from jssl.methods.adversarial import MEAN_COLOR, context_encoder, hollowed
from jssl.models.masked.artifacts import Repair, damaged
from tests.law_toys import small_resnet
from tests.methods.toys import seen_as

IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)), jnp.float32)


def made(**settings):
    return context_encoder(
        small_resnet(),
        squeezed=models.Squeezed(16, 8, 2),
        decoder=models.MapDecoder(3, (8, 8), last=jnp.tanh),
        band=1,
        **settings,
    )


@pytest.fixture(scope="module")
def both():
    """A method with an adversary, its first state, and its outputs and gradients by (params, images)."""
    method = made(adversary=models.Judge((4, 4)), weight=0.3)
    params, memory = jax.jit(method.init)(jax.random.key(0), seen_as(IMAGES))

    @jax.jit
    def outputs(params, images):
        return method.outputs(params, None, memory, seen_as(images), jax.random.key(1))

    @jax.jit
    def slope(params, images):
        def loss(params):
            return method.loss(params, None, memory, seen_as(images), jax.random.key(1), 0)[0]

        return jax.grad(loss)(params)

    return params, outputs, slope, method, memory


def test_the_hole_is_the_middle_but_its_border():
    given, middle = hollowed(None, IMAGES, band=1)
    np.testing.assert_array_equal(middle, IMAGES[:, 4:12, 4:12])
    np.testing.assert_allclose(given[:, 5:11, 5:11], np.broadcast_to(MEAN_COLOR, (4, 6, 6, 3)), rtol=1e-6)
    around = np.ones((16, 16), bool)
    around[5:11, 5:11] = False
    np.testing.assert_array_equal(given[:, around], IMAGES[:, around])
    with pytest.raises(ValueError, match="got 10 x 16"):
        hollowed(None, IMAGES[:, :10])


def test_what_was_in_the_hole_never_enters(both):
    params, outputs, _, _, _ = both
    before = outputs(params, IMAGES).student["middle"]
    np.testing.assert_array_equal(
        outputs(params, IMAGES.at[:, 5:11, 5:11].set(0.7)).student["middle"], before
    )
    band = outputs(params, IMAGES.at[:, 4, 4:12].set(0.7)).student["middle"]
    assert not np.array_equal(band, before)  # the border of the hole is seen


def test_the_trivial_filling_is_the_mean_color_of_the_batch(both):
    params, _, _, method, memory = both
    middles = IMAGES[:, 4:12, 4:12]
    errors = (
        np.square(middles - middles.mean((0, 1, 2)))
        * np.pad(np.ones((6, 6)), 1, constant_values=10)[..., None]
    )
    metrics = jax.jit(method.task)(params, None, memory, IMAGES, jnp.arange(4))
    np.testing.assert_allclose(metrics["trivial"], errors.mean(), rtol=1e-5)
    flat = jax.jit(method.task)(params, None, memory, 0 * IMAGES + 0.3, jnp.arange(4))
    assert flat["trivial"] < 1e-6 < flat["error"]


def test_known_pixels_are_no_target(both):
    params, outputs, _, _, _ = both
    changed = IMAGES.at[:, :4].set(0.7).at[:, :, 12:].set(-0.3)
    for one in (IMAGES, changed):
        np.testing.assert_array_equal(outputs(params, one).target["middle"], IMAGES[:, 4:12, 4:12])


def test_each_learns_from_its_own_loss_alone(both):
    """One sum trains two networks as two losses would."""
    params, _, slope, method, memory = both

    def alone(params, terms):
        outputs = method.outputs(params, None, memory, seen_as(IMAGES), jax.random.key(1))
        seen = outputs.student
        error = objectives.filled_hole(seen["middle"], outputs.target["middle"], band=1)
        each = {
            "maker": 0.7 * error + 0.3 * objectives.passing(seen["passing"]),
            "adversary": objectives.judgement(seen["real"], seen["made"]),
        }
        return each[terms].mean()

    both_at_once = slope(params, IMAGES)
    for name, others in (("adversary", ("adversary",)), ("maker", ("encoder", "squeezed", "middle"))):
        own = jax.jit(jax.grad(alone), static_argnums=1)(params, name)
        for part in params:
            leaves = list(zip(*map(jax.tree.leaves, (own[part], both_at_once[part])), strict=True))
            if part in others:
                assert any(np.any(x != 0) for x, _ in leaves)
                for x, y in leaves:
                    np.testing.assert_allclose(x, y, atol=1e-5, rtol=1e-3)
            else:
                assert all(np.all(x == 0) for x, _ in leaves)


def test_without_an_adversary_the_best_filling_is_the_mean_and_with_one_it_is_not():
    black, white = -jnp.ones((1, 4, 4, 1)), jnp.ones((1, 4, 4, 1))

    def error(filling):
        return sum(objectives.filled_hole(filling, one)[0] for one in (black, white))

    def sharp(filling):
        looks = 10 * (jnp.mean(jnp.abs(filling), axis=(1, 2, 3)) - 0.5)  # an adversary for whom grey is made
        return error(filling) + objectives.passing(looks)[0]

    grey = jnp.zeros((1, 4, 4, 1))
    np.testing.assert_array_equal(jax.grad(error)(grey), 0)
    assert error(grey) < error(grey + 0.1) and sharp(grey + 0.1) < sharp(grey)


@pytest.mark.parametrize("given", [{}, dict(adversary=models.Judge((4, 4)), weight=0.0)])
def test_without_a_weight_there_is_no_adversary(given):
    method = made(**given)
    params, memory = jax.eval_shape(method.init, jax.random.key(0), seen_as(IMAGES))
    metrics = jax.eval_shape(method.task, params, None, memory, IMAGES, jnp.arange(4))
    assert set(metrics) == {"error", "trivial"}
    assert set(params) == {"encoder", "squeezed", "middle"}
    assert set(memory["statistics"]) == {"encoder", "squeezed", "middle"}


CODE = models.AutoEncoder((4, 8), 4)


@pytest.fixture(scope="module")
def spotting():
    """A method, its first state, and what it makes of images by (params, images, kept share)."""
    method = methods.spot_artifacts(small_resnet(), models.artifacts(CODE, drawn=True), sides=4)
    params, memory = jax.jit(method.init)(jax.random.key(0), seen_as(IMAGES))
    maker = models.artifacts(CODE, drawn=True)
    statistics = {name: memory["statistics"][name] for name in ("taught", "repair")}

    @jax.jit
    def made(repair, images, kept):
        return maker.apply({"repair": repair}, statistics, (images, kept), train=True)[0]

    @jax.jit
    def gradient(params):
        """The slope of the loss, and the memory after it."""

        def loss(params):
            value, (after, _) = method.loss(params, None, memory, seen_as(IMAGES), jax.random.key(1), 0)
            return value, after

        return jax.grad(loss, has_aux=True)(params)

    return method, params, memory, made, gradient


def test_the_auto_encoders_error_weighs_thirty_times():
    method = methods.autoencoder(CODE)
    params, memory = jax.jit(method.init)(jax.random.key(0), seen_as(IMAGES))
    outputs = method.outputs(params, None, memory, seen_as(IMAGES), jax.random.key(1))
    loss, _ = method.loss(params, None, memory, seen_as(IMAGES), jax.random.key(1), 0)
    error = jnp.mean((outputs.student["image"][0] - IMAGES) ** 2)
    np.testing.assert_allclose(loss, 30 * error, rtol=1e-5)


def test_what_is_not_damaged_is_not_repaired(spotting):
    _, params, memory, made, _ = spotting
    whole = made(params["repair"], IMAGES, jnp.ones((4, 4, 4, 1)))
    np.testing.assert_allclose(whole["image"], whole["clean"], atol=1e-6)
    held = memory["statistics"]["taught"]["frozen"]
    np.testing.assert_allclose(whole["clean"], CODE.apply(held, IMAGES).inner["image"], atol=1e-6)
    broken = made(params["repair"], IMAGES, jnp.zeros((4, 4, 4, 1)))
    np.testing.assert_array_equal(broken["clean"], whole["clean"])
    assert np.max(np.abs(broken["image"] - whole["image"])) > 1e-3


def test_damage_is_the_mean_of_its_neighbourhood():
    x = jnp.asarray(np.mgrid[:5, :5].transpose(1, 2, 0)[None], jnp.float32)
    kept = jnp.ones((1, 5, 5, 1)).at[0, 2, 3].set(0).at[0, 0, 0].set(0)
    found = damaged(x, kept)
    np.testing.assert_array_equal(found[0, 2, 3], [2, 3])  # the mean of a ramp is its middle
    np.testing.assert_array_equal(found[0, 0, 0], [0.5, 0.5])  # of the four points there are
    kept_points = np.asarray(kept[0, ..., 0], bool)
    np.testing.assert_array_equal(found[0, kept_points], x[0, kept_points])


def test_repair_and_adversary_learn_each_from_its_own_loss(spotting):
    method, params, memory, _, gradient = spotting
    assert set(params) == {"repair", "adversary"}  # nothing of the auto-encoder's is learned

    def term(params, name):
        _, (_, metrics) = method.loss(params, None, memory, seen_as(IMAGES), jax.random.key(1), 0)
        return sum(metrics[one] for one in name)

    total, _ = gradient(params)
    for part, names in (("adversary", ("judgement", "where")), ("repair", ("passing", "error"))):
        own = jax.jit(jax.grad(term), static_argnums=1)(params, names)
        for other in params:
            pairs = list(zip(*map(jax.tree.leaves, (own[other], total[other])), strict=True))
            if other == part:
                assert any(np.any(x != 0) for x, _ in pairs)
                for x, y in pairs:
                    np.testing.assert_allclose(x, y, atol=1e-4, rtol=1e-3)
            else:
                assert all(np.all(x == 0) for x, _ in pairs)


def test_the_auto_encoder_stands_still_in_training_its_statistics_too(spotting):
    _, params, memory, _, gradient = spotting
    before, after = (x["statistics"] for x in (memory, gradient(params)[1]))
    jax.tree.map(np.testing.assert_array_equal, before["taught"], after["taught"])
    for part in ("repair", "adversary"):
        pairs = zip(*map(jax.tree.leaves, (before[part], after[part])), strict=True)
        assert any(np.any(x != y) for x, y in pairs)


def test_the_best_verdict_on_what_cannot_be_told_is_a_guess():
    logits = jnp.linspace(-3, 3, 61)
    losses = objectives.judgement(logits, logits) / 2  # the same image, real and made
    assert float(logits[jnp.argmin(losses)]) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(losses.min(), np.log(2), rtol=1e-6)


def test_repair_changes_damaged_points_alone():
    x, kept = jax.random.normal(jax.random.key(0), (2, 6, 6, 4)), jnp.zeros((2, 6, 6, 1)).at[:, ::2].set(1)
    repair = Repair()
    variables = repair.init(jax.random.key(1), x, kept)
    repaired = np.asarray(repair.apply(variables, x, kept))
    changed = np.abs(repaired - np.asarray(x)).max(-1) > 1e-6
    np.testing.assert_array_equal(changed, kept[..., 0] == 0)


def test_of_a_map_that_is_whole_an_adversary_that_says_so_has_no_loss():
    whole = jnp.ones((2, 3, 3, 1))
    losses = [objectives.where_kept(jnp.full((2, 9), value), whole) for value in (20.0, 0.0)]
    np.testing.assert_allclose(losses[0], 0, atol=1e-6)
    np.testing.assert_allclose(losses[1], np.log(2), rtol=1e-5)
