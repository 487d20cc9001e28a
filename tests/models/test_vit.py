import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.models import (
    ConvStem,
    RelativePositionBias,
    SwiGlu,
    ViT,
    cls_attention,
    last_class_tokens,
    read_mean,
    read_normed_mean,
    rotary_angles,
    sincos_positions,
)
from jssl.models.encoders.readouts import read_apart

KEY = jax.random.key(0)
IMAGES = jax.random.normal(jax.random.key(1), (2, 16, 8, 3))
TINY = ViT(4, 32, 1, 4)
EVERY = jnp.tile(jnp.arange(8), (2, 1))
SOME = jnp.array([[0, 5, 6], [0, 3, 7]])
MASK = jnp.zeros((2, 8), bool).at[:, 1].set(True)
OTHER_PATCH_1 = IMAGES.at[:, :4, 4:].add(1.0)

VARIANTS = {
    "registers": TINY.clone(registers=3, layer_scale=0.1),
    "no class, sincos": TINY.clone(class_token=False, positions=sincos_positions),
    "no positions, swiglu": TINY.clone(positions=None, mlp=SwiGlu, qkv_bias=False, readout=read_mean),
    "rotary": TINY.clone(positions=None, rotary=rotary_angles),
    "relative": TINY.clone(positions=None, attention_bias=RelativePositionBias(shared=False), depth=2),
    "conv stem": TINY.clone(stem=ConvStem, readout=read_normed_mean, norm_input=True),
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    """A variant with random parameters everywhere, so that nothing hides behind an initial zero or one."""
    model = VARIANTS[request.param]
    variables = dict(jax.jit(model.init)(KEY, IMAGES, mask=MASK))
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(leaf + 0.1 * rng.normal(size=leaf.shape), leaf.dtype), variables["params"]
    )
    return model, jax.jit(model.apply), variables | {"params": params}


def test_features_have_the_shapes_of_the_contract(variant):
    model, apply, variables = variant
    features = apply(variables, IMAGES)
    assert features.cls.shape == (2, 32) and features.tokens.shape == (2, 8, 32)
    assert model.grid(IMAGES.shape) == (4, 2) == model.grid(IMAGES.shape[1:])
    assert jnp.isfinite(features.cls).all()
    np.testing.assert_array_equal(features.tokens, apply(variables, IMAGES).tokens)


def test_all_visible_is_the_same_as_no_argument(variant):
    _, apply, variables = variant
    want, got = apply(variables, IMAGES), apply(variables, IMAGES, visible=EVERY)
    np.testing.assert_allclose(got.cls, want.cls, atol=1e-5)
    np.testing.assert_allclose(got.tokens, want.tokens, atol=1e-5)


