"""Siblings of the reference cases: other options of the same published code bases."""

import json
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jssl import weights
from jssl.models import ViT
from jssl.models.layers.transformer import Mlp
from tests.weights.files import CASES, MODELS, same

ARGS = dict(patch_size=8, embed_dim=24, num_heads=3)


def draw(rng, *shape):
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)


def timm(norm="norm", **others):
    """A state dict of one block, 24 wide, under timm's names; None takes a tensor out."""
    rng, dim = np.random.default_rng(0), 24
    shapes = {"patch_embed.proj": (dim, 3, 8, 8), "blocks.0.attn.qkv": (3 * dim, dim)}
    shapes |= {"blocks.0.attn.proj": (dim, dim), "blocks.0.mlp.fc1": (48, dim), "blocks.0.mlp.fc2": (dim, 48)}
    shapes |= dict.fromkeys(("blocks.0.norm1", "blocks.0.norm2", norm), (dim,))
    state = {f"{name}.weight": draw(rng, *shape) for name, shape in shapes.items()}
    state |= {f"{name}.bias": draw(rng, shape[0]) for name, shape in shapes.items()}
    state |= {"cls_token": draw(rng, 1, 1, dim), "pos_embed": draw(rng, 1, 17, dim)}
    state |= {name: None if shape is None else draw(rng, *shape) for name, shape in others.items()}
    return {name: array for name, array in state.items() if array is not None}


def loaded(place, state, config):
    """What is loaded from a folder of this state and config; saved, it must be the same bit for bit."""
    place = Path(place)
    place.mkdir(exist_ok=True)
    save_file(state, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps(config))
    found = weights.load(place)
    weights.save(found, place / "again" / "model.safetensors")
    again = load_file(place / "again" / "model.safetensors")
    assert set(again) == set(state) and all(np.array_equal(again[name], state[name]) for name in state)
    return found


def of_timm(place, state, **args):
    return loaded(place, state, {"architecture": "vit_tiny_patch16_224", "model_args": ARGS | args})


def case(name):
    """The state and the config of a case."""
    folder = CASES / name
    return load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())


def images(height=32, width=32):
    return jax.random.normal(jax.random.key(0), (2, height, width, 3))


@pytest.mark.parametrize("name, act", [("relu", nn.relu), ("gelu_tanh", partial(nn.gelu, approximate=True))])
def test_the_activation_is_the_one_of_timms_arguments(name, act, tmp_path):
    found = of_timm(tmp_path, timm(), img_size=32, act_layer=name)
    vit = ViT(8, 24, 1, 3, mlp_ratio=2.0, mlp=partial(Mlp, activation=act))
    same(found.features(images()).cls, vit.apply(found.variables, images()).cls)


def test_the_activation_of_a_swin_is_the_configs(tmp_path):
    state = load_file(MODELS / "simmim_swin.safetensors")
    config = dict(model_type="simmim_swin", img_size=32, depths=[2, 2])
    usual, other = (loaded(tmp_path, state, config | told) for told in ({}, {"hidden_act": "relu"}))
    vit = usual.encoder.clone(mlp=partial(Mlp, activation=nn.relu))
    same(other.features(images()).tokens, vit.apply(usual.variables, images()).tokens)


def test_a_class_tokens_position_is_told_from_a_square_number_of_patches(tmp_path):
    found = of_timm(tmp_path, timm(pos_embed=(1, 25, 24)), img_size=[32, 48])  # 1 + 4 * 6
    positions = found.variables["params"]["positions"]
    assert (positions["table"].shape, positions["prefix"].shape) == ((4, 6, 24), (1, 24))


def test_registers_have_positions_without_a_class_token(tmp_path):
    state = timm(cls_token=None, reg_token=(1, 4, 24), pos_embed=(1, 20, 24))
    args = dict(img_size=32, class_token=False, reg_tokens=4, global_pool="avg", fc_norm=False)
    found = of_timm(tmp_path, state, **args)
    assert found.variables["params"]["positions"]["prefix"].shape == (4, 24)
    features = found.features(images())
    same(features.cls, features.tokens.mean(axis=1))


