"""Optimizers against independent NumPy forms of the authors' rules, schedules against the authors'
numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jssl import optim
from jssl.arrays.stacks import stack_blocks, unstack_blocks

# ---------------------------------------------------------------------------------------- schedules


def test_teacher_momentum_gives_byols_numbers():
    # deepmind-research byol/utils/schedules.py target_ema(k, base_ema=0.996, max_steps=40)
    ours = jax.vmap(optim.teacher_momentum(0.996, 40))(jnp.array([0, 1, 10, 20, 40, 42]))
    k = np.array([0, 1, 10, 20, 40, 40])
    np.testing.assert_allclose(ours, 1 - 0.004 * (np.cos(np.pi * k / 40) + 1) / 2, rtol=1e-6)
    np.testing.assert_allclose(ours[2], 0.99658579, rtol=1e-6)


def test_warmup_cosine_gives_simclrs_numbers():
    # google-research/simclr learning_rate_schedule: base 0.3, batch 64, 400 examples, 10 epochs, 2 of warm-up
    rate = optim.warmup_cosine(0.3 * 64 / 256, steps=63, warmup=12)
    official = {0: 0.0, 1: 0.00625, 11: 0.06875, 12: 0.075, 13: 0.07493, 29: 0.05625, 62: 0.00007, 63: 0.0}
    for step, value in official.items():
        assert float(rate(step)) == pytest.approx(value, abs=1e-5)


def test_warmup_cosine_gives_maes_numbers():
    # facebookresearch/mae util/lr_sched.py: lr 0.5, min_lr 0.01, 12 epochs of 5 steps, 3 of warm-up
    rate = optim.warmup_cosine(0.5, steps=60, warmup=15, end=0.01)
    official = {0: 0.0, 1: 0.03333, 15: 0.5, 16: 0.4994, 17: 0.49762, 57: 0.01535, 58: 0.01238, 59: 0.0106}
    for step, value in official.items():
        assert float(rate(step)) == pytest.approx(value, abs=1e-5)


def test_linear_gives_ijepas_momentum():
    # facebookresearch/ijepa src/train.py: ema from 0.996 to 1, scheduled over 1.25 times the run of 60 steps
    ours = optim.linear(0.996, 1.0, 75)
    assert float(ours(1)) == pytest.approx(0.99605, abs=1e-5) and float(ours(59)) == pytest.approx(
        0.99915, abs=1e-5
    )


def test_by_epoch_gives_mocos_numbers():
    # facebookresearch/moco adjust_learning_rate: lr 0.03, cos, 200 epochs; here of 3 steps
    rate = jax.vmap(optim.by_epoch(optim.cosine(0.03, 0.0, 600), 3))(jnp.array([0, 2, 3, 302, 599]))
    np.testing.assert_allclose(rate, [0.03, 0.03, 0.02999815, 0.015, 1.850e-6], rtol=1e-3)


def test_by_epoch_leaves_the_warmup_as_it_is_and_counts_from_where_it_is_told():
    line = optim.linear(0.0, 12.0, 12)
    moved = jax.vmap(optim.by_epoch(line, 4, after=2))(jnp.arange(12))
    assert moved.tolist() == [0, 1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8]
    assert jax.vmap(optim.by_epoch(line, 4, first=1))(jnp.arange(12)).tolist() == [4] * 4 + [8] * 4 + [12] * 4


@pytest.mark.parametrize(
    "schedule, last",
    [
        (optim.linear(0.04, 0.07, 5), 0.07),
        (optim.cosine(0.04, 0.4, 5), 0.4),
        (optim.teacher_momentum(0.9, 5), 1.0),
        (optim.warmup_cosine(1.0, steps=5, warmup=2, end=0.1), 0.1),
        (optim.warmup_cosine(1.0, steps=5, warmup=0, end=0.2), 0.2),
    ],
)
def test_schedules_stand_still_after_their_end_under_jit(schedule, last):
    values = jax.jit(jax.vmap(schedule))(jnp.arange(9))
    np.testing.assert_allclose(values[5:], last, rtol=1e-6)
    np.testing.assert_allclose(values, [schedule(step) for step in range(9)], rtol=1e-6)
    assert values.dtype == jnp.float32


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: optim.linear(0.0, 1.0, 0), "steps must be at least 1, got 0"),
        (lambda: optim.cosine(0.0, 1.0, -3), "steps must be at least 1, got -3"),
        (
            lambda: optim.warmup_cosine(1.0, steps=5, warmup=5),
            "warmup must be at least 0 and below steps = 5, got 5",
        ),
        (lambda: optim.by_epoch(optim.constant(1.0), 0), "by_epoch: steps must be at least 1, got 0"),
        (lambda: optim.teacher_momentum(1.5, 5), "base must lie in"),
        (lambda: optim.lars(0.1, momentum=1.0), "momentum must be in"),
        (lambda: optim.lars(0.1, weight_decay=-1.0), "weight_decay must be not negative"),
        (lambda: optim.adamw(0.1, b2=1.5), "b2 must be in"),
        (lambda: optim.layer_decay({"block_0": jnp.ones(2)}, 0.0), "rate must lie in"),
        (lambda: optim.layer_decay({"dense": jnp.ones(2)}, 0.5), "no path names a block.*found dense"),
        (lambda: optim.clip_by_parameter_norm(0.0), "max_norm must be positive"),
        (
            lambda: optim.freeze_during(3, lambda path: "head" in path).init({"body": jnp.ones(2)}),
            "holds none.*body",
        ),
    ],
)
def test_wrong_settings_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


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


# -------------------------------------------------------------------------------------- layer decay


def scales_by_name(params, rate):
    scales = optim.layer_decay(params, rate)
    return {
        "/".join(entry.key for entry in path): value
        for path, value in jax.tree_util.tree_leaves_with_path(scales)
    }


@pytest.mark.parametrize("block", ["block_{}", "blocks/{}", "EncoderBlock_{}", "blocks/block_{}"])
def test_layer_decay_gives_maes_scales(block):
    # facebookresearch/mae util/lr_decay.py with depth 12 and rate 0.75; ten and eleven come after two
    def nest(tree, path, leaf):
        *parents, last = path.split("/")
        for name in parents:
            tree = tree.setdefault(name, {})
        tree[last] = leaf

    params = {"cls_token": jnp.ones(2), "norm": {"scale": jnp.ones(2)}, "head": {"kernel": jnp.ones((2, 2))}}
    for path in ("patch_embed/kernel", "patch_embed/bias", "position_embedding"):
        nest(params, path, jnp.ones(2))
    for i in range(12):
        nest(params, block.format(i) + "/mlp/kernel", jnp.ones((2, 2)))
    scales = scales_by_name(params, 0.75)
    for first in ("cls_token", "patch_embed/kernel", "patch_embed/bias", "position_embedding"):
        assert scales[first] == pytest.approx(0.75**13)
    for i in range(12):
        assert scales[block.format(i) + "/mlp/kernel"] == pytest.approx(0.75 ** (12 - i))
    assert scales["norm/scale"] == scales["head/kernel"] == 1.0


def test_scaled_updates_shrink_step_and_decay_alike():
    params = {"block_0": {"kernel": jnp.ones((2, 2))}, "head": {"kernel": jnp.ones((2, 2))}}
    optimizer = optax.chain(
        optim.adamw(0.1, weight_decay=0.5), optim.scale_updates(optim.layer_decay(params, 0.25))
    )
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.15, rtol=1e-5)
    np.testing.assert_allclose(updates["block_0"]["kernel"], -0.15 / 4, rtol=1e-5)


def test_the_vision_transformers_leaves_are_known():
    from jssl.models.encoders.vit import ViT

    module = ViT(patch=4, dim=8, depth=2, heads=2, registers=2, layer_scale=0.1, norm_input=True)
    params = shapes(module, mask=jnp.zeros((1, 4), bool))
    decayed = jax.tree_util.tree_leaves_with_path(optim.weights(params))
    assert all(value == (path[-1].key == "kernel") for path, value in decayed)
    parts = {"blocks/block_0/": 0.25, "blocks/block_1/": 0.5, "norm/": 1.0}
    for name, scale in scales_by_name(params, 0.5).items():
        assert scale == next((parts[part] for part in parts if name.startswith(part)), 0.125), name


def shapes(module, **arguments):
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)), **arguments))[
        "params"
    ]


def test_swins_leaves_are_known_as_in_simmim():
    from jssl.models.encoders.swin import Swin

    params = shapes(Swin(dim=8, depths=(2, 2), heads=(1, 2), window=2, patch=2))
    # microsoft/SimMIM optimizer.py get_swin_layer: patches 0, blocks 1 to 4, a merge with the block before it
    layer = {"stem": 0, "norm_stem": 0, "stage0_0": 1, "stage0_1": 2, "merge1": 2}
    layer |= {"stage1_0": 3, "stage1_1": 4, "norm": 5}
    for name, scale in scales_by_name(params, 0.5).items():
        assert scale == 0.5 ** (5 - layer[name.split("/")[0]]), name
    decayed = jax.tree_util.tree_leaves_with_path(optim.weights(params))
    assert all(value == (path[-1].key == "kernel") for path, value in decayed)


def test_residual_networks_have_layers_too():
    from jssl.models.encoders.resnet import BasicBlock, ResNet

    scales = scales_by_name(shapes(ResNet((1, 2, 1, 1), BasicBlock, widths=(8, 8, 8, 8), stem_width=8)), 0.5)
    assert scales["conv1/kernel"] == 0.5**6 and scales["layer2_1/conv1/kernel"] == 0.5**3
    assert max(scales.values()) == 0.5  # the last block: there is no head


def test_shared_relative_positions_go_with_the_head():
    scales = scales_by_name(
        {"block_0": {"kernel": jnp.ones(2)}, "attention_bias": {"table": jnp.ones((2, 2))}}, 0.5
    )
    assert scales == {"block_0/kernel": 0.5, "attention_bias/table": 1.0}


@pytest.mark.parametrize("shared", [False, True])
def test_relative_positions_go_with_their_blocks(shared):
    from jssl.models import RelativePositionBias, ViT

    params = shapes(ViT(8, 4, 3, 2, positions=None, attention_bias=RelativePositionBias(shared)))
    params = jax.tree.map(lambda x: jnp.ones(x.shape), params)
    updates, _ = optim.hold_lower_blocks(2).update({"encoder": params}, optax.EmptyState())
    scales, moved = optim.layer_decay(params, 0.5)["attention_bias"], updates["encoder"]["attention_bias"]
    for name, held in moved.items():  # two heads of each block
        of_blocks = [0.125, 0.125, 0.25, 0.25, 0.5, 0.5]
        np.testing.assert_array_equal(scales[name], 1.0 if shared else of_blocks)
        wanted = [0, 0] if shared else [0, 0, 0, 0, 1, 1]
        np.testing.assert_array_equal(held, np.broadcast_to(wanted, held.shape))


# --------------------------------------------------------------------------------------- parts that move


LAYERS = {
    "encoder": {
        "stem": {"kernel": np.ones((3, 4))},
        "blocks": {
            name: {"attn": {"qkv": {"kernel": np.ones((4, 12))}}, "mlp": {"kernel": np.ones((4, 4))}}
            for name in ("block_0", "block_1")
        },
    },
    "image": {"kernel": np.ones((4, 2))},
}


def test_low_rank_is_lora_written_as_parameters():
    """The same as a network of w + scale a b whose a and b Adam moves, heads beside them."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), LAYERS)
    target = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), LAYERS)

    def loss(params):
        return sum(
            jnp.sum((a - b) ** 2) for a, b in zip(*map(jax.tree.leaves, (params, target)), strict=True)
        )

    optimizer = optim.low_rank(optax.adam(0.1), rank=2, scale=0.5)
    state, moved = optimizer.init(params), params
    factors = state.factors
    assert jax.tree.structure(factors) == jax.tree.structure(
        {"blocks": {name: {"attn": {"qkv": {"kernel": {"a": 0, "b": 0}}}} for name in ("block_0", "block_1")}}
    )

    def network(trained):
        blocks = {name: dict(block) for name, block in params["encoder"]["blocks"].items()}
        for name, pairs in trained["encoder"]["blocks"].items():
            pair, kernel = pairs["attn"]["qkv"]["kernel"], blocks[name]["attn"]["qkv"]["kernel"]
            blocks[name]["attn"] = {"qkv": {"kernel": kernel + 0.5 * pair["a"] @ pair["b"]}}
        return {"encoder": params["encoder"] | {"blocks": blocks}, "image": trained["image"]}

    adam, trained = optax.adam(0.1), {"encoder": factors, "image": params["image"]}
    own = adam.init(trained)
    for _ in range(4):
        updates, state = optimizer.update(jax.grad(loss)(moved), state, moved)
        moved = optax.apply_updates(moved, updates)
        updates, own = adam.update(jax.grad(lambda t: loss(network(t)))(trained), own, trained)
        trained = optax.apply_updates(trained, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), moved, network(trained))
    before, after = (tree["encoder"]["blocks"]["block_0"]["attn"]["qkv"] for tree in (params, moved))
    change = after["kernel"] - before["kernel"]
    assert np.linalg.matrix_rank(np.asarray(change), tol=1e-4) == 2
    with pytest.raises(ValueError, match="no kernel of 'encoder' is chosen"):
        optim.low_rank(optax.sgd(0.1), 2, where=lambda path: False).init(params)