def test_the_order_of_visible_patches_only_orders_the_tokens(variant):
    _, apply, variables = variant
    forward, backward = (apply(variables, IMAGES, visible=v) for v in (SOME, SOME[:, ::-1]))
    np.testing.assert_allclose(forward.tokens, backward.tokens[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(forward.cls, backward.cls, atol=1e-5)


def test_hidden_patches_do_not_matter_to_visible_ones(variant):
    model, apply, variables = variant
    if model.stem is ConvStem:
        pytest.skip("overlapping convolutions see their neighbours")
    want, got = (apply(variables, images, visible=SOME) for images in (IMAGES, OTHER_PATCH_1))
    np.testing.assert_array_equal(got.tokens, want.tokens)


def test_a_mask_replaces_the_patch_but_not_its_position(variant):
    model, apply, variables = variant
    masked = apply(variables, IMAGES, mask=MASK)
    assert jnp.abs(masked.tokens - apply(variables, IMAGES).tokens).max() > 1e-3
    if model.stem is not ConvStem:
        np.testing.assert_array_equal(apply(variables, OTHER_PATCH_1, mask=MASK).tokens, masked.tokens)
    whole = apply(variables, IMAGES, mask=jnp.ones((2, 8), bool)).tokens
    apart = jnp.abs(whole[0, 0] - whole[0, 1]).max()
    assert (apart < 1e-5) if VARIANTS["no positions, swiglu"] is model else (apart > 1e-4)


def test_fillers_are_not_attended_to(variant):
    model, apply, variables = variant
    present = jnp.array([[True, True, True, False]] * 2)
    want = apply(variables, IMAGES, visible=SOME)
    got = apply(variables, IMAGES, visible=jnp.concatenate([SOME, SOME[:, :1]], axis=1), present=present)
    np.testing.assert_allclose(got.tokens[:, :3], want.tokens, atol=1e-5)
    if model.class_token and model.readout is None:
        np.testing.assert_allclose(got.cls, want.cls, atol=1e-5)


def test_bfloat16_in_bfloat16_out(variant):
    _, apply, variables = variant
    half = variables | {"params": jax.tree.map(lambda x: x.astype(jnp.bfloat16), variables["params"])}
    want, got = apply(variables, IMAGES), apply(half, IMAGES.astype(jnp.bfloat16))
    assert got.cls.dtype == got.tokens.dtype == jnp.bfloat16
    np.testing.assert_allclose(got.tokens.astype(jnp.float32), want.tokens, atol=0.2)


def test_other_resolutions_use_the_same_parameters(variant):
    _, apply, variables = variant
    features = apply(variables, jnp.concatenate([IMAGES, IMAGES[:, :8]], axis=1))
    assert features.tokens.shape == (2, 12, 32) and jnp.isfinite(features.tokens).all()


def test_every_parameter_gets_a_gradient(variant):
    model, _, variables = variant
    rest = {name: value for name, value in variables.items() if name != "params"}

    def loss(params):
        features = model.apply({"params": params} | rest, IMAGES, mask=MASK)
        return jnp.sum(features.cls**3) + jnp.sum(features.tokens**3)

    for path, grad in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(variables["params"])):
        assert jnp.abs(grad).max() > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize("scan", [False, True])
def test_cls_attention_is_a_distribution_over_class_registers_and_patches(scan):
    model = TINY.clone(registers=2, scan=scan)
    variables = jax.jit(model.init)(KEY, IMAGES)
    weights = jax.jit(cls_attention, static_argnums=0)(model, variables, IMAGES)
    assert weights.shape == (2, 4, 8)
    np.testing.assert_allclose(weights.sum(-1), 8 / 11, atol=0.1)  # 11 tokens, nearly alike at initialisation
    with pytest.raises(ValueError, match="class_token"):
        cls_attention(TINY.clone(class_token=False), variables, IMAGES)


def test_a_class_token_with_a_norm_of_its_own_is_read_through_it():
    model = TINY.clone(depth=2, readout=read_apart)
    variables = jax.jit(model.init)(KEY, IMAGES)
    own = {"scale": jnp.full(32, 2.0), "bias": jnp.ones(32)}
    variables = {"params": variables["params"] | {"norm_class": own}}
    tokens = last_class_tokens(model, variables, IMAGES, blocks=2)
    np.testing.assert_allclose(tokens[:, 32:], model.apply(variables, IMAGES).cls, rtol=1e-5, atol=1e-6)


def test_nothing_is_sown_unless_asked():
    variables = jax.eval_shape(TINY.init, KEY, IMAGES)
    assert set(variables) == {"params"}
    jaxpr = str(jax.make_jaxpr(TINY.apply)(variables, IMAGES))
    sown = str(jax.make_jaxpr(lambda v, x: TINY.apply(v, x, mutable=["intermediates"])[0])(variables, IMAGES))
    assert len(sown) > len(jaxpr)


@pytest.mark.parametrize(
    "images, arguments, message",
    [
        (IMAGES[0], {}, "add a batch axis"),
        (IMAGES[:0], {}, "with no empty axis"),
        (IMAGES[:, :15], {}, "not divisible by patch = 4"),
        (jnp.zeros((2, 16, 8, 3), jnp.uint8), {}, "floats"),
        (IMAGES, {"mask": jnp.zeros((2, 8))}, "mask must be bool"),
        (IMAGES, {"mask": jnp.zeros((2, 9), bool)}, "mask must be bool"),
        (IMAGES, {"visible": jnp.zeros((2, 3))}, "visible must be int"),
        (IMAGES, {"visible": EVERY, "present": jnp.ones((2, 3), bool)}, "present must be bool"),
    ],
)
def test_wrong_inputs_are_named(images, arguments, message):
    variables = jax.eval_shape(TINY.init, KEY, IMAGES)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(TINY.apply, variables, images, **arguments)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="heads=5 must divide the width 32"):
        jax.eval_shape(TINY.clone(heads=5).init, KEY, IMAGES)