def eva(norm):
    state = timm(norm)
    query, _, value = np.split(state.pop("blocks.0.attn.qkv.bias"), 3)
    return state | {"blocks.0.attn.q_bias": query, "blocks.0.attn.v_bias": value}


def test_eva_01_does_not_turn(tmp_path):
    config = {"architecture": "eva_large_patch14_196", "num_heads": 3, "global_pool": "avg"}
    found = loaded(tmp_path, eva("fc_norm"), config)
    assert found.family == "timm_eva02" and found.encoder.rotary is None


def test_eva_with_a_class_token_read_is_no_plain_vit(tmp_path):
    args = ARGS | dict(img_size=32, global_pool="token", use_rot_pos_emb=True)
    config = {"architecture": "eva02_tiny_patch14_224", "model_args": args}
    assert loaded(tmp_path / "x", eva("norm"), config).family == "timm_eva02"
    config["model_args"]["use_post_norm"] = True
    with pytest.raises(ValueError, match="use_post_norm"):
        loaded(tmp_path / "y", eva("norm"), config)


def test_halves_turned_and_a_norm_inside_the_attention(tmp_path):
    state, config = case("timm_eva02")
    plain = loaded(tmp_path, state, config)
    ones = {"weight": np.ones(24, np.float32), "bias": np.zeros(24, np.float32)}
    state |= {f"blocks.{i}.attn.norm.{name}": array for i in range(2) for name, array in ones.items()}
    config["model_args"]["rope_rotate_half"] = True
    found = loaded(tmp_path, state, config)
    attention = found.variables["params"]["blocks"]["block_0"]["attn"]
    kernel = np.concatenate([state[f"blocks.0.attn.{name}_proj.weight"] for name in "qkv"]).T
    np.testing.assert_array_equal(attention["qkv"]["kernel"], kernel)  # features stay where they are
    assert attention["norm"]["scale"].shape == (24,)
    assert np.abs(found.features(images(28, 28)).cls - plain.features(images(28, 28)).cls).max() > 1e-3


REDUCED = {"max": lambda x: x.max(1), "avgmax": lambda x: (x.max(1) + x.mean(1)) / 2}


@pytest.mark.parametrize("pool", REDUCED)
def test_timms_other_ways_of_pooling(pool, tmp_path):
    found = of_timm(tmp_path, timm("fc_norm"), img_size=32, global_pool=pool)
    features = found.features(images())
    norm = {"params": found.variables["params"]["norm"]}
    same(features.cls, nn.LayerNorm(1e-6).apply(norm, REDUCED[pool](features.tokens)))


