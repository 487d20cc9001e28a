"""MAE, SimMIM, I-JEPA and the mix with contrast, as their authors train them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jssl.experiments import IJEPA, MAE, FineTune, MIMContrast, SimMIM
from jssl.experiments.simmim import swin

from jssl import methods, models
from jssl.evaluate import protocols
from jssl.masks import multiblock_masks
from jssl.models.layers.initializers import depth_scaled
from tests.faithful.quoted import KEY, TOKENS, built, decayed, rate, tree


def test_simmims_vit_spares_the_class_token_and_its_swin_all_tokens_and_tables():
    bias = {"attention_bias": {"table": jnp.ones((3, 3, 2))}}
    found = decayed(SimMIM(steps=10), tree(**TOKENS, **bias))
    assert not found["encoder/class_token"]
    assert found["encoder/mask_token"] and found["encoder/attention_bias/table"]
    found = decayed(SimMIM(encoder="swin_b", steps=10), tree(**TOKENS, relative_bias=jnp.ones((9, 2))))
    assert not found["encoder/mask_token"] and not found["encoder/relative_bias"]
    assert found["encoder/dense/kernel"]


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
    variables = jax.jit(small.init)(KEY, jnp.zeros((1, 32, 32, 3)))
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


@pytest.mark.parametrize("protocol, peak", [("fine_tune_mae", 2e-3), ("fine_tune_beit", 4e-3)])
def test_fine_tunings_rates_end_at_a_millionth(protocol, peak):
    s = FineTune(**protocols.protocol(protocol).settings)
    assert rate(s, s.warmup) == pytest.approx(peak, rel=1e-3)
    assert rate(s, s.epochs) == pytest.approx(1e-6, rel=1e-3)


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


def test_mim_and_contrast_have_one_set_of_numbers():
    import inspect

    defaults = inspect.signature(methods.mim_contrast).parameters
    for name in ("mix", "ratio", "temperature"):
        assert getattr(MIMContrast(), name) == defaults[name].default
