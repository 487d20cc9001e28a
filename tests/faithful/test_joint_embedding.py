"""SimCLR, PCL, Barlow Twins, VICReg, SwAV and their kin, as their authors train them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jssl.experiments import (
    DCL,
    NNCLR,
    PCL,
    BarlowTwins,
    DeepClusterV2,
    SimCLR,
    SimCLRV2FineTune,
    SimSiam,
    SupCon,
    SwAV,
    VICReg,
)
from jssl.experiments.npid import cifar

from jssl import methods, models
from jssl.data import views
from jssl.objectives.clusters import random_rows
from tests.faithful.quoted import IMAGENET, KEY, built, half_cosine, moved, per_epoch, rate

# SimCLR


def test_simclr_adds_up_both_directions():
    a, b = jax.random.normal(KEY, (2, 6, 4))

    class Identity(models.network.nn.Module):
        @models.network.nn.compact
        def __call__(self, x):
            return x[:, 0, 0]

    method = methods.simclr(Identity(), head=models.Head([lambda x: x]))
    seen = {"global": jnp.stack([a, b])[:, :, None, None]}
    params, memory = method.init(KEY, seen)
    value, _ = method.loss(params, None, memory, seen, KEY, 0)
    unit = [x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]

    def direction(x, y):
        logits = jnp.concatenate([x @ y.T, x @ x.T - 1e9 * jnp.eye(6)], axis=1) / 0.1
        return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(6)).mean()

    assert float(value) == pytest.approx(float(direction(*unit) + direction(*unit[::-1])), rel=1e-5)


def test_simclrs_rate_lies_inside_the_momentum():
    settings = SimCLR(steps=100)
    optimizer, params = built(settings).optimizer, {"dense": {"bias": jnp.ones(2)}}
    state, ones = optimizer.init(params), jax.tree.map(jnp.ones_like, params)
    for _ in range(3):
        updates, state = optimizer.update(ones, state, params)
    rates = [float(settings.rate(IMAGENET)(step)) for step in range(3)]
    expected = 0.9**2 * rates[0] + 0.9 * rates[1] + rates[2]
    assert float(-updates["dense"]["bias"][0]) == pytest.approx(expected, rel=1e-5)


def test_simclrs_rates_of_imagenet_and_cifar():
    assert SimCLR().peak_rate == pytest.approx(4.8)
    assert SimCLR(batch=512, learning_rate=1.0).peak_rate == pytest.approx(
        2.0
    )  # the README's CIFAR-10 command


def test_simclrs_images_stay_in_0_1():
    batch = {"image": jnp.full((2, 80, 80, 3), 255, jnp.uint8), "index": jnp.arange(2)}
    seen = jax.jit(views.simclr(size=16))(KEY, batch)["global"]
    assert float(seen.min()) >= 0 and float(seen.max()) <= 1
    white = SimCLR().view(IMAGENET)(batch["image"])
    assert float(white.max()) == pytest.approx(1)


# NNCLR


def test_nnclr_has_byols_views():
    black = {"image": jnp.zeros((1, 80, 80, 3), jnp.uint8), "index": jnp.arange(1)}
    made = NNCLR(size=16).make_views(IMAGENET), views.byol(size=16)
    np.testing.assert_array_equal(*(jax.jit(views)(KEY, black)["global"] for views in made))
    assert float(NNCLR().view(IMAGENET)(black["image"]).min()) == pytest.approx(-0.485 / 0.229)


# PCL


def test_pcl_clusters_after_twenty_epochs_what_the_momentum_encoder_makes_of_all_images():
    settings = PCL()
    refresh = built(settings).method.refresh
    assert refresh.every is None and refresh.start == 20 * per_epoch(settings) and refresh.observe is not None
    assert (settings.negatives, settings.queue, settings.clusters) == (
        16_384,
        16_384,
        (25_000, 50_000, 100_000),
    )


def test_pcl_writes_features_in_evaluation_mode_into_the_bank():
    encoder = models.encoder("resnet10x0.125_cifar")
    method = methods.pcl(
        encoder, examples=6, clusters=(2,), head=models.moco_head(4, hidden=8), queue=8, groups=1
    )
    images = jax.random.normal(KEY, (2, 4, 8, 8, 3))
    params, memory = jax.jit(method.init)(KEY, {"global": images, "index": jnp.arange(4)})
    state, observe = (params, method.teacher.init(params), memory), jax.jit(method.refresh.observe)
    teacher = state[1]
    seen = observe(*state, images[0], jnp.array([5, 0, 1, 2]))
    bank = seen["objective"]["prototype"]["bank"]
    features = jax.jit(method.features)(
        *state, images[0]
    ).cls  # the student's, which the teacher still equals
    kernel = [teacher["cls"][name] for name in ("layers_0", "layers_2")]
    z = (
        jax.nn.relu(features @ kernel[0]["kernel"] + kernel[0]["bias"]) @ kernel[1]["kernel"]
        + kernel[1]["bias"]
    )
    np.testing.assert_allclose(bank[5], z[0] / jnp.linalg.norm(z[0]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(bank[3], memory["objective"]["prototype"]["bank"][3])
    one = observe(*state, images[0, :1], jnp.array([5]))
    np.testing.assert_allclose(one["objective"]["prototype"]["bank"][5], bank[5], rtol=1e-4, atol=1e-5)


def test_many_clusters_begin_with_random_rows():
    x = jnp.arange(2000.0)[:, None]
    rows = random_rows(KEY, x, 1500)
    assert len(set(rows[:, 0].tolist())) == 1500 and rows[0, 0] != 0


# Barlow Twins


def test_barlow_twins_has_the_authors_effective_gradient():
    settings = BarlowTwins()
    assert (settings.off_diagonal_weight, settings.weight_decay) == (0.0051, 1e-6)
    assert settings.learning_rate * settings.bias_rate == pytest.approx(0.0048)
    assert rate(settings, 1000) == pytest.approx(0.001 * settings.peak_rate, rel=1e-3)
    params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
    steps = {}
    for gpus in (1, 16):
        optimizer = built(BarlowTwins(gpus=gpus, steps=10, weight_decay=0.0)).optimizer
        state, ones = optimizer.init(params), jax.tree.map(jnp.ones_like, params)
        for _ in range(2):
            updates, state = optimizer.update(ones, state, params)
        steps[gpus] = updates["dense"]
    assert float(steps[1]["bias"][0] / steps[16]["bias"][0]) == pytest.approx(16, rel=1e-5)
    np.testing.assert_allclose(steps[1]["kernel"], steps[16]["kernel"], rtol=1e-5)


def test_vicregs_rate_ends_at_a_thousandth():
    assert [rate(VICReg(), epoch) for epoch in (10, 1000)] == [
        pytest.approx(1.6),
        pytest.approx(1.6e-3, rel=1e-3),
    ]


# SwAV


def test_swavs_rate_and_larc():
    settings = SwAV()
    assert rate(settings, 0) == pytest.approx(0.3) and rate(settings, 10) == pytest.approx(4.8)
    assert rate(settings, 800) == pytest.approx(0.0048, rel=1e-3)
    assert settings.frozen * per_epoch(settings) == pytest.approx(313, abs=2)
    optimizer = built(SwAV(weight_decay=0.0, frozen=0)).optimizer
    params = {"encoder": {"norm": {"scale": jnp.full(4, 2.0)}}, "scores": {"kernel": jnp.ones((2, 2))}}
    updates = moved(optimizer, params, jax.tree.map(jnp.ones_like, params))
    assert float(-updates["encoder"]["norm"]["scale"][0]) == pytest.approx(0.3 * 0.001 * 2.0, rel=1e-4)


def test_swavs_red_deviation():
    assert views.statistics("swav").std == (0.228, 0.224, 0.225)
    black = {"image": jnp.zeros((1, 80, 80, 3), jnp.uint8), "index": jnp.arange(1)}
    seen = jax.jit(views.swav(size=16, locals=0))(KEY, black)["global"]
    assert float(seen.min()) == pytest.approx(-0.485 / 0.228)
    assert float(SwAV().view(IMAGENET)(black["image"])[..., 0].max()) == pytest.approx(-0.485 / 0.228)


def test_deepclusters_run_begins_after_the_epoch_that_fills_the_bank():
    """Until then the rate is the first one, and without a gradient nothing moves, by weight decay neither."""
    settings = DeepClusterV2()
    rates = [rate(settings, epoch) for epoch in (0, 1, 6, 11, 801)]
    assert rates == pytest.approx([0.3, 0.3, (0.3 + 4.8) / 2, 4.8, 0.0048], rel=1e-3)
    params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
    still = moved(built(settings).optimizer, params, jax.tree.map(jnp.zeros_like, params))
    assert not any(np.any(x) for x in jax.tree.leaves(still))


# CIFAR-10


@pytest.mark.parametrize("settings", [SupCon(), DCL(), cifar])
def test_views_of_cifar_have_its_constants(settings):
    black = {"image": jnp.zeros((1, 80, 80, 3), jnp.uint8), "index": jnp.arange(1)}
    seen = jax.jit(settings.make_views(IMAGENET))(KEY, black)["global"]
    np.testing.assert_allclose(
        seen.min((0, 1, 2, 3)), [-0.4914 / 0.2023, -0.4822 / 0.1994, -0.4465 / 0.201], rtol=1e-5
    )
    assert float(settings.view(IMAGENET)(black["image"]).min()) == pytest.approx(-0.4914 / 0.2023)


# DINO and iBOT


def test_simclr_v2s_new_classifier_follows_plain_momentum():
    settings = SimCLRV2FineTune(encoder="resnet10x0.125_cifar", hidden=8)
    params = {
        "encoder": {"kernel": jnp.ones((2, 2))},
        "logits": {"layers_0": {"kernel": jnp.full((2, 2), 1e-4)}},
    }
    moves = moved(built(settings).optimizer, params, jax.tree.map(jnp.ones_like, params))
    np.testing.assert_allclose(moves["logits"]["layers_0"]["kernel"], -settings.peak_rate, rtol=1e-5)
    np.testing.assert_allclose(moves["encoder"]["kernel"], -1e-3 * settings.peak_rate, rtol=1e-5)


# SimSiam, rotation, MIM and contrast


@pytest.mark.parametrize("constant", [True, False])
def test_simsiams_predictor_keeps_its_rate_by_an_option(constant):
    assert SimSiam().constant_predictor and SimSiam().peak_rate == pytest.approx(0.1)
    optimizer = built(SimSiam(steps=3, epochs=3, weight_decay=0.0, constant_predictor=constant)).optimizer
    params = {"encoder": jnp.ones(2), "prediction": jnp.ones(2)}
    state, ones = optimizer.init(params), jax.tree.map(jnp.ones_like, params)
    for step in range(3):
        updates, state = optimizer.update(ones, state, params)
        ratio = updates["prediction"][0] / updates["encoder"][0]
        assert float(ratio) == pytest.approx(1 / half_cosine(1, 0, step / 3) if constant else 1)
