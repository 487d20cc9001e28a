"""Published state dicts give the numbers of their authors' code, and come back bit for bit."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jssl import weights
from jssl.masks import visible_indices
from jssl.models import ViT, dino_bicubic
from jssl.models.encoders.readouts import (
    read_mean,
    read_mean_of_all,
    read_normed_class,
    read_normed_mean,
)
from jssl.models.encoders.resnet import BasicBlock, ResNet, same_padding
from jssl.models.layers.norms import batch_norm
from jssl.models.layers.positions import LearnedPositions, antialiased_bicubic, bicubic
from tests.weights.files import CASES, CONFIGS, case, channels_last, drawn, same

NAMES = [*CONFIGS, *sorted(folder.name for folder in CASES.iterdir())]


@pytest.fixture(autouse=True)
def full_precision():
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Each case once: (folder, numbers, loaded)."""
    place, known = tmp_path_factory.mktemp("cases"), {}

    def open_(name):
        if name not in known:
            folder, numbers = case(name, place)
            known[name] = folder, numbers, weights.load(folder)
        return known[name]

    return open_


@pytest.mark.parametrize("name", NAMES)
def test_saved_again_it_is_the_same_bit_for_bit(opened, name, tmp_path):
    folder, _, loaded = opened(name)
    assert loaded.family == name
    weights.save(loaded, tmp_path / "again.safetensors")
    ours, theirs = load_file(tmp_path / "again.safetensors"), load_file(folder / "model.safetensors")
    assert set(ours) == set(theirs)
    for tensor, array in theirs.items():
        assert ours[tensor].dtype == array.dtype
        np.testing.assert_array_equal(ours[tensor], array)


@pytest.mark.parametrize("name", ["dino_vit", "hf_dinov2_registers", "hf_ast"])
def test_class_and_patch_tokens(opened, name):
    _, want, loaded = opened(name)
    inputs = want["spectrograms"] if "spectrograms" in want else channels_last(want["images"])
    features = loaded.features(inputs)
    same(features.cls, want["class_token"])
    same(features.tokens, want["patch_tokens"])


def test_a_mask_puts_the_mask_token_in(opened):
    _, want, loaded = opened("hf_dinov2_registers")
    features = loaded.features(channels_last(want["images"]), mask=want["mask"].reshape(2, 4, 4))
    same(features.cls, want["masked_class_token"])
    same(features.tokens, want["masked_patch_tokens"])


def test_a_file_without_mask_token_takes_no_mask(opened):
    _, want, loaded = opened("dino_vit")
    with pytest.raises(ValueError, match="no mask token"):
        loaded.features(channels_last(want["images"]), mask=np.zeros((2, 16), bool))


def test_eva02_turns_neighbours_and_gates(opened):
    _, want, loaded = opened("timm_eva02")
    features = loaded.features(channels_last(want["images"]))
    same(features.cls, want["pre_logits"])
    same(features.tokens, want["tokens"][:, 1:])
    module, variables = loaded.heads["logits"]
    same(module.apply(variables, features.cls), want["logits"])


def test_two_towers(opened):
    _, want, loaded = opened("hf_clip")
    same(loaded.image(channels_last(want["images"])), want["image_features"])
    same(loaded.text(want["token_ids"]), want["text_features"])
    scale, variables = loaded.heads["logit_scale"]
    stored = load_file(CASES / "hf_clip/model.safetensors")["logit_scale"]
    np.testing.assert_allclose(scale.apply(variables), np.exp(stored), rtol=1e-6)


def test_one_tower_has_no_texts(opened):
    with pytest.raises(ValueError, match="no text tower"):
        opened("dino_vit")[2].text(np.zeros((1, 4), int))


def test_films(opened):
    _, want, loaded = opened("hf_videomae")
    same(loaded.features(channels_last(want["videos"])).tokens, want["tokens"])
    module, variables = loaded.heads["decoder"]
    hidden = int(want["mask"][0].sum())
    mask = jnp.asarray(want["mask"])
    seen, asked = visible_indices(mask, 32 - hidden), visible_indices(~mask, hidden)
    encoded = loaded.encoder.apply(loaded.variables, channels_last(want["videos"]), visible=seen)
    same(module.apply(variables, encoded.tokens, seen, asked, (2, 4, 4)), want["prediction"])


