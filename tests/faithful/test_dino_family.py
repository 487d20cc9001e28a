"""DINO, iBOT, DINOv2 and DINOv3, as their authors train them."""

import math
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import IBOT, Dino, DINOv2, DINOv2Distill, DINOv3
from jssl.experiments.dino import boosted

from jssl import models
from jssl.models.layers.transformer import path_factors
from jssl.run.settings.systems import named
from tests.faithful.quoted import IMAGENET, KEY, built, moved, per_epoch, rate, tree


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


def test_dinov2s_distillation_is_the_papers():
    """Table 16: 625,000 steps of 2048 images, of which 100,000 warm up to a rate of 1e-3."""
    s = DINOv2Distill()
    assert (s.batch, s.steps, s.warmup * s.span(1, IMAGENET), s.drop_path) == (2048, 625_000, 100_000, 0.0)
    assert s.peak_rate == pytest.approx(1e-3) and replace(s, batch=512).peak_rate == pytest.approx(5e-4)
    assert float(s.rate(IMAGENET)(s.steps)) == pytest.approx(1e-6, rel=1e-2)
    assert (s.weight_decay, s.final_weight_decay, s.momentum, s.final_momentum) == (0.04, 0.2, 0.994, 1.0)
    assert (s.layer_scale, s.swiglu) == (1e-5, False)


def test_dinov3s_quoted_run():
    s = DINOv3()
    assert (s.steps, s.span(1, IMAGENET), s.span(s.gram_every, IMAGENET)) == (1_000_000, 1000, 10_000)
    for step in (100_000, 999_999):  # constant schedules
        assert float(s.rate(IMAGENET)(step)) == pytest.approx(4e-4)  # 5e-5 * 4 * (4096 / 1024) ** 0.5
        assert float(s.teacher_momentum(IMAGENET)(step)) == pytest.approx(0.994)
        assert float(s.temperature(IMAGENET)(step)) == pytest.approx(0.07)
    encoder = s.moving(s.network(where_it_has=s.encoder_settings()))
    assert encoder.mlp_ratio * encoder.dim == 8192 and encoder.positions is None and encoder.registers == 4
    assert not encoder.qkv_bias and encoder.norm().epsilon == 1e-5  # qkv_bias false, layernormbf16
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


@pytest.mark.parametrize("name", ["dino", "esvit", "ibot", "attmask", "dinov2", "dinov3"])
def test_the_last_layer_begins_as_in_the_authors_code(name):
    """Drawn after the other layers, by torch's default; DINOv3 draws all of the head alike."""
    head = replace(named(name)(), hidden=4, bottleneck=100).head()(500)
    kernel = np.asarray(head.init(KEY, jnp.ones((1, 4)))["params"][head.last]["kernel"])
    if name == "dinov3":
        assert kernel.std() == pytest.approx(0.02, rel=0.02)
    else:  # uniform between -1 and 1 over the root of the width
        assert 0.099 < np.abs(kernel).max() <= 0.1 and kernel.std() == pytest.approx(0.1 / 3**0.5, rel=0.02)


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


@pytest.mark.parametrize("name", ["ibot", "attmask", "dinov2", "dinov3"])
def test_mask_tokens_begin_at_zero_and_dinov2s_other_tokens_near_it(name):
    settings = named(name)()
    encoder = settings.network(hides="mask", where_it_has=settings.encoder_settings())
    small, side = encoder.clone(dim=64, depth=1, heads=2, mlp_ratio=2.0), 2 * encoder.patch

    @jax.jit
    def drawn():  # these alone
        params = small.init(KEY, jnp.zeros((1, side, side, 3)), mask=jnp.ones((1, 4), bool))["params"]
        return {name: params[name] for name in ("mask_token", "class_token")}

    tokens = drawn()
    assert tokens["mask_token"].shape == (64,) and not np.any(tokens["mask_token"])
    deviation = 1e-6 if name == "dinov2" else 0.02
    assert float(tokens["class_token"].std()) == pytest.approx(deviation, rel=0.35)


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
    assert built(named(name)()).probed is not None
    module, images = models.ViT(4, 8, 5, 2), jax.random.normal(KEY, (2, 8, 8, 3))
    variables = jax.jit(module.init)(KEY, images)
    tokens = models.last_class_tokens(module, variables, images).reshape(2, 4, 8)
    features = jax.jit(module.apply)(variables, images)
    np.testing.assert_allclose(tokens[:, -1], features.cls, rtol=1e-5, atol=1e-6)
    method = SimpleNamespace(encoder=lambda params, teacher, memory: variables)
    cls, linear = named(name)().probed(method, module)(None, None, None, images)
    np.testing.assert_array_equal(cls, tokens[:, -1])
    np.testing.assert_array_equal(linear, tokens.reshape(2, 32))
    one = module.clone(depth=4)
    fewer = {
        "params": variables["params"] | {"blocks": dict(list(variables["params"]["blocks"].items())[:4])}
    }
    features = jax.jit(one.apply)(fewer, images)
    np.testing.assert_allclose(tokens[:, -2], features.cls, rtol=1e-5, atol=1e-6)
