"""Optimizers and schedules on the authors' own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import optim
from tests.objectives.golden_numbers import load, near


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def nested(path, leaf, tree):
    """The tree with a leaf at a path of names."""
    *parents, last = path
    node = tree
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = leaf
    return tree


def follows(case, optimizer_of, places, *, rtol=1e-6):
    """The optimizer takes the parameters, put where a Flax model has them, where the authors' took theirs."""
    rates = jnp.asarray(case.hp_lr_per_step)
    optimizer = optimizer_of(lambda step: rates[step])
    params = {
        layer: {leaf: jnp.asarray(vars(case)[f"in_param_{name}"])} for name, (layer, leaf) in places.items()
    }
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    for i in range(len(rates)):
        gradients = {
            layer: {leaf: jnp.asarray(vars(case)[f"in_grads_{name}"][i])}
            for name, (layer, leaf) in places.items()
        }
        updates, state = update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        for name, (layer, leaf) in places.items():
            expected = vars(case)[f"out_param_{name}"][i]
            np.testing.assert_allclose(
                params[layer][leaf], expected, rtol=rtol, atol=1e-7, err_msg=f"{name}, {i}"
            )


def numbered(case):
    leaves = ["kernel" if vars(case)[f"in_param_{i}"].ndim > 1 else "bias" for i in range(case.hp_n_params)]
    return {i: (f"layer_{i}", leaf) for i, leaf in enumerate(leaves)}


@pytest.mark.parametrize("name", ["lars_barlowtwins", "lars_mocov3"])
def test_lars_of_barlow_twins_and_moco_v3(name):
    c = load(name)
    settings = dict(momentum=c.hp_momentum, weight_decay=c.hp_weight_decay, trust_coefficient=c.hp_eta)
    follows(c, lambda rate: optim.lars(rate, **settings), numbered(c))


def test_lars_of_byol():
    c = load("lars_byol")
    settings = dict(momentum=c.hp_momentum, weight_decay=c.hp_weight_decay, trust_coefficient=c.hp_eta)
    places = dict(linear_w="kernel", linear_b="bias", conv_w="kernel", conv_b="bias")
    places |= dict(batch_norm_scale="scale", batch_norm_offset="bias")
    follows(
        c, lambda rate: optim.lars(rate, **settings), {name: (name, leaf) for name, leaf in places.items()}
    )


def test_lars_of_simclr():
    """The learning rate is inside the momentum; the authors' ran in float32."""
    c = load("lars_simclr")
    settings = dict(momentum=c.hp_momentum, weight_decay=c.hp_weight_decay, trust_coefficient=c.hp_eta)
    places = dict(dense_kernel="kernel", dense_bias="bias", batch_normalization_gamma="scale")
    places = {name: (name, leaf) for name, leaf in (places | dict(conv_kernel="kernel")).items()}
    follows(c, lambda rate: optim.lars(rate, **settings, rate_inside_momentum=True), places, rtol=1e-5)
    with pytest.raises(AssertionError):
        follows(c, lambda rate: optim.lars(rate, **settings), places, rtol=1e-5)


def test_larc_of_solo_learn():
    c = load("lars_sololearn")
    settings = dict(
        momentum=c.hp_momentum, weight_decay=c.hp_weight_decay, trust_coefficient=c.hp_eta, eps=c.hp_eps
    )
    follows(c, lambda rate: optim.larc(rate, **settings, adapts=optim.weights_and_tokens), numbered(c))


def test_layer_decay_and_weight_decay_of_mae():
    c = load("layer_decay")
    params, scales, decays = {}, {}, {}
    for name, scale, decay in zip(c.in_parameter_names, c.out_lr_scale, c.out_weight_decay, strict=True):
        path = name.split(".")
        flat = path[-1] == "bias" or path[-2:-1] in (["norm"], ["norm1"])
        nested(path, jnp.ones(2) if flat else jnp.ones((1, 1, 2)), params)
        nested(path, scale, scales)
        nested(path, decay > 0, decays)
    jax.tree.map(near, optim.layer_decay(params, c.hp_layer_decay), scales)
    assert optim.weights(params) == decays
    np.testing.assert_array_equal(c.out_beit_lr_scale, c.out_lr_scale)