@pytest.mark.parametrize("prefixed", [False, True])
def test_attention_pools(prefixed, tmp_path):
    """In timm's Eva it attends to the class token too, which passes blocks of zeros as it is."""
    shapes = {"q": (24, 24), "kv": (48, 24), "proj": (24, 24), "norm": (24,), "mlp.fc1": (48, 24)}
    shapes |= {"mlp.fc2": (24, 48)}
    pool = {f"attn_pool.{name}.weight": shape for name, shape in shapes.items()}
    pool |= {f"attn_pool.{name}.bias": shape[:1] for name, shape in shapes.items()}
    pool |= {"attn_pool.latent": (1, 1, 24)}
    rng = np.random.default_rng(1)
    state = eva("norm") if prefixed else timm(cls_token=None, pos_embed=(1, 16, 24))
    zeros = [f"blocks.0.{name}.{leaf}" for name in ("attn.proj", "mlp.fc2") for leaf in ("weight", "bias")]
    state |= {name: np.zeros_like(state[name]) for name in zeros if prefixed}
    state |= {name: draw(rng, *shape) for name, shape in pool.items()}
    config = {"architecture": "eva02_tiny_patch14_224" if prefixed else "vit_tiny_patch16_224"}
    args = ARGS | dict(img_size=32, class_token=prefixed, global_pool="map")
    found = loaded(tmp_path, state, config | {"model_args": args})
    norm = nn.LayerNorm(1e-6).apply
    x = np.asarray(found.features(images()).tokens)
    if prefixed:
        last = {"params": found.variables["params"]["norm"]}
        first = norm(last, state["cls_token"] + state["pos_embed"][:, :1])
        x = np.concatenate([np.repeat(first, 2, axis=0), x], axis=1)
    p = {k[10:]: v for k, v in state.items() if "pool" in k}
    query = p["latent"][0, 0] @ p["q.weight"].T + p["q.bias"]
    keys, values = np.split(x @ p["kv.weight"].T + p["kv.bias"], 2, axis=-1)
    heads = [slice(8 * i, 8 * i + 8) for i in range(3)]
    share = [jax.nn.softmax(keys[..., h] @ query[h] / 8**0.5) for h in heads]
    mixed = [jnp.einsum("bn,bnd->bd", a, values[..., h]) for a, h in zip(share, heads, strict=True)]
    y = np.concatenate(mixed, axis=-1)
    y = y @ p["proj.weight"].T + p["proj.bias"]
    z = norm({"params": {"scale": p["norm.weight"], "bias": p["norm.bias"]}}, y)
    z = nn.gelu(z @ p["mlp.fc1.weight"].T + p["mlp.fc1.bias"], approximate=False)
    same(found.features(images()).cls, y + z @ p["mlp.fc2.weight"].T + p["mlp.fc2.bias"], 1e-4)


def test_no_positions_and_no_biases(tmp_path):
    linear = ("attn.proj", "mlp.fc1", "mlp.fc2")
    state = timm(pos_embed=None, **{f"blocks.0.{name}.bias": None for name in linear})
    found = of_timm(tmp_path, state, img_size=32, pos_embed="none", proj_bias=False)
    assert found.encoder.positions is None
    assert not np.any(found.variables["params"]["blocks"]["block_0"]["mlp"]["fc1"]["bias"])


@pytest.mark.parametrize("hub", [False, True])
def test_relative_positions_of_a_grid_that_is_no_square(hub, tmp_path):
    state, rng = timm("fc_norm", pos_embed=None), np.random.default_rng(1)
    query, _, value = np.split(state.pop("blocks.0.attn.qkv.bias"), 3)
    state |= {"blocks.0.attn.q_bias": query, "blocks.0.attn.v_bias": value}
    state["blocks.0.attn.relative_position_bias_table"] = draw(rng, 7 * 11 + 3, 3)
    config = dict(model_type="beit", img_size=[32, 48], num_heads=3, use_mean_pooling=True)
    own = loaded(tmp_path, state, config)
    assert own.variables["params"]["attention_bias"]["tables"].shape == (7, 11, 3)
    if hub:  # transformers reads the table as one of 6 x 4 patches, and resizes it
        at, names = "encoder.layer.0.", {"attn.proj": "attention.output.dense", "mlp.fc2": "output.dense"}
        names |= {"norm1": "layernorm_before", "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense"}
        theirs = {"embeddings.cls_token": state["cls_token"]}
        for leaf in ("weight", "bias"):
            theirs[f"embeddings.patch_embeddings.projection.{leaf}"] = state[f"patch_embed.proj.{leaf}"]
            theirs |= {f"{at}{name}.{leaf}": state[f"blocks.0.{ours}.{leaf}"] for ours, name in names.items()}
        parts = np.split(state["blocks.0.attn.qkv.weight"], 3)
        for name, part in zip(("query", "key", "value"), parts, strict=True):
            theirs[f"{at}attention.attention.{name}.weight"] = part.copy()
        theirs |= {f"{at}attention.attention.query.bias": query, f"{at}attention.attention.value.bias": value}
        table = state["blocks.0.attn.relative_position_bias_table"]
        theirs[f"{at}attention.attention.relative_position_bias.relative_position_bias_table"] = table
        told = dict(image_size=[32, 48], num_attention_heads=3, layer_norm_eps=1e-6, use_mean_pooling=True)
        found = loaded(tmp_path, theirs, dict(model_type="beit") | told)
        bias = {**own.variables["params"]["attention_bias"], "tables": table[:77].reshape(11, 7, 3)}
        turned = {"params": own.variables["params"] | {"attention_bias": bias}}
        want = own.encoder.apply(turned, images(32, 48)).tokens
        same(found.features(images(32, 48)).tokens, want)


