from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl.arrays.stacks import stack_blocks, unstack_blocks
from jssl.models import Block, Transformer
from jssl.models.layers.transformer import attention_weights, path_factors, quick_gelu, rotate

KEY = jax.random.key(0)
TOKENS = jax.random.normal(jax.random.key(1), (2, 5, 16))
STACK = Transformer(2, partial(Block, heads=2, layer_scale=0.5), drop_path=0.4)
BIAS = jax.random.normal(jax.random.key(2), (2, 1, 2, 5, 5))
POLICY = jax.checkpoint_policies
OTHERS = {
    "scan": (BIAS, dict(scan=True)),
    "remat": (BIAS[0], dict(remat=POLICY.nothing_saveable)),
    "scan and remat": (None, dict(scan=True, remat=POLICY.dots_saveable)),
}


@pytest.fixture(scope="module")
def variables():
    """Random everywhere, so that nothing hides behind an initial zero or one."""
    leaves, tree = jax.tree.flatten(jax.jit(STACK.init)(KEY, TOKENS))
    keys = jax.random.split(KEY, len(leaves))
    noisy = [leaf + 0.3 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, noisy)


def in_form(model, variables):
    """The parameters as a model keeps them."""
    return stack_blocks(variables) if model.scan else variables


@pytest.mark.parametrize("other", OTHERS)
def test_scan_and_remat_give_the_same_numbers_and_gradients(other, variables):
    bias, fields = OTHERS[other]

    def value_and_grad(model):
        def loss(variables):
            return jnp.mean(model.apply(variables, TOKENS, bias=bias, rngs={"dropout": KEY}) ** 2)

        value, gradient = jax.jit(jax.value_and_grad(loss))(in_form(model, variables))
        return value, unstack_blocks(gradient)

    (want, want_grad), (got, got_grad) = value_and_grad(STACK), value_and_grad(STACK.clone(**fields))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), got_grad, want_grad)


def test_scan_stacks_the_same_initial_values():
    want, got = (jax.jit(model.init)(KEY, TOKENS) for model in (STACK, STACK.clone(scan=True)))
    assert set(got["params"]) == {"stacked"}
    jax.tree.map(np.testing.assert_array_equal, stack_blocks(want), got)


def test_scan_sows_as_unrolled_blocks_do(variables):
    (_, a), (_, b) = (
        jax.jit(partial(model.apply, mutable=["intermediates"]))(in_form(model, variables), TOKENS)
        for model in (STACK, STACK.clone(scan=True))
    )
    assert set(a["intermediates"]["block_1"]) == {"attn", "blocks"}
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-4), a, b)


def test_scan_compiles_one_block():
    deep = Transformer(8, partial(Block, heads=2))
    models = {scan: deep.clone(scan=scan) for scan in (False, True)}
    text = {
        scan: jax.jit(model.apply).lower(jax.eval_shape(model.init, KEY, TOKENS), TOKENS).as_text()
        for scan, model in models.items()
    }
    products = {scan: lowered.count("dot_general") for scan, lowered in text.items()}
    assert products[False] >= 8 * 6 and products[True] <= 8


def test_drop_path_acts_exactly_when_a_key_is_given(variables):
    plain, rate_zero, dropped = (
        jax.jit(model.apply)(variables, TOKENS, rngs=rngs)
        for model, rngs in (
            (STACK, {}),
            (STACK.clone(drop_path=0.0), {"dropout": KEY}),
            (STACK, {"dropout": KEY}),
        )
    )
    np.testing.assert_array_equal(plain, rate_zero)
    assert jnp.abs(dropped - plain).max() > 0.1


def test_path_factors_keep_the_mean_and_grow_with_depth():
    factors = path_factors(KEY, 0.5, 3, 4000)
    assert factors.shape == (3, 2, 4000)
    np.testing.assert_allclose(factors.mean((1, 2)), 1.0, atol=0.05)
    np.testing.assert_allclose((factors == 0).mean((1, 2)), [0.0, 0.25, 0.5], atol=0.03)


@pytest.mark.parametrize("rate", [1.0, (0.0, 1.5), -0.1])
def test_a_path_that_is_always_dropped_is_refused(rate):
    with pytest.raises(ValueError, match=r"drop_path must lie in \[0, 1\), got"):
        path_factors(KEY, rate, 3, 4)


def test_attention_weights_are_those_of_jax():
    q, k, v = jax.random.normal(KEY, (3, 2, 5, 2, 8))
    weights = attention_weights(q, k, BIAS[0])
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
    got = jnp.einsum("bhmn,bnhd->bmhd", weights, v)
    np.testing.assert_allclose(got, jax.nn.dot_product_attention(q, k, v, bias=BIAS[0]), atol=1e-5)


def test_rotary_products_depend_on_differences_only():
    q, k = jax.random.normal(KEY, (2, 1, 1, 1, 8))
    frequency = jnp.tile(jnp.array([1.0, 0.5, 0.25, 0.125]), 2)

    def product(i, j):
        return jnp.sum(rotate(q, i * frequency[None]) * rotate(k, j * frequency[None]))

    np.testing.assert_allclose(product(3.0, 1.0), product(7.0, 5.0), rtol=1e-4)
    assert abs(product(3.0, 1.0) - product(3.0, 2.0)) > 1e-3
    np.testing.assert_array_equal(rotate(q, jnp.zeros((1, 8))), q)


def test_quick_gelu():
    np.testing.assert_allclose(quick_gelu(jnp.array([0.0, 1.0, -1.0])), [0.0, 0.845795, -0.154205], atol=1e-5)
