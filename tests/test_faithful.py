"""A published setting is the authors' setting: each value here is pinned to their code or paper."""

import math
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jssl.experiments import (
    CLIP,
    DCL,
    IBOT,
    IJEPA,
    MAE,
    PCL,
    REGISTRY,
    SLIP,
    BarlowTwins,
    ContextPrediction,
    Dino,
    DINOv2,
    DINOv3,
    MIMContrast,
    MoCoV1,
    OBoW,
    ReSSL,
    Rotation,
    SigLIP,
    SimCLR,
    SimCLRV2FineTune,
    SimMIM,
    SimSiam,
    SupCon,
    SwAV,
    VICReg,
)
from jssl.experiments.dino import boosted
from jssl.experiments.moco_v3 import resnet
from jssl.experiments.npid import cifar
from jssl.experiments.simmim import swin

from jssl import methods, models
from jssl.data import views
from jssl.data.augment.base import Canvas
from jssl.masks import multiblock_masks
from jssl.models import truncated_normal
from jssl.models.layers.transformer import depth_scaled, path_factors
from jssl.objectives.clusters import random_rows
from jssl.run import DataInfo
from jssl.run.settings.systems import named

IMAGENET = DataInfo("imagenet", 1_281_167, (224, 224, 3), 224, 1000, {"caption": ((77,), "int32")})
KEY = jax.random.key(0)


def built(settings):
    return settings.build(IMAGENET)


def per_epoch(settings):
    return IMAGENET.examples // settings.batch


def rate(settings, epoch):
    return float(settings.rate(IMAGENET)(round(epoch * per_epoch(settings))))


def moved(optimizer, params, gradients):
    """The update of the first step."""
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    return updates


def decayed(settings, params):
    """Which parameters move without a gradient once the rate is up, by path."""
    optimizer = built(settings).optimizer
    state, still = optimizer.init(params), jax.tree.map(jnp.zeros_like, params)
    updates, state = optimizer.update(still, state, params)
    for _ in range(3):
        updates, state = optimizer.update(still, state, params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): bool(jnp.any(leaf != 0))
        for path, leaf in jax.tree_util.tree_leaves_with_path(updates)
    }


def tree(**extra):
    ones = partial(jnp.ones, dtype=jnp.float32)
    dense = {"kernel": ones((2, 3)), "bias": ones(3)}
    norm = {"scale": ones(3), "bias": ones(3)}
    return {"encoder": {"dense": dense, "norm": norm} | extra}


# ResNets

ZERO = ("simclr", "simclr_v2", "nnclr", "byol", "barlow_twins", "vicreg", "simsiam")
ONE = ("moco_v1", "moco_v2", "infomin", "ressl", "supcon", "dcl", "pcl", "swav")


@pytest.mark.parametrize("name", [*ZERO, *ONE])
def test_the_last_scale_of_a_residual_block(name):
    first = built(named(name)()).encoder.last_scale(KEY, (4,), jnp.float32)
    assert first.tolist() == [float(name in ONE)] * 4


def test_moco_v3s_residual_blocks_begin_at_0():
    assert built(resnet).encoder.last_scale(KEY, (4,), jnp.float32).tolist() == [0] * 4


@pytest.mark.parametrize(
    "name",
    [
        "moco_v1",
        "moco_v2",
        "infomin",
        "pcl",
        "simsiam",
        "rotation",
        "npid",
        "supcon",
        "smog",
        "obow",
        "colorization",
    ],
)
def test_biases_and_norms_decay_too(name):
    settings = replace(named(name)(), steps=100)
    params = tree() | {"cls": {"bias": jnp.ones(2)}, "prediction": {"bias": jnp.ones(2)}}
    assert all(decayed(settings, params).values())


