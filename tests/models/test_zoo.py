import math

import jax
import jax.numpy as jnp
import pytest

from jssl.models import encoder, encoder_names, text_encoder


def parameters(model, *inputs):
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize(
    "name, count",
    [  # published models without their classifiers
        ("vit_ti16", 5_524_416),
        ("vit_s16", 21_665_664),
        ("vit_b16", 85_798_656),
        ("vit_l16", 303_301_632),
        ("resnet18", 11_689_512 - 513_000),
        ("resnet34", 21_797_672 - 513_000),
        ("resnet50", 25_557_032 - 2_049_000),
        ("resnet101", 44_549_160 - 2_049_000),
        ("swin_t", 28_288_354 - 769_000),
        ("swin_b", 87_768_224 - 1_025_000),
    ],
)
def test_published_parameter_counts(name, count):
    assert parameters(encoder(name), jnp.zeros((1, 224, 224, 3))) == count


def test_clip_text_parameter_count():
    projection = 512 * 512
    assert (
        parameters(text_encoder("text_b", vocabulary=49408), jnp.zeros((1, 77), int)) + projection
        == 63_428_096
    )


def test_every_name_builds_an_encoder_with_features():
    for name in encoder_names():
        model = encoder(name)
        assert hasattr(model, "grid") or name.startswith("resnet"), name


def test_widths_and_stems_of_residual_networks():
    assert encoder("resnet50x2").widths == (128, 256, 512, 1024)
    small = encoder("resnet18x0.25_cifar")
    features = jax.eval_shape(small.init_with_output, jax.random.key(0), jnp.zeros((2, 32, 32, 3)))[0]
    assert features.cls.shape == (2, 128) and features.tokens.shape == (2, 16, 128)
    large = encoder("resnet18x0.25")
    features = jax.eval_shape(large.init_with_output, jax.random.key(0), jnp.zeros((2, 32, 32, 3)))[0]
    assert features.tokens.shape == (2, 1, 128)


def test_overrides_reach_the_module():
    model = encoder("vit_s16", depth=2, registers=4)
    assert (model.depth, model.registers, model.dim) == (2, 4, 384)
    assert encoder("swin_t", window=6).window == 6


@pytest.mark.parametrize(
    "name, hint",
    [("vit_x16", "vit_s16"), ("resnet51", "resnet50"), ("swin", "swin_t"), ("vit_s0", "vit_s16")],
)
def test_an_unknown_name_suggests_others(name, hint):
    with pytest.raises(ValueError, match=f"{name}.*{hint}"):
        encoder(name)


def test_an_unknown_field_names_the_encoder():
    with pytest.raises(TypeError, match="vit_s16.*deph"):
        encoder("vit_s16", deph=2)


@pytest.mark.parametrize(
    "name, width, few",
    [("vit_n4", 96, {"depth": 1}), ("swin_n", 32, {"depths": (1, 1, 1)}), ("vit_b16", 768, {"depth": 1})],
)
def test_what_a_block_adds_at_first_is_not_lost_beside_what_it_is_given(name, width, few):
    # Normalised tokens have length sqrt(width): a kernel of deviation s makes queries of s * sqrt(width).
    @jax.jit
    def first(key):  # of a network no other weight is drawn
        params = encoder(name, **few).init(key, jnp.zeros((1, 32, 32, 3)))["params"]
        leaves = jax.tree.leaves_with_path(params)
        return next(leaf for path, leaf in leaves if "qkv" in jax.tree_util.keystr(path) and leaf.ndim == 2)

    kernel = first(jax.random.key(0))
    assert kernel.shape == (width, 3 * width)
    assert 0.45 < kernel.std() * width**0.5 < 0.75