def test_schedules_of_dino_moco_v3_mae_i_jepa_and_barlow_twins():
    c = load("schedules")
    base, steps, warmup = c.hp_base_value, 60, c.hp_warmup_epochs * c.hp_iters_per_epoch
    assert steps == c.hp_epochs * c.hp_iters_per_epoch == len(c.out_mae_lr)
    every = jnp.arange(steps)
    momentum = jax.vmap(optim.teacher_momentum(c.hp_base_momentum, steps))(every)
    near(momentum, c.out_dino_teacher_momentum)
    near(momentum, c.out_mocov3_momentum)
    near(
        jax.vmap(optim.warmup_cosine(base, steps=steps, warmup=warmup, end=c.hp_final_value))(every),
        c.out_mae_lr,
    )
    near(jax.vmap(optim.warmup_cosine(base, steps=steps, warmup=warmup))(every), c.out_mocov3_lr)
    # I-JEPA counts a step before it uses the rate, and its curves are a quarter longer than the run.
    longer = dict(steps=int(1.25 * steps), warmup=warmup)
    start, end = c.hp_start_warmup_value, c.hp_final_value
    near(jax.vmap(optim.warmup_cosine(base, **longer, start=start, end=end))(every + 1), c.out_ijepa_lr)
    near(jax.vmap(optim.cosine(0.04, 0.4, 75))(every + 1), c.out_ijepa_weight_decay)
    near(jax.vmap(optim.linear(0.996, 1.0, 75))(every), c.out_ijepa_ema)
    # Barlow Twins: batch 512, ten of fifteen epochs of warm-up, a thousandth at the end.
    weights, biases = c.out_barlow_lr_weights_biases.T
    for rate, expected in ((0.2, weights), (0.0048, biases)):
        peak = rate * 512 / 256
        schedule = optim.warmup_cosine(peak, steps=75, warmup=50, end=0.001 * peak)
        near(jax.vmap(schedule)(jnp.arange(75)), expected)


def test_schedules_of_dino_with_both_ends_of_the_warmup():
    """DINO's and SwAV's warm-up reaches the peak one step before the cosine starts from it."""
    c = load("schedules")
    base, start, end, warmup = c.hp_base_value, c.hp_start_warmup_value, c.hp_final_value, 15
    rise, fall = optim.linear(start, base, warmup - 1), optim.cosine(base, end, 60 - warmup)
    near(jax.vmap(optax.join_schedules([rise, fall], [warmup]))(jnp.arange(60)), c.out_dino_cosine_warmup)


def test_schedules_of_byol():
    c = load("schedules_byol")
    near(jax.vmap(optim.teacher_momentum(c.hp_base_ema, c.hp_total_steps))(c.in_steps), c.out_target_ema)
    peak = c.hp_base_learning_rate * c.hp_batch_size / 256
    rate = optim.warmup_cosine(peak, steps=c.hp_total_steps, warmup=c.hp_warmup_steps)
    np.testing.assert_allclose(jax.vmap(rate)(c.in_steps), c.out_learning_rate, rtol=1e-5, atol=1e-9)


def test_schedule_of_simclr():
    c = load("schedule_simclr")
    steps = c.hp_num_examples * c.hp_epochs // c.hp_batch_size + 1
    warmup = round(c.hp_warmup_epochs * c.hp_num_examples / c.hp_batch_size)
    rate = optim.warmup_cosine(c.hp_base_learning_rate * c.hp_batch_size / 256, steps=steps, warmup=warmup)
    ours = jax.vmap(rate)(jnp.arange(len(c.out_learning_rate)))
    np.testing.assert_allclose(ours, c.out_learning_rate, rtol=1e-4, atol=1e-7)