def test_ressl_decays_weights_and_the_norms_of_shortcuts():
    found = decayed(ReSSL(steps=100), tree(downsample_bn={"scale": jnp.ones(3), "bias": jnp.ones(3)}))
    assert {path for path, moves in found.items() if moves} == {
        "encoder/dense/kernel",
        "encoder/downsample_bn/scale",
    }


# learning rates that are set before each epoch


def half_cosine(peak, end, share):
    return end + (peak - end) * (1 + math.cos(math.pi * share)) / 2


def assert_rate_of_an_epoch(settings, epoch, expected):
    schedule, steps = settings.rate(IMAGENET), per_epoch(settings)
    for step in (epoch * steps, epoch * steps + steps // 2, (epoch + 1) * steps - 1):
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-4, abs=1e-8)  # 1 + cos in float32


@pytest.mark.parametrize(
    "name, peak, end, first",
    [
        ("moco_v2", 0.03, 0, 0),
        ("pcl", 0.03, 0, 0),
        ("simsiam", 0.1, 0, 0),
        ("smog", 0.01, 0, 0),
        ("infomin", 0.03, 3e-5, 1),
    ],
)
def test_rates_move_once_in_an_epoch(name, peak, end, first):
    settings = named(name)()
    epochs = int(settings.epochs)
    for epoch in (0, 1, epochs // 2, epochs - 1):
        expected = half_cosine(peak, end, (epoch + first) / epochs)
        assert_rate_of_an_epoch(settings, epoch, expected)


def test_mocos_rate_drops_between_epochs():
    for epoch, expected in ((0, 0.03), (119, 0.03), (120, 3e-3), (159, 3e-3), (160, 3e-4), (199, 3e-4)):
        assert_rate_of_an_epoch(MoCoV1(), epoch, expected)


def test_obows_rate_moves_once_in_an_epoch_after_its_warmup():
    s = OBoW()
    assert [rate(s, epoch) for epoch in (0, 2.5, 5)] == [pytest.approx(x) for x in (0, 0.0075, 0.015)]
    for epoch in (10, 105, 199):
        assert_rate_of_an_epoch(s, epoch, half_cosine(0.03, 3e-5, (epoch - 10) / 190))


def test_supcons_warmup_meets_the_cosine_of_all_epochs():
    s, met = SupCon(), half_cosine(0.5, 5e-4, 0.01)
    assert [rate(s, epoch) for epoch in (0, 5)] == [
        pytest.approx(x, rel=1e-3) for x in (0.01, 0.005 + met / 2)
    ]
    assert rate(s, 9.999) == pytest.approx(met, rel=1e-3)
    for epoch in (10, 500, 999):
        assert_rate_of_an_epoch(s, epoch, half_cosine(0.5, 5e-4, (epoch + 1) / 1000))


# weight decay of transformers

TOKENS = dict(class_token=jnp.ones((1, 3)), mask_token=jnp.ones(3), positions={"table": jnp.ones((2, 2, 3))})


@pytest.mark.parametrize("name", ["dino", "ibot", "i_jepa", "slip", "clip", "mae"])
def test_all_but_biases_and_norms_decay(name):
    params = tree(**TOKENS)
    if name in ("dino", "ibot"):
        params["cls"] = {"layers_6": {"kernel": jnp.ones((2, 2))}}
        settings = named(name)(steps=10, frozen=0)
    else:
        settings = named(name)(steps=10)
    found = decayed(settings, params)
    for path, moves in found.items():
        assert moves == (not path.endswith(("bias", "scale"))), path


def test_simmims_vit_spares_the_class_token_and_its_swin_all_tokens_and_tables():
    bias = {"attention_bias": {"table": jnp.ones((3, 3, 2))}}
    found = decayed(SimMIM(steps=10), tree(**TOKENS, **bias))
    assert not found["encoder/class_token"]
    assert found["encoder/mask_token"] and found["encoder/attention_bias/table"]
    found = decayed(SimMIM(encoder="swin_b", steps=10), tree(**TOKENS, relative_bias=jnp.ones((9, 2))))
    assert not found["encoder/mask_token"] and not found["encoder/relative_bias"]
    assert found["encoder/dense/kernel"]


def test_truncated_normals_have_the_deviation_asked_for():
    drawn = truncated_normal(0.02)(KEY, (400, 500), jnp.float32)
    assert float(drawn.std()) == pytest.approx(0.02, rel=0.01) and float(jnp.abs(drawn).max()) > 0.06


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
    seen = views.simclr(size=16)(KEY, batch)["global"]
    assert float(seen.min()) >= 0 and float(seen.max()) <= 1
    white = SimCLR().view(IMAGENET)(batch["image"])
    assert float(white.max()) == pytest.approx(1)


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
    params, memory = method.init(KEY, {"global": images, "index": jnp.arange(4)})
    teacher = method.teacher.init(params)
    seen = method.refresh.observe(params, teacher, memory, images[0], jnp.array([5, 0, 1, 2]))
    bank = seen["objective"]["prototype"]["bank"]
    features = method.features(
        params, teacher, memory, images[0]
    ).cls  # of the student, which the teacher still equals
    kernel = [teacher["cls"][name] for name in ("layers_0", "layers_2")]
    z = (
        jax.nn.relu(features @ kernel[0]["kernel"] + kernel[0]["bias"]) @ kernel[1]["kernel"]
        + kernel[1]["bias"]
    )
    np.testing.assert_allclose(bank[5], z[0] / jnp.linalg.norm(z[0]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(bank[3], memory["objective"]["prototype"]["bank"][3])
    one = method.refresh.observe(params, teacher, memory, images[0, :1], jnp.array([5]))
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
    assert float(views.swav(size=16, locals=0)(KEY, black)["global"].min()) == pytest.approx(-0.485 / 0.228)
    assert float(SwAV().view(IMAGENET)(black["image"])[..., 0].max()) == pytest.approx(-0.485 / 0.228)


# CIFAR-10


@pytest.mark.parametrize("settings", [SupCon(), DCL(), cifar])
def test_views_of_cifar_have_its_constants(settings):
    black = {"image": jnp.zeros((1, 80, 80, 3), jnp.uint8), "index": jnp.arange(1)}
    seen = settings.make_views(IMAGENET)(KEY, black)["global"]
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


def test_dinos_quoted_run():
    s = Dino()
    assert (s.batch, s.epochs, s.peak_rate) == (512, 100, pytest.approx(1e-3))
    assert (s.initial_teacher_temperature, s.teacher_temperature, s.learned_norm) == (0.04, 0.04, False)
    assert rate(s, 100) == pytest.approx(1e-6, rel=1e-2)
    assert (s.weight_decay, s.final_weight_decay, s.clip, s.drop_path) == (0.04, 0.4, 3.0, 0.1)


def test_dinos_boosted_run():
    assert (boosted.batch, boosted.epochs, boosted.temperature_warmup) == (1024, 300, 30)
    assert (boosted.teacher_temperature, boosted.learned_norm) == (0.07, True)
    warm = boosted.temperature(IMAGENET)
    assert float(warm(0)) == pytest.approx(0.04)
    assert float(warm(30 * per_epoch(boosted))) == pytest.approx(0.07)
    assert rate(boosted, 300) == pytest.approx(1e-6, rel=1e-2)


def test_ibots_quoted_run():
    s = IBOT()
    assert (s.batch, s.epochs, s.locals, s.prototypes, s.shared_head) == (1024, 800, 10, 8192, True)
    assert s.learned_norm and rate(s, 800) == pytest.approx(1e-6, rel=1e-2)


def test_dinov2s_quoted_run():
    s = DINOv2()
    assert (s.batch, s.steps, s.span(1, IMAGENET), s.koleo_group) == (3072, 625_000, 1250, 32)
    assert s.peak_rate == pytest.approx(2e-4 * 3**0.5)
    assert float(s.rate(IMAGENET)(s.steps)) == pytest.approx(1e-6, rel=1e-2)
    encoder = s.network(where_it_has=s.encoder_settings())
    assert encoder.mlp is models.SwiGlu and encoder.mlp_ratio * encoder.dim == 2736  # SwiGLUFFNFused
    assert (encoder.drop_path, encoder.layer_scale, encoder.patch) == ((0.4, 0.4), 1e-5, 14)
    kept = path_factors(KEY, encoder.drop_path, depth=3, batch=4000)
    np.testing.assert_allclose((kept == 0).mean((1, 2)), 0.4, atol=0.03)  # drop_path_uniform
    assert math.isclose(float(kept.max()), 1 / 0.6, rel_tol=1e-5)
    params = {
        "encoder": {"stem": {"kernel": jnp.ones((2, 2))}, "norm": {"scale": jnp.ones(2)}},
        "image": {"layers_6": {"kernel": jnp.ones((2, 2))}},
    }
    optimizer = replace(s, warmup=0, weight_decay=0.0).optimizer(IMAGENET)
    moves = moved(optimizer, params, jax.tree.map(jnp.ones_like, params))
    still, scale = moves["image"]["layers_6"]["kernel"], moves["encoder"]["norm"]["scale"]
    assert not np.any(still) and float(scale[0]) == pytest.approx(-s.peak_rate, rel=1e-3)
    assert float(moves["encoder"]["stem"]["kernel"][0, 0]) == pytest.approx(0.2 * float(scale[0]), rel=1e-5)


def test_dinov3s_quoted_run():
    s = DINOv3()
    assert (s.steps, s.span(1, IMAGENET), s.span(s.gram_every, IMAGENET)) == (1_000_000, 1000, 10_000)
    for step in (100_000, 999_999):  # constant schedules
        assert float(s.rate(IMAGENET)(step)) == pytest.approx(4e-4)  # 5e-5 * 4 * (4096 / 1024) ** 0.5
        assert float(s.teacher_momentum(IMAGENET)(step)) == pytest.approx(0.994)
        assert float(s.temperature(IMAGENET)(step)) == pytest.approx(0.07)
    encoder = s.moving(s.network(where_it_has=s.encoder_settings()))
    assert encoder.mlp_ratio * encoder.dim == 8192 and encoder.positions is None and encoder.registers == 4
    assert (encoder.rotary.shift, encoder.rotary.jitter, encoder.rotary.rescale) == (0.0, 1.0, 2.0)
    refreshed = s.anchors(IMAGENET)["refreshed"]
    assert [bool(refreshed(n * 10_000 - 1)) for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert not refreshed(10_000)
    head = replace(s, hidden=4, bottleneck=3).head()(5)
    assert set(head.init(KEY, jnp.ones((1, 4)))["params"][head.last]) == {"kernel"}


@pytest.mark.parametrize("name", ["ibot", "esvit", "attmask", "dinov2", "dinov2_distill"])
def test_the_prototypes_length_decays_as_in_the_authors_code(name):
    settings = replace(named(name)(), steps=100, warmup=0, frozen=0, weight_decay=0.1)
    last = settings.head()(5).last
    length = {last: {"kernel": jnp.ones((3, 5)), "scale": jnp.ones(5)}}
    params = tree(stem={"kernel": jnp.ones((2, 2))}) | {"cls": length, "image": length}
    optimizer = settings.optimizer(IMAGENET)
    moves = moved(optimizer, params, jax.tree.map(jnp.zeros_like, params))
    assert np.all(moves["cls"][last]["scale"] < 0) and np.all(moves["image"][last]["scale"] < 0)
    assert not np.any(moves["encoder"]["norm"]["scale"])


@pytest.mark.parametrize("learned", [True, False])
def test_the_prototypes_length_is_learned_where_the_authors_learn_it(learned):
    head = IBOT(learned_norm=learned, hidden=4, bottleneck=3).head()(5)
    params = head.init(KEY, jnp.ones((1, 4)))["params"]
    assert ("scale" in params[head.last]) == learned


def test_ibots_smallest_block_is_a_third_of_the_grid_squared(monkeypatch):
    from jssl.methods import distillation

    found = {}

    def seen(keys, grid, *, count, min_block):
        found[grid] = min_block
        return jnp.zeros((len(keys), math.prod(grid)), bool)

    monkeypatch.setattr(distillation, "block_mask", seen)
    for side in (6, 14, 16):
        masking = distillation.sometimes_blocks(models.ViT(1, 4, 1, 1))
        masking(jax.random.split(KEY, 2), jnp.zeros((2, side, side, 3)))
    assert found == {(6, 6): 4, (14, 14): 16, (16, 16): 25}


def test_the_dino_family_fits_positions_with_an_offset_and_blurs_small_crops_whole(monkeypatch):
    for settings in (Dino(), IBOT()):
        assert built(settings).encoder.positions.interpolate is models.dino_bicubic
    from jssl.data.views import multicrop, pairs

    kernels = []
    monkeypatch.setattr(
        pairs, "gaussian_blur", lambda *, sigma, kernel: kernels.append(kernel) or pairs.identity
    )
    multicrop.dino()
    assert kernels == [23, 23, 23]  # a tenth of 224, and as much at 96


@pytest.mark.parametrize("name", ["dino", "ibot"])
def test_the_linear_probe_reads_the_class_tokens_of_the_last_four_blocks(name):
    assert built(named(name)()).linear_features is not None
    module, images = models.ViT(4, 8, 5, 2), jax.random.normal(KEY, (2, 8, 8, 3))
    variables = module.init(KEY, images)
    tokens = models.last_class_tokens(module, variables, images).reshape(2, 4, 8)
    np.testing.assert_allclose(tokens[:, -1], module.apply(variables, images).cls, rtol=1e-5, atol=1e-6)
    one = module.clone(depth=4)
    fewer = {
        "params": variables["params"] | {"blocks": dict(list(variables["params"]["blocks"].items())[:4])}
    }
    np.testing.assert_allclose(tokens[:, -2], one.apply(fewer, images).cls, rtol=1e-5, atol=1e-6)


# masked modelling


def test_maes_quoted_run():
    s = MAE()
    assert (s.encoder, s.epochs, s.batch, s.warmup, s.peak_rate) == (
        "vit_l16",
        800,
        4096,
        40,
        pytest.approx(2.4e-3),
    )
    assert rate(s, 800) == pytest.approx(0, abs=1e-9)


def test_simmims_quoted_run():
    s = SimMIM()
    assert (s.batch, s.warmup, s.peak_rate) == (2048, 10, pytest.approx(4e-4))
    assert rate(s, 0) == pytest.approx(2e-6) and rate(s, 699) == pytest.approx(4e-4)
    assert rate(s, 701) == rate(s, 800) == pytest.approx(4e-5)
    big = {"encoder": {"dense": {"kernel": jnp.full((2, 2), 50.0)}}}
    clipped, _ = optax.clip_by_global_norm(s.clip).update(big, optax.EmptyState())
    assert s.clip == 5 and float(optax.tree.norm(clipped)) == pytest.approx(5)
    encoder = built(s).encoder
    assert encoder.layer_scale == 0.1 and encoder.drop_path == 0.1 and encoder.positions is None
    small = encoder.clone(dim=8, depth=2, heads=2)
    variables = small.init(KEY, jnp.zeros((1, 32, 32, 3)))
    features = small.apply(variables, jax.random.normal(KEY, (1, 32, 32, 3)))
    np.testing.assert_allclose(features.cls, features.tokens.mean(1), rtol=1e-6)
    assert not jnp.any(variables["params"]["attention_bias"]["table"])
    drawn = encoder.kernel_init(KEY, (400, 500), jnp.float32)
    assert float(jnp.abs(drawn).max()) <= 0.02 and float(drawn.std()) == pytest.approx(0.0108, rel=0.02)


def test_simmims_first_weights_are_scaled_by_depth():
    block = {
        "attn": {"proj": {"kernel": jnp.ones(1)}, "qkv": {"kernel": jnp.ones(1)}},
        "mlp": {"fc2": {"kernel": jnp.ones(1)}},
    }
    scaled = depth_scaled({"block_0": block, "block_3": block})
    assert float(scaled["block_0"]["attn"]["proj"]["kernel"][0]) == pytest.approx(2**-0.5)
    assert float(scaled["block_3"]["mlp"]["fc2"]["kernel"][0]) == pytest.approx(8**-0.5)
    assert float(scaled["block_3"]["attn"]["qkv"]["kernel"][0]) == 1
    images = jnp.zeros((1, 8, 8, 3))
    plain, scaled, scanned = (
        models.ViT(4, 16, 2, 2, start=start, scan=scan).init(KEY, images)["params"]["blocks"]
        for start, scan in ((None, False), (depth_scaled, False), (depth_scaled, True))
    )
    expected = plain["block_1"]["mlp"]["fc2"]["kernel"] / 2
    np.testing.assert_allclose(scaled["block_1"]["mlp"]["fc2"]["kernel"], expected, rtol=1e-6)
    np.testing.assert_array_equal(
        scanned["stacked"]["mlp"]["fc2"]["kernel"][1], scaled["block_1"]["mlp"]["fc2"]["kernel"]
    )


def test_simmims_swin_has_windows_of_six_at_192():
    encoder = built(swin).encoder
    assert (encoder.window, encoder.drop_path, swin.size, swin.side) == (6, 0.0, 192, 32)
    assert (swin.epochs, swin.peak_rate, rate(swin, 100)) == (100, pytest.approx(8e-4), pytest.approx(4e-5))


def test_simmims_crops_are_bilinear(monkeypatch):
    from jssl.data.views import plain

    asked = []
    monkeypatch.setattr(
        plain, "random_resized_crop", lambda **how: asked.append(how) or plain.horizontal_flip()
    )
    plain.simmim(), plain.mae(), plain.i_jepa()
    assert [how.get("method", "bilinear") for how in asked] == ["bilinear", "bicubic", "bilinear"]
    assert [how["scale"] for how in asked] == [(0.67, 1.0), (0.2, 1.0), (0.3, 1.0)]


# I-JEPA

SLOPE = {
    "image": jnp.broadcast_to(jnp.arange(64, dtype=jnp.uint8)[:, None], (16, 64, 64, 3)),
    "index": jnp.arange(16),
}


@pytest.mark.parametrize(
    "make, flips",
    [
        (views.i_jepa, False),
        (views.clip, False),
        (views.mae, True),
        (views.npid, True),
        (views.npid_cifar, False),
    ],
)
def test_who_mirrors_images(make, flips):
    seen = make(size=16)(KEY, SLOPE)["global"][0, ..., 0]
    rising = jnp.mean(jnp.diff(seen, axis=2), axis=(1, 2)) > 0
    assert bool(jnp.all(rising)) != flips


def test_i_jepas_rate_and_decay():
    s = IJEPA()
    assert (s.encoder, s.epochs, s.predictor_depth, s.together) == ("vit_h14", 300, 12, 128)
    assert [rate(s, epoch) for epoch in (0, 40, 300)] == [
        pytest.approx(value, rel=1e-3) for value in (2e-4, 1e-3, 1e-6)
    ]


def test_i_jepas_contexts_are_cut_to_one_size_within_a_share():
    keys = jax.random.split(KEY, 12)
    sizes = (~multiblock_masks(keys, (14, 14), together=2)[0]).sum(1)
    found, shares = np.unique(sizes, return_counts=True)
    assert (shares % 2 == 0).all() and len(found) > 1
    whole = (~multiblock_masks(keys, (14, 14))[0]).sum(1)
    assert (whole == whole[0]).all() and int(whole[0]) == int(sizes.min())
    _, shares = np.unique((~multiblock_masks(keys, (14, 14), together=5)[0]).sum(1), return_counts=True)
    assert (shares % 4 == 0).all()  # 12 in three shares of at most 5


# images and captions


def test_clips_image_tower():
    network = built(CLIP()).encoder
    small = network.clone(dim=64, depth=1, heads=4)
    variables = small.init(KEY, jnp.zeros((1, 64, 64, 3)))["params"]
    assert "bias" not in variables["stem"]["proj"] and "norm_input" in variables
    assert small.norm(name=None).epsilon == 1e-5
    assert small.mlp(hidden=4).activation is models.quick_gelu
    table = network.positions.table_init(KEY, (7, 7, 768), jnp.float32)
    assert float(table.std()) == pytest.approx(768**-0.5, rel=0.02)
    assert network.kernel_init is models.clip_image_init


@pytest.mark.parametrize("settings", [CLIP(), SLIP()])
def test_clips_text_tower(settings):
    text = settings.text_network(IMAGENET)
    assert (text.vocabulary, text.length, text.dim, text.depth) == (49_408, 77, 512, 12)
    assert text.end is models.largest_id and text.mlp(hidden=4).activation is models.quick_gelu
    out = text.kernel_init(KEY, (512, 512), jnp.float32)
    assert float(out.std()) == pytest.approx((512 * 24) ** -0.5, rel=0.02)
    with pytest.raises(
        ValueError, match="--caption-length 20 is too short for imagenet's captions of 77 tokens"
    ):
        type(settings)(caption_length=20).text_network(IMAGENET)


def test_clips_images_have_clips_statistics():
    white = jnp.full((1, 224, 224, 3), 255, jnp.uint8)
    expected = (1 - 0.40821073) / 0.27577711
    assert float(CLIP().view(IMAGENET)(white)[0, 0, 0, 2]) == pytest.approx(expected, rel=1e-5)


def test_siglips_images_lie_between_1_and_minus_1():
    white = {"image": jnp.full((1, 80, 80, 3), 255, jnp.uint8), "index": jnp.arange(1)}
    seen = SigLIP().make_views(IMAGENET)(KEY, white)["global"]
    black = SigLIP().view(IMAGENET)(0 * white["image"])
    np.testing.assert_allclose(seen, 1, atol=1e-6)
    np.testing.assert_allclose(black, -1, atol=1e-6)


def test_slip_shows_clip_a_plain_crop_and_simclr_two_other_views():
    s = SLIP()
    assert [rate(s, epoch) for epoch in (0, 1, 25)] == [
        pytest.approx(value, rel=1e-3) for value in (1e-6, 3e-3, 1e-5)
    ]
    seen = views.slip(size=16)(KEY, SLOPE)["global"]
    assert len(seen) == 3
    rising = jnp.mean(jnp.diff(seen[0, ..., 0], axis=2), axis=(1, 2)) > 0
    assert bool(jnp.all(rising))
    encoder, text = models.ViT(4, 16, 1, 2), models.text_encoder("text_n", vocabulary=9, length=4)
    method = methods.slip(encoder, text, dim=4, head=models.slip_head(4, hidden=8))
    batch = {
        "global": jax.random.normal(KEY, (3, 4, 8, 8, 3)),
        "caption": jnp.ones((4, 4), jnp.int32).at[:, 0].set(jnp.arange(4)),
    }
    params, memory = jax.jit(method.init)(KEY, batch)

    @jax.jit
    def judged(batch):
        loss, (_, metrics) = method.loss(params, None, memory, batch, KEY, 0)
        return metrics | {"loss": loss}

    terms = judged(batch)
    changed = judged(batch | {"global": batch["global"].at[0].add(1.0)})
    assert terms["simclr"] == changed["simclr"] and terms["clip"] != changed["clip"]
    changed = judged(batch | {"global": batch["global"].at[2].add(1.0)})
    assert terms["clip"] == changed["clip"] and terms["simclr"] != changed["simclr"]
    assert float(terms["loss"]) == pytest.approx(float(terms["clip"] + terms["simclr"] / 2), rel=1e-5)
    last = list(params["simclr"]["cls"].values())[-1]
    assert "bias" in last and "kernel" in last  # SLIP's head ends with a linear layer


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


def test_context_predictions_pair_decays_more():
    settings = ContextPrediction(encoder="resnet10x0.125_cifar", warmup=0)
    dense = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    params = {name: {"dense": dense} for name in ("encoder", "tile", "join")}
    moves = moved(built(settings).optimizer, params, jax.tree.map(jnp.zeros_like, params))
    for name, decay in dict(encoder=1e-4, tile=1e-4, join=5e-4).items():
        np.testing.assert_allclose(
            moves[name]["dense"]["kernel"], -decay * settings.peak_rate * np.ones((2, 2)), rtol=1e-5
        )
        assert not np.any(moves[name]["dense"]["bias"])


def test_rotations_quoted_run():
    s = Rotation()
    assert [rate(s, epoch) for epoch in (0, 14, 16, 31, 46)] == [
        pytest.approx(value) for value in (0.01, 0.01, 1e-3, 1e-4, 1e-5)
    ]
    cifar = Rotation(batch=128, epochs=200, learning_rate=0.1, drops=(60, 120, 160), final_rate=0.008)
    assert [rate(cifar, epoch) for epoch in (59, 61, 121, 161)] == [
        pytest.approx(value, rel=1e-4) for value in (0.1, 0.02, 0.004, 0.0008)
    ]
    params = {"dense": {"kernel": jnp.ones((2, 2))}}
    update = moved(built(Rotation(weight_decay=0.0)).optimizer, params, jax.tree.map(jnp.ones_like, params))
    assert float(-update["dense"]["kernel"][0, 0]) == pytest.approx(0.01 * 1.9)  # Nesterov's first step


def test_mim_and_contrast_have_one_set_of_numbers():
    import inspect

    defaults = inspect.signature(methods.mim_contrast).parameters
    for name in ("mix", "ratio", "temperature"):
        assert getattr(MIMContrast(), name) == defaults[name].default


# all


@pytest.mark.parametrize("name", REGISTRY)
def test_spans_are_epochs(name):
    settings = replace(named(name)(), steps=None)
    assert settings.span(1, IMAGENET) == per_epoch(settings)


@pytest.mark.parametrize(
    "name",
    [
        "simclr",
        "simclr_v2",
        "nnclr",
        "moco_v3",
        "flip",
        "byol",
        "barlow_twins",
        "vicreg",
        "simsiam",
        "dino",
        "ibot",
        "mae",
    ],
)
def test_rates_are_given_per_256_images(name):
    settings = named(name)()
    assert settings.rate_per == 256
    assert named(name)(batch=2 * settings.batch).peak_rate == pytest.approx(2 * settings.peak_rate)


def test_evaluation_takes_the_central_224_of_a_short_side_of_256():
    """On a canvas: a wide image whose outer rows and columns are white, beyond 224/256 of the short side."""
    pixels = np.full((1, 256, 512, 3), 255, np.uint8)
    pixels[:, 16:-16, 128 + 16 : -128 - 16] = 0
    seen = views.evaluation_view(224, mean=(0, 0, 0), std=(1, 1, 1))(Canvas(pixels, np.array([[256, 512]])))
    assert seen.shape == (1, 224, 224, 3) and not np.any(seen)
