"""Weights begin as in the authors' code."""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jssl.models import Mlp, PatchEmbed, TextTransformer, ViT, layer_norm, quick_gelu
from jssl.models.layers.initializers import clip_image_init, clip_text_init, truncated_normal

KEY = jax.random.key(0)


def deviation(init, shape):
    return float(init(KEY, shape).std())


def test_a_truncated_normal_has_the_deviation_that_was_asked_for():
    assert deviation(truncated_normal(0.02), (300, 300)) == pytest.approx(0.02, rel=0.02)
    assert deviation(nn.initializers.truncated_normal(0.02), (300, 300)) == pytest.approx(0.0176, rel=0.02)
    params = jax.jit(ViT(4, 128, 1, 2, registers=64).init)(KEY, jnp.ones((1, 8, 8, 3)))["params"]
    for weight in (params["blocks"]["block_0"]["mlp"]["fc1"]["kernel"], params["registers"]):
        assert float(weight.std()) == pytest.approx(0.02, rel=0.03)
    wide = truncated_normal(2.0)(KEY, (300, 300))
    assert 1.9 < float(jnp.abs(wide).max()) <= 2.0


def test_clips_text_transformer():
    # openai/CLIP model.py initialize_parameters: width 512, 12 layers
    params = TextTransformer(9, dim=128, depth=2, heads=2, kernel_init=clip_text_init(2)).init(
        KEY, jnp.ones((1, 4), jnp.int32)
    )["params"]
    block = params["blocks"]["block_1"]
    for kernel, want in (
        (block["attn"]["qkv"], 128**-0.5),
        (block["attn"]["proj"], 128**-0.5 * 4**-0.5),
        (block["mlp"]["fc1"], 256**-0.5),
        (block["mlp"]["fc2"], 128**-0.5 * 4**-0.5),
    ):
        assert float(kernel["kernel"].std()) == pytest.approx(want, rel=0.03)


def test_clips_image_transformer_can_be_written_down():
    model = ViT(
        4,
        64,
        1,
        2,
        stem=partial(PatchEmbed, use_bias=False),
        norm_input=True,
        norm=partial(layer_norm, epsilon=1e-5),
        mlp=partial(Mlp, activation=quick_gelu),
        kernel_init=clip_image_init,
    )
    params = jax.jit(model.init)(KEY, jnp.ones((1, 8, 8, 3)))["params"]
    assert set(params["stem"]["proj"]) == {"kernel"} and "norm_input" in params
    block = params["blocks"]["block_0"]
    qkv, out = block["attn"]["qkv"]["kernel"], block["attn"]["proj"]["kernel"]
    assert float(jnp.abs(qkv).max()) == pytest.approx(
        math.sqrt(6 / (4 * 64)), rel=0.01
    )  # of a matrix [3 D, D]
    assert float(jnp.abs(out).max()) == pytest.approx(64**-0.5, rel=0.01)