def test_a_residual_network_and_its_heads(opened):
    _, want, loaded = opened("simsiam_resnet")
    features = loaded.features(channels_last(want["images"]))
    same(features.cls, want["pooled"])
    projected = loaded.heads["projection"][0].apply(loaded.heads["projection"][1], features.cls)
    same(projected, want["projection"])
    same(loaded.heads["prediction"][0].apply(loaded.heads["prediction"][1], projected), want["prediction"])


def test_mae_keeps_its_decoder(opened):
    _, want, loaded = opened("mae")
    visible = jnp.argsort(jnp.asarray(want["noise"]), axis=1)[:, :4]
    latent = loaded.encoder.apply(loaded.variables, channels_last(want["images"]), visible=visible)
    module, variables = loaded.heads["decoder"]
    same(module.apply(variables, latent, visible, (4, 4)), want["prediction"])


def test_sizes_come_from_the_tensors_where_there_is_no_config(opened, tmp_path):
    folder, want, loaded = opened("resnet_torchvision")
    bare = weights.load(folder / "model.safetensors")
    same(bare.features(channels_last(want["images"])).cls, want["pooled"])
    assert bare.family == loaded.family and bare.encoder == loaded.encoder


def written(place, state, config):
    place.mkdir()
    save_file(state, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps(config))
    return weights.load(place)


