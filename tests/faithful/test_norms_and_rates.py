"""Last scales, decay and rates by the epoch, as the authors of residual networks have them."""

from dataclasses import replace

import jax.numpy as jnp
import pytest
from jssl.experiments import MoCoV1, OBoW, ReSSL, SupCon
from jssl.experiments.moco_v3 import resnet

from jssl.models import truncated_normal
from jssl.run.settings.systems import named
from tests.faithful.quoted import IMAGENET, KEY, TOKENS, built, decayed, half_cosine, per_epoch, rate, tree

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


def test_flip_lets_all_but_biases_norms_and_positions_decay():
    words = {"embed": {"embedding": jnp.ones((4, 3))}, "positions": jnp.ones((2, 3))}
    params = tree(**TOKENS) | {"text": words, "logit_scale": {"log_scale": jnp.asarray(2.0)}}
    found = decayed(named("flip")(steps=10, caption_length=77), params)
    assert {path for path, moves in found.items() if not moves} == {
        "encoder/dense/bias",
        "encoder/norm/bias",
        "encoder/norm/scale",
        "encoder/positions/table",
        "text/positions",
    }
    assert found["encoder/class_token"] and found["logit_scale/log_scale"]


def test_supcons_warmup_meets_the_cosine_of_all_epochs():
    s, met = SupCon(), half_cosine(0.5, 5e-4, 0.01)
    assert [rate(s, epoch) for epoch in (0, 5)] == [
        pytest.approx(x, rel=1e-3) for x in (0.01, 0.005 + met / 2)
    ]
    assert rate(s, 9.999) == pytest.approx(met, rel=1e-3)
    for epoch in (10, 500, 999):
        assert_rate_of_an_epoch(s, epoch, half_cosine(0.5, 5e-4, (epoch + 1) / 1000))


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


def test_siglip_lets_kernels_alone_decay():
    words = {"embed": {"embedding": jnp.ones((4, 3))}, "positions": jnp.ones((2, 3))}
    numbers = {"logit_bias": {"bias": jnp.asarray(2.0)}, "logit_scale": {"log_scale": jnp.asarray(2.0)}}
    params = tree(pool={"probe": jnp.ones((1, 3))}) | {"text": words} | numbers
    found = decayed(named("siglip")(steps=10, caption_length=77), params)
    assert {path for path, moves in found.items() if moves} == {"encoder/dense/kernel"}


def test_truncated_normals_have_the_deviation_asked_for():
    drawn = truncated_normal(0.02)(KEY, (400, 500), jnp.float32)
    assert float(drawn.std()) == pytest.approx(0.02, rel=0.01) and float(jnp.abs(drawn).max()) > 0.06
