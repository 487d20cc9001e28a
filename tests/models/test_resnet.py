import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jssl.models import BasicBlock, ResNet, cifar_stem, imagenet_stem, same_padding

KEY = jax.random.key(0)
IMAGES = jax.random.normal(jax.random.key(1), (4, 16, 16, 3))
TINY = ResNet((1, 1), BasicBlock, (8, 16), stem_width=8, stem=cifar_stem)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(TINY.init)(KEY, IMAGES)


def test_only_training_uses_and_updates_batch_statistics(variables):
    apply = jax.jit(TINY.apply, static_argnames=("train", "mutable"))
    (trained, updated) = apply(variables, IMAGES, train=True, mutable="batch_stats")
    quiet = apply(variables, IMAGES)
    assert jnp.abs(trained.cls - quiet.cls).max() > 1e-3
    moved = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), updated["batch_stats"], variables["batch_stats"])
    assert all(jax.tree.leaves(moved))
    np.testing.assert_array_equal(apply(variables, IMAGES[:1]).cls.shape, (1, 16))
    np.testing.assert_allclose(quiet.tokens.mean(axis=1), quiet.cls, rtol=1e-5)


def test_batch_statistics_move_by_a_tenth(variables):
    """momentum 0.9: new = 0.9 old + 0.1 batch, from a mean of 0."""
    conv = variables["params"]["conv1"]["kernel"]
    out = jax.lax.conv_general_dilated(
        IMAGES, conv, (1, 1), [(1, 1)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    _, updated = jax.jit(TINY.apply, static_argnames=("train", "mutable"))(
        variables, IMAGES, train=True, mutable="batch_stats"
    )
    np.testing.assert_allclose(updated["batch_stats"]["bn1"]["mean"], 0.1 * out.mean((0, 1, 2)), atol=1e-5)


def test_bfloat16_in_bfloat16_out_with_float32_statistics(variables):
    half = variables | {"params": jax.tree.map(lambda x: x.astype(jnp.bfloat16), variables["params"])}
    apply = lambda v, x: TINY.apply(v, x, train=True, mutable=["batch_stats"])  # noqa: E731
    features, updated = jax.eval_shape(apply, half, IMAGES.astype(jnp.bfloat16))
    assert features.cls.dtype == features.tokens.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(updated)} == {jnp.dtype("float32")}


def test_padding_is_symmetric_unless_asked_otherwise():
    images = jnp.zeros((1, 32, 32, 3)).at[0, 0, 0].set(1.0)
    for padding in (None, same_padding):
        fields = {} if padding is None else {"padding": padding}
        model = ResNet((1,), BasicBlock, (4,), stem_width=4, stem=imagenet_stem, **fields)
        shapes = jax.eval_shape(model.init_with_output, KEY, images)[0]
        assert shapes.tokens.shape == (1, 64, 4)
    conv = nn.Conv(1, (3, 3), 2, [(1, 1)] * 2, kernel_init=nn.initializers.ones)
    same = nn.Conv(1, (3, 3), 2, "SAME", kernel_init=nn.initializers.ones)
    a, b = (module.apply(module.init(KEY, images), images) for module in (conv, same))
    assert a[0, 0, 0, 0] == b[0, 0, 0, 0] == 3.0
    shifted = jnp.roll(
        images, 1, axis=(1, 2)
    )  # the second pixel: seen at one place with torch's padding, not two
    assert conv.apply(conv.init(KEY, images), shifted).astype(bool).sum() == 4
    assert same.apply(same.init(KEY, images), shifted).astype(bool).sum() == 1


def test_zero_last_scale_starts_blocks_as_the_identity():
    model = TINY.clone(depths=(2,), widths=(8,), last_scale=nn.initializers.zeros)
    longer = model.clone(depths=(3,))
    short, long = (jax.jit(m.init_with_output)(KEY, IMAGES)[0] for m in (model, longer))
    np.testing.assert_allclose(short.cls, long.cls, rtol=1e-5)


def test_one_image_without_a_batch_is_refused(variables):
    with pytest.raises(ValueError, match="add a batch axis"):
        TINY.apply(variables, IMAGES[0])
