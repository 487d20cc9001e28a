"""Rates by depth, low-rank updates and lower blocks that are held."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import optim
from jssl.arrays.stacks import stack_blocks, unstack_blocks

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