def clip(place, scaled=False, **told):
    """OpenCLIP's two towers of one block, 16 wide; `told` of both."""
    rng, state = np.random.default_rng(0), {}
    for at in ("visual.", ""):
        block = f"{at}transformer.resblocks.0."
        shapes = {"attn.in_proj_weight": (48, 16), "attn.in_proj_bias": (48,)}
        shapes |= {
            "attn.out_proj.weight": (16, 16),
            "mlp.c_fc.weight": (32, 16),
            "mlp.c_proj.weight": (16, 32),
        }
        shapes |= {"attn.out_proj.bias": (16,), "mlp.c_fc.bias": (32,), "mlp.c_proj.bias": (16,)}
        shapes |= {f"{norm}.{leaf}": (16,) for norm in ("ln_1", "ln_2") for leaf in ("weight", "bias")}
        shapes |= {f"ls_{i}.gamma": (16,) for i in (1, 2) if scaled}
        state |= {block + name: draw(rng, *shape) for name, shape in shapes.items()}
    shapes = {"visual.conv1.weight": (16, 3, 8, 8), "visual.class_embedding": (16,), "visual.proj": (16, 8)}
    shapes |= {"visual.positional_embedding": (17, 16), "token_embedding.weight": (20, 16)}
    shapes |= {"positional_embedding": (6, 16), "text_projection": (16, 8), "logit_scale": ()}
    norms = ("visual.ln_pre", "visual.ln_post", "ln_final")
    shapes |= {f"{norm}.{leaf}": (16,) for norm in norms for leaf in ("weight", "bias")}
    state |= {name: np.asarray(draw(rng, *shape), np.float32) for name, shape in shapes.items()}
    towers = dict(vision_cfg=dict(image_size=32, patch_size=8, head_width=8) | told)
    return loaded(place, state, {"model_cfg": towers | dict(text_cfg=dict(heads=2) | told)})


def test_the_towers_of_open_clip_say_their_norms_and_activations(tmp_path):
    usual, ids = clip(tmp_path), jnp.arange(6)[None]
    other = clip(tmp_path, norm_kwargs={"eps": 1e-3}, act_kwargs={"approximate": "tanh"})
    assert np.abs(usual.image(images()) - other.image(images())).max() > 1e-4
    assert np.abs(usual.text(ids) - other.text(ids)).max() > 1e-4
    epsilons = [net.norm.keywords["epsilon"] for net in (other.encoder, other.heads["text"][0])]
    assert epsilons == [1e-3, 1e-3]
    with pytest.raises(ValueError, match="act_kwargs"):
        clip(tmp_path, act_kwargs={"inplace": True})


def test_a_text_tower_with_layer_scale(tmp_path):
    found = clip(tmp_path, scaled=True, ls_init_value=1e-5)
    assert found.heads["text"][1]["params"]["blocks"]["block_0"]["scale1"].shape == (16,)