def test_fused_and_separate_queries_are_one_network(opened, tmp_path):
    folder, want, _ = opened("timm_eva02")
    state, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    for i in range(2):
        at = f"blocks.{i}.attn."
        state[f"{at}qkv.weight"] = np.concatenate([state.pop(f"{at}{name}_proj.weight") for name in "qkv"])
        state |= {f"{at}{name}_bias": state.pop(f"{at}{name}_proj.bias") for name in "qv"}
    loaded = written(tmp_path / "fused", state, config)
    same(loaded.features(channels_last(want["images"])).cls, want["pre_logits"])
    weights.save(loaded, tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert all(np.array_equal(again[name], array) for name, array in state.items())


def test_blocks_in_chunks_below_several_prefixes(opened, tmp_path):
    folder, want, _ = opened("dino_vit")
    state = {"mask_token": np.ones((1, 32), np.float32)} | load_file(folder / "model.safetensors")
    names = {
        name: name.replace("blocks.0.", "blocks.0.0.").replace("blocks.1.", "blocks.1.1.") for name in state
    }
    chunked = {f"teacher.backbone.{names[name]}": array for name, array in state.items()}
    config = CONFIGS["dino_vit"] | {"model_type": "dinov2", "block_chunks": 2, "init_values": None}
    loaded = written(tmp_path / "chunked", chunked, config)
    assert (loaded.family, loaded.part) == ("dinov2_checkpoint", "teacher")
    same(loaded.features(channels_last(want["images"])).cls, want["class_token"])
    weights.save(loaded, tmp_path / "again.safetensors")
    assert set(load_file(tmp_path / "again.safetensors")) == set(chunked)


def test_the_number_of_heads_is_asked_for_where_nothing_tells_it(opened):
    with pytest.raises(ValueError, match="num_heads"):
        weights.load(opened("dino_vit")[0] / "model.safetensors", family="dino_vit")


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_halves_load_as_float32_and_are_saved_as_halves(opened, tmp_path, dtype):
    folder, _, _ = opened("dino_vit")
    state = {name: array.astype(dtype) for name, array in load_file(folder / "model.safetensors").items()}
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_text((folder / "config.json").read_text())
    save_file(state, half / "model.safetensors")
    read = weights.load(half)
    leaves = jax.tree.leaves(read.variables)
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)
    np.testing.assert_array_equal(
        read.variables["params"]["norm"]["bias"], state["norm.bias"].astype(np.float32)
    )
    weights.save(read, tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert all(again[name].tobytes() == array.tobytes() for name, array in state.items())
    assert jax.tree.leaves(weights.load(half, dtype=jnp.bfloat16).variables)[0].dtype == jnp.bfloat16


def test_parts_are_named(opened):
    folder = opened("simsiam_resnet")[0]
    with pytest.raises(ValueError, match="no part 'teacher'"):
        weights.load(folder, part="teacher")


@pytest.mark.parametrize(
    "name, fields",
    [
        ("timm_vit", {}),
        ("timm_vit", dict(registers=3)),
        ("timm_vit", dict(class_token=False, registers=2)),
        ("timm_vit", dict(readout=read_mean)),
        ("timm_vit", dict(readout=read_normed_mean)),
        ("timm_vit", dict(readout=read_mean_of_all, registers=1)),
        ("timm_vit", dict(readout=read_normed_class)),
        ("dino_vit", {}),
        ("dinov2", dict(registers=2, layer_scale=1e-5)),
        ("hf_vit", {}),
        ("hf_dinov2_registers", dict(registers=2)),
    ],
)
def test_a_network_of_the_library_is_saved_under_published_names(name, fields, tmp_path):
    fields = {"layer_scale": None, **fields}
    vit = ViT(8, 24, 2, 3, **fields)
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    variables = drawn(vit, images.shape, mask=jnp.zeros((2, 16), bool))
    weights.save(weights.Loaded(vit, variables), tmp_path / name, family=name)
    loaded = weights.load(tmp_path / name)
    assert json.loads((tmp_path / name / "config.json").read_text())["layer_norm_eps"] == 1e-6
    features, want = loaded.features(images), jax.jit(vit.apply)(variables, images)
    np.testing.assert_allclose(features.cls, want.cls, atol=2e-5)
    np.testing.assert_allclose(features.tokens, want.tokens, atol=2e-5)


@pytest.mark.parametrize("family", ["dino_vit", "dinov2", "hf_vit", "hf_dinov2"])
@pytest.mark.parametrize("fields", [dict(readout=read_normed_mean), dict(class_token=False)])
def test_features_that_a_family_reads_otherwise_are_told(family, fields, tmp_path):
    vit = ViT(8, 24, 1, 3, layer_scale=None, **fields)
    variables = drawn(vit)
    with pytest.raises(ValueError, match="class token"):
        weights.save(weights.Loaded(vit, variables), tmp_path / "x.safetensors", family=family)


@pytest.mark.parametrize("name, antialias, offset", [("dinov2", False, 0.1), ("dinov2_registers", True, 0.0)])
def test_interpolation_is_exported_as_it_was_loaded(name, antialias, offset, tmp_path):
    kind = antialiased_bicubic if antialias else bicubic
    positions = LearnedPositions(partial(kind, offset=offset) if offset else kind)
    vit = ViT(8, 24, 1, 3, layer_scale=1e-5, positions=positions)
    variables = drawn(vit)
    weights.save(weights.Loaded(vit, variables), tmp_path / name, family="dinov2")
    told = json.loads((tmp_path / name / "config.json").read_text())
    assert (told["interpolate_antialias"], told["interpolate_offset"]) == (antialias, offset)


def test_a_residual_network_is_exported_with_its_epsilon_and_torchs_padding_alone(tmp_path):
    net = ResNet((1,), BasicBlock, (4,), 4, norm=partial(batch_norm, epsilon=1e-2))
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    variables = jax.jit(net.init)(jax.random.key(1), images)
    weights.save(weights.Loaded(net, variables), tmp_path / "x", family="resnet_torchvision")
    same(weights.load(tmp_path / "x").features(images).cls, np.asarray(net.apply(variables, images).cls))
    other = weights.Loaded(net.clone(padding=same_padding), variables)
    with pytest.raises(ValueError, match="same_padding"):
        weights.save(other, tmp_path / "y", family="resnet_torchvision")


def test_a_family_without_room_for_a_parameter_is_named(tmp_path):
    vit = ViT(8, 24, 1, 3, layer_scale=0.1)
    variables = drawn(vit)
    with pytest.raises(ValueError, match="hf_vit.*scale"):
        weights.save(weights.Loaded(vit, variables), tmp_path / "x.safetensors", family="hf_vit")
    several = weights.Loaded(vit.clone(class_token=5), variables)
    with pytest.raises(ValueError, match="5 with positions"):
        weights.save(several, tmp_path / "x.safetensors", family="timm_vit")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_file_of_the_librarys_own_has_no_parts_and_the_dtype_that_is_asked_for(tmp_path):
    vit = ViT(8, 24, 1, 3)
    variables = drawn(vit)
    file = tmp_path / "vit.safetensors"
    weights.save(weights.Loaded(vit, jax.tree.map(lambda x: x.astype(jnp.bfloat16), variables)), file)
    for asked in (np.float32, jnp.bfloat16):
        leaves = jax.tree.leaves(weights.load(file, dtype=asked).variables)
        assert {leaf.dtype for leaf in leaves} == {np.dtype(asked)}
    assert jax.tree.leaves(weights.load(file).variables)[0].dtype == np.float32
    with pytest.raises(ValueError, match="no part 'student'"):
        weights.load(file, part="student")


def test_resize_is_what_the_network_does_by_itself(opened):
    _, _, loaded = opened("dino_vit")
    images = jax.random.normal(jax.random.key(0), (1, 48, 24, 3))
    resized = weights.resize(loaded, size=(48, 24))
    assert resized.variables["params"]["positions"]["table"].shape == (6, 3, 32)
    same(resized.features(images).tokens, np.asarray(loaded.features(images).tokens), 1e-6)
    assert loaded.encoder.positions.interpolate is dino_bicubic
    with pytest.raises(ValueError, match="multiple of the patch"):
        weights.resize(loaded, size=33)


@pytest.mark.parametrize("family", ["dino_vit", "hf_dinov2_registers", "hf_clip", "timm_eva02"])
def test_what_was_resized_prepares_images_of_its_size_and_stays_so_when_it_is_saved(opened, family, tmp_path):
    _, _, loaded = opened(family)
    side = 2 * loaded.preprocess.crop
    resized = weights.resize(loaded, size=side)
    weights.save(resized, tmp_path / family)
    again = weights.load(tmp_path / family)
    assert resized.preprocess.crop == again.preprocess.crop == side
    assert resized.preprocess.mean == again.preprocess.mean == loaded.preprocess.mean
    images = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    pixels = again.preprocess(images)
    same(again.features(pixels).tokens, np.asarray(loaded.features(pixels).tokens), 1e-5)


def test_a_trained_copy_is_saved_in_place_of_what_was_loaded(opened, tmp_path):
    _, _, loaded = opened("hf_clip")
    moved = jax.tree.map(lambda leaf: leaf + 1, loaded.variables)
    weights.save(replace(loaded, variables=moved), tmp_path / "moved.safetensors")
    state, before = load_file(tmp_path / "moved.safetensors"), load_file(CASES / "hf_clip/model.safetensors")
    np.testing.assert_array_equal(
        state["vision_model.post_layernorm.bias"], before["vision_model.post_layernorm.bias"] + 1
    )
    np.testing.assert_array_equal(state["text_projection.weight"], before["text_projection.weight"])


def test_preprocessing_travels_with_the_weights(opened):
    clip = opened("hf_clip")[2].preprocess
    assert (clip.size, clip.crop, clip.mean[0]) == (24, 24, 0.48145466)
    images = np.full((2, 60, 40, 3), 255, np.uint8)
    x = clip(images)
    assert x.shape == (2, 24, 24, 3)
    np.testing.assert_allclose(x[0, 0, 0], (1 - np.array(clip.mean)) / np.array(clip.std), rtol=1e-5)
    with pytest.raises(ValueError, match="uint8"):
        clip(images / 255)


def test_the_table_of_families():
    rows = weights.families()
    assert len(rows) == 45 and len({row["family"] for row in rows}) == 45
    assert all(
        row["publisher"] and row["architectures"] and row["licence"] and row["citation"] for row in rows
    )
