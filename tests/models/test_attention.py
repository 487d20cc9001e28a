"""Attention takes the fused kernel where it fits, and says the same numbers without it."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import CAE, MAE

from jssl.models import ViT, attend
from jssl.models.layers import attention
from jssl.run import DataInfo

IMAGENET = DataInfo("photos", 1_281_167, (256, 256, 3), 224, 10, {})


def qkv(*, length=5, width=8, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(0), (3, 2, length, 2, width)).astype(dtype)


@pytest.fixture
def chosen(monkeypatch):
    """What attention was computed by, on a machine that has the fused kernel."""
    taken, products = [], jax.nn.dot_product_attention

    def recording(*inputs, implementation, **settings):
        taken.append(implementation)
        return products(*inputs, **settings)

    monkeypatch.setattr(jax.nn, "dot_product_attention", recording)
    monkeypatch.setattr(attention, "has_fused_attention", lambda: True)
    return taken


@pytest.mark.parametrize(
    "inputs, bias, by, want",
    [
        (dict(dtype=jnp.bfloat16), False, "auto", "cudnn"),
        (dict(dtype=jnp.float16, length=6), False, "auto", "cudnn"),
        (dict(dtype=jnp.bfloat16), False, "xla", "xla"),
        (dict(dtype=jnp.bfloat16), True, "auto", "xla"),
        (dict(dtype=jnp.bfloat16, length=6), True, "cudnn", "xla"),
        (dict(), False, "auto", "xla"),
        (dict(), False, "cudnn", "xla"),
        (dict(dtype=jnp.bfloat16, width=12), False, "auto", "xla"),
        (dict(dtype=jnp.bfloat16, width=136), False, "auto", "xla"),
    ],
)
def test_the_fused_kernel_is_taken_where_it_fits(inputs, bias, by, want, chosen):
    q, k, v = qkv(**inputs)
    bias = jax.random.normal(jax.random.key(1), (1, 2, q.shape[1], q.shape[1])) if bias else None
    got = attend(q, k, v, bias=bias, by=by)
    assert chosen == [want] and got.dtype == q.dtype and got.shape == q.shape
    products = jax.nn.dot_product_attention(q, k, v, bias=bias, implementation="xla")
    np.testing.assert_allclose(*(x.astype(jnp.float32) for x in (got, products)), atol=1e-2)


@pytest.mark.parametrize("lengths", [(5, 5), (4, 7)])
def test_a_token_of_padding_changes_no_number_and_no_gradient(lengths, chosen):
    """The fused kernel is asked for an even number of tokens."""
    asked, told = lengths
    q, k, v = qkv(length=8, dtype=jnp.bfloat16)

    def loss(by, q, k, v):
        return jnp.sum(attend(q[:, :asked], k[:, :told], v[:, :told], by=by).astype(jnp.float32) ** 2)

    got, want = (jax.value_and_grad(partial(loss, by), argnums=(0, 1, 2))(q, k, v) for by in ("auto", "xla"))
    assert chosen[0] == "cudnn" and chosen[-1] == "xla"
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(*(x.astype(jnp.float32) for x in (one, other)), rtol=0.03, atol=0.03)


def test_a_cpu_has_no_fused_kernel():
    assert not attention.has_fused_attention()
    q, k, v = qkv(dtype=jnp.bfloat16)
    weights = jax.nn.softmax(jnp.einsum("bmhd,bnhd->bhmn", q, k).astype(jnp.float32) / 8**0.5)
    want = jnp.einsum("bhmn,bnhd->bmhd", weights, v.astype(jnp.float32))
    np.testing.assert_allclose(attend(q, k, v).astype(jnp.float32), want, atol=0.03)


def test_another_way_is_refused():
    with pytest.raises(ValueError, match="by must be auto, xla or cudnn, got 'pallas'"):
        attend(*qkv(), by="pallas")


def test_a_programs_every_block_is_lowered_to_the_fused_kernel():
    """Forward and gradient of two blocks, lowered for CUDA on a machine without one."""
    pytest.importorskip("jax_cuda13_plugin", reason="lowering cuDNN's attention needs JAX's CUDA plugin")
    vit = ViT(4, 16, 2, 2, attend=partial(attend, by="cudnn"))
    images = jnp.ones((2, 16, 16, 3), jnp.bfloat16)
    params = jax.eval_shape(vit.init, jax.random.key(0), images)
    params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16), params)

    def loss(params):
        return vit.apply(params, images).cls.astype(jnp.float32).sum()

    text = jax.jit(jax.grad(loss)).trace(params).lower(lowering_platforms=("cuda",)).as_text()
    assert set(re.findall(r"fmhaSoftmax\w*", text)) == {"fmhaSoftmax", "fmhaSoftmaxBackward"}
    assert not re.search(r"17x17x|18x18x", text)  # no logits of 16 patches, a class token and padding


@pytest.mark.parametrize("by, want", [("auto", "cudnn"), ("xla", "xla")])
@pytest.mark.parametrize("kind", [MAE, CAE])
def test_the_option_reaches_decoders_too(kind, by, want, chosen, monkeypatch):
    monkeypatch.setattr(attention, "_fits", lambda query: True)
    experiment = kind(encoder="vit_ti16", attention=by).build(IMAGENET)
    views = {"global": jax.ShapeDtypeStruct((1, 64, 224, 224, 3), jnp.float32), "index": jnp.arange(64)}
    jax.eval_shape(experiment.method.init, jax.random.key(0), views)
    assert len(chosen) >= 20 and set(chosen) == {want}