def test_a_classifier_of_sound_has_the_configs_epsilon(tmp_path):
    state, config = case("hf_ast")
    state = {f"audio_spectrogram_transformer.{name}": array for name, array in state.items()}
    norm = {"weight": draw(np.random.default_rng(0), 32), "bias": np.zeros(32, np.float32)}
    state |= {f"classifier.layernorm.{name}": array for name, array in norm.items()}
    state |= {"classifier.dense.weight": np.eye(32, dtype=np.float32), "classifier.dense.bias": norm["bias"]}
    module, variables = loaded(tmp_path, state, config | {"layer_norm_eps": 0.5}).heads["logits"]
    x = np.random.default_rng(1).standard_normal((2, 32)).astype(np.float32)
    want = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 0.5) * norm["weight"]
    same(module.apply(variables, x), want)


def test_no_registers_are_a_tensor_without_numbers(tmp_path):
    state, config = case("hf_dinov2_registers")
    state["embeddings.register_tokens"] = np.zeros((1, 0, 32), np.float32)
    found = loaded(tmp_path, state, config | {"num_register_tokens": 0})
    assert found.encoder.registers == 0 and found.features(images(28, 28)).tokens.shape == (2, 16, 32)


@pytest.mark.parametrize("level", ["encoder.", "visual.", "model.encoder.", "_orig_mod."])
def test_one_network_below_a_name_that_tells_no_part(level, tmp_path):
    state = load_file(MODELS / "dino_vit.safetensors")
    config = dict(model_type="dino_vit", num_heads=4)
    found = loaded(tmp_path, {level + name: array for name, array in state.items()}, config)
    assert found.part == "teacher"
    np.testing.assert_array_equal(found.variables["params"]["norm"]["bias"], state["norm.bias"])
    both = {at + name: array for at in (level, "other.") for name, array in state.items()}
    with pytest.raises(ValueError, match="several networks"):
        loaded(tmp_path, both, config)


def test_the_last_chunk_of_blocks_may_have_fewer(tmp_path):
    state, config = case("dinov2_checkpoint")
    first = {name: array for name, array in state.items() if ".blocks.0.0." in name}
    chunked = {name: array for name, array in state.items() if ".blocks." not in name}
    for i in range(5):
        chunked |= {name.replace(".0.0.", f".{i // 2}.{i}."): array for name, array in first.items()}
    assert loaded(tmp_path, chunked, config | {"depth": 5}).encoder.depth == 5


def test_shards_of_another_kind_of_file(tmp_path):
    state, config = case("hf_dinov2_registers")
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    at = {tensor: names[i % 2] for i, tensor in enumerate(state)}
    for file in names:
        save_file({tensor: state[tensor] for tensor in state if at[tensor] == file}, tmp_path / file)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": at}))
    assert weights.load(tmp_path).family == "hf_dinov2_registers"


@pytest.mark.parametrize("groups", [1, 4])
def test_wide_and_grouped_residual_networks(groups, tmp_path):
    rng, channels, state = np.random.default_rng(0), 8, {}
    shapes = {"conv1": (8, 3, 7, 7), "bn1": (8,)}
    for stage, width in enumerate((8, 8, 12, 12), 1):
        at, out = f"layer{stage}.0.", 2 * width
        shapes |= {at + "conv1": (width, channels, 1, 1), at + "conv2": (width, width // groups, 3, 3)}
        shapes |= {at + "conv3": (out, width, 1, 1), at + "downsample.0": (out, channels, 1, 1)}
        shapes |= {
            at + "bn1": (width,),
            at + "bn2": (width,),
            at + "bn3": (out,),
            at + "downsample.1": (out,),
        }
        channels = out
    for name, shape in shapes.items():
        leaves = ("weight",) if len(shape) == 4 else ("weight", "bias", "running_mean", "running_var")
        state |= {f"{name}.{leaf}": np.abs(draw(rng, *shape)) for leaf in leaves}
    found = loaded(tmp_path, state, {"model_type": "resnet"})
    assert found.encoder.block.keywords == dict(expansion=2, groups=groups)
    assert found.features(images()).cls.shape == (2, 24)