@pytest.mark.parametrize("stacked", [False, True])
def test_lower_blocks_are_held(stacked):
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), LAYERS)
    params = stack_blocks(params) if stacked else params
    updates, _ = optim.hold_lower_blocks(1).update(params, optax.EmptyState(), params)
    encoder = unstack_blocks(updates)["encoder"]
    blocks = encoder["blocks"]
    assert not np.any(encoder["stem"]["kernel"]) and not np.any(blocks["block_0"]["mlp"]["kernel"])
    for moves in (blocks["block_1"]["mlp"]["kernel"], updates["image"]["kernel"]):
        np.testing.assert_array_equal(moves, 1)


@pytest.mark.parametrize("rate", [1.0, 1e-9])
def test_without_layer_decay_it_is_adamw_and_with_all_of_it_a_linear_probe(rate):
    params = {"block_0": {"kernel": jnp.ones((2, 2))}, "head": {"kernel": jnp.ones((2, 2))}}
    plain, gradient = optim.adamw(0.1, weight_decay=0.5), jax.tree.map(jnp.ones_like, params)
    scaled = optax.chain(plain, optim.scale_updates(optim.layer_decay(params, rate)))
    (expected, _), (found, _) = (x.update(gradient, x.init(params), params) for x in (plain, scaled))
    np.testing.assert_array_equal(found["head"]["kernel"], expected["head"]["kernel"])
    np.testing.assert_allclose(found["block_0"]["kernel"], rate * expected["block_0"]["kernel"], rtol=1e-6)
