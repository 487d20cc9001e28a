"""LARS and AdamW against plain numpy, which leaves they move, and what restrains them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jssl import optim

# --------------------------------------------------------------------------------------- optimizers


def numpy_lars(parameter, gradients, rates, *, momentum, decay, trust, adapted):
    velocity, history = np.zeros_like(parameter), []
    for gradient, rate in zip(gradients, rates, strict=True):
        if adapted:
            gradient = gradient + decay * parameter
            norms = np.linalg.norm(parameter), np.linalg.norm(gradient)
            gradient = gradient * (trust * norms[0] / norms[1] if min(norms) > 0 else 1.0)
        velocity = momentum * velocity + gradient
        parameter = parameter - rate * velocity
        history.append(parameter)
    return history


@pytest.mark.parametrize(
    "layer, leaf, shape, adapted",
    [
        ("dense", "kernel", (4, 3), True),
        ("conv", "kernel", (2, 2, 3, 4), True),
        ("dense", "bias", (3,), False),
        ("norm", "scale", (3,), False),
        ("attention", "bias", (2, 3), False),  # Flax's DenseGeneral has a bias of two axes
        ("layer_scale", "gamma", (3,), False),
        ("vit", "cls_token", (1, 1, 3), True),
    ],
)
@pytest.mark.parametrize("zero", [False, True])
def test_lars_follows_the_authors_rule(layer, leaf, shape, adapted, zero):
    rng = np.random.default_rng(0)
    start = np.zeros(shape) if zero else rng.normal(size=shape)
    gradients, rates = rng.normal(size=(5, *shape)), np.array([0.3, 0.3, 0.2, 0.1, 0.05])
    expected = numpy_lars(start, gradients, rates, momentum=0.9, decay=0.01, trust=1e-3, adapted=adapted)

    optimizer = optim.lars(lambda step: jnp.asarray(rates)[step], weight_decay=0.01, trust_coefficient=1e-3)
    params = {layer: {leaf: jnp.asarray(start, jnp.float32)}}
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for gradient, after in zip(gradients, expected, strict=True):
        updates, state = update({layer: {leaf: jnp.asarray(gradient, jnp.float32)}}, state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params[layer][leaf], after, rtol=1e-4, atol=1e-6)


def test_adamw_decays_weights_alone_and_by_schedule():
    params = {
        "cls_token": jnp.ones((1, 1, 2)),
        "registers": jnp.ones((4, 2)),
        "positions": {"table": jnp.ones((2, 2, 2))},
        "pos_embed": jnp.ones((1, 4, 2)),
        "relative_position_bias_table": jnp.ones((9, 2)),
        "norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
        "post": {"kernel": jnp.ones((2, 2))},
        "token_embedding": {"embedding": jnp.ones((5, 2))},
        "attention": {"query": {"kernel": jnp.ones((2, 1, 2)), "bias": jnp.ones((1, 2))}},
    }
    optimizer = optim.adamw(0.1, weight_decay=lambda step: 0.5 * (step + 1))
    state = optimizer.init(params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    for step in range(2):
        updates, state = optimizer.update(zeros, state, params)
        moved = {
            "/".join(entry.key for entry in path)
            for path, update in jax.tree_util.tree_leaves_with_path(updates)
            if np.any(update)
        }
        assert moved == {"post/kernel", "token_embedding/embedding", "attention/query/kernel"}
        np.testing.assert_allclose(updates["post"]["kernel"], -0.1 * 0.5 * (step + 1), rtol=1e-6)


def test_adamw_is_optax_adamw_on_weights():
    params = {"dense": {"kernel": jnp.linspace(-1, 1, 6).reshape(2, 3)}}
    ours, theirs = optim.adamw(0.1, b2=0.95, weight_decay=0.3), optax.adamw(0.1, b2=0.95, weight_decay=0.3)
    states = [ours.init(params), theirs.init(params)]
    for i in range(3):
        gradients = jax.tree.map(lambda p, i=i: jnp.sin(p + i), params)
        a, states[0] = ours.update(gradients, states[0], params)
        b, states[1] = theirs.update(gradients, states[1], params)
        np.testing.assert_allclose(a["dense"]["kernel"], b["dense"]["kernel"], rtol=1e-6)


def test_masks_know_the_leaves_of_flax_layers():
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.LayerNorm()(nn.Dense(4)(x))
            return nn.BatchNorm(use_running_average=False)(nn.MultiHeadDotProductAttention(2)(x))

    params = Network().init(jax.random.key(0), jnp.ones((1, 3, 4)))["params"]
    flat = {path[-1].key: value for path, value in jax.tree_util.tree_leaves_with_path(optim.weights(params))}
    assert flat == {"kernel": True, "bias": False, "scale": False}
    assert jax.tree.all(
        jax.tree.map(lambda a, b: a != b, optim.weights(params), optim.biases_and_norms(params))
    )


# ---------------------------------------------------------------------------------- clip and freeze


def test_clipping_is_per_parameter():
    gradients = {"large": jnp.full((3, 3), 2.0), "small": jnp.full(4, 0.1), "zero": jnp.zeros(2)}
    transform = optim.clip_by_parameter_norm(3.0)
    clipped, _ = transform.update(gradients, transform.init(gradients))
    np.testing.assert_allclose(np.linalg.norm(clipped["large"]), 3.0, rtol=1e-5)
    np.testing.assert_array_equal(clipped["small"], gradients["small"])
    np.testing.assert_array_equal(clipped["zero"], 0.0)
    clipped, _ = optim.clip_by_global_norm(3.0).update(gradients, optax.EmptyState())
    np.testing.assert_allclose(optax.tree.norm(clipped), 3.0, rtol=1e-5)


def test_a_frozen_layer_stands_still_then_moves_as_usual():
    params = {"body": jnp.ones((2, 2)), "head": {"last_layer": jnp.ones((2, 2))}}
    optimizer = optax.chain(optim.adamw(0.1), optim.freeze_during(3, lambda path: "last_layer" in path))
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    for step in range(5):
        updates, state = update(jax.tree.map(jnp.ones_like, params), state, params)
        assert np.all(np.asarray(updates["body"]) < -0.09)
        if step < 3:
            np.testing.assert_array_equal(updates["head"]["last_layer"], 0.0)
        else:  # as large as the body's: the moments have seen every gradient
            np.testing.assert_allclose(updates["head"]["last_layer"], updates["body"], rtol=1e-6)


def test_frozen_for_ever():
    params = {"patch": jnp.ones(2), "rest": jnp.ones(2)}
    transform = optim.freeze_during(float("inf"), lambda path: path == ("patch",))
    updates, _ = transform.update(
        params, optim.freeze_during(1, lambda path: True).init(params)._replace(count=10**6)
    )
    np.testing.assert_array_equal(updates["patch"], 0.0)
    np.testing.assert_array_equal(updates["rest"], 1.0)
