"""Options that leave no trace in the tensors: built as the architecture's name says them, or refused."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from jssl import weights
from tests.weights.files import CASES, MODELS, same
from tests.weights.test_siblings import ARGS, case, eva, images, loaded


def rope(**others):
    """Of timm's ViTs with registers that turn: no class token, no absolute positions, layer scale."""
    gone = dict.fromkeys(("cls_token", "pos_embed"))
    scales = {f"blocks.0.gamma_{i}": np.ones(24, np.float32) for i in (1, 2)}
    return {k: v for k, v in eva("fc_norm").items() if k not in gone} | scales | others


def test_an_architecture_that_timm_turns_is_turned(tmp_path):
    state = rope(reg_token=np.ones((1, 1, 24), np.float32))
    config = {"architecture": "vit_medium_patch16_rope_reg1_gap_256", "num_heads": 3, "global_pool": "avg"}
    found = loaded(tmp_path, state, config)
    args = ARGS | dict(img_size=32, class_token=False, num_reg_tokens=1, use_rot_pos_emb=True)
    stated = loaded(tmp_path, state, config | {"model_args": args | {"ref_feat_shape": [16, 16]}})
    assert found.encoder.rotary.keywords == dict(native=(16, 16), theta=10000.0)
    same(found.features(images()).cls, stated.features(images()).cls)
    config["architecture"] = "vit_small_patch16_dinov3_qkvb"
    with pytest.raises(ValueError, match="vit_small_patch16_dinov3_qkvb may turn its tokens"):
        loaded(tmp_path, state, config)


def test_an_eva_without_biases_is_no_plain_vit(tmp_path):
    state, config = case("timm_eva02")
    unbiased = {name: array for name, array in state.items() if "_proj.bias" not in name}
    for i in range(2):
        at = f"blocks.{i}.attn."
        unbiased[f"{at}qkv.weight"] = np.concatenate(
            [unbiased.pop(f"{at}{name}_proj.weight") for name in "qkv"]
        )
    want, found = (loaded(tmp_path, tensors, config) for tensors in (state, unbiased))
    assert found.encoder.rotary.keywords == want.encoder.rotary.keywords
    kernels = [net.variables["params"]["blocks"]["block_1"]["attn"]["qkv"]["kernel"] for net in (found, want)]
    np.testing.assert_array_equal(*kernels)


def test_arguments_without_sizes_leave_an_architecture_what_it_is(tmp_path):
    state, config = case("timm_eva02")
    config |= {"model_args": {"img_size": 28}, "num_heads": 3}
    assert loaded(tmp_path, state, config).encoder.rotary.keywords["native"] == (16, 16)


def test_pixels_that_fill_no_patch_are_left_out_where_the_published_images_have_some(tmp_path):
    state = load_file(MODELS / "dino_vit.safetensors")  # patches of 8
    config = {"model_type": "dino_vit", "num_heads": 4, "image_size": 35}
    found, x = loaded(tmp_path, state, config), images(35, 35)
    assert found.preprocess.crop == 35
    stem, params = found.encoder.stem(patch=8, dim=32), {"params": found.variables["params"]["stem"]}
    stem.check(x)
    np.testing.assert_array_equal(stem.apply(params, x), stem.apply(params, x[:, :32, :32]))
    resized = weights.resize(found, size=43).variables["params"]["positions"]["table"]
    assert resized.shape == (5, 5, 32)
    weights.save(found, tmp_path / "timm", family="timm_vit")
    again = weights.load(tmp_path / "timm")
    assert again.preprocess.crop == 35 and again.encoder.stem.keywords == {"cut": True}


UNBUILT = {
    "qk_scale": ("dino_vit", {"model_type": "dino_vit", "num_heads": 4, "qk_scale": 0.5}),
    "qk_scale ": ("simmim_swin", {"model_type": "simmim_swin", "depths": [2, 2], "qk_scale": 0.5}),
    "pos_embed_rope_dtype": ("dinov3", {"pos_embed_rope_dtype": "bf16"}),
    "output_stride": ("resnet_torchvision", {"architecture": "resnet50", "output_stride": 16}),
    "act_layer": ("resnet_torchvision", {"architecture": "resnet50", "act_layer": "silu"}),
    "global_pool": ("resnet_torchvision", {"architecture": "resnet50", "global_pool": "avgmax"}),
    "blurs": ("resnet_torchvision", {"architecture": "resnetaa50"}),
    "dilation": ("resnet_torchvision", {"replace_stride_with_dilation": [False, False, True]}),
    "vit_pe_core_base_patch16_224": (
        "dino_vit",
        {"architecture": "vit_pe_core_base_patch16_224", "num_heads": 4},
    ),
    "norms after": ("dino_vit", {"architecture": "vit_base_patch16_rpn_224", "num_heads": 4}),
}


@pytest.mark.parametrize("word", UNBUILT)
def test_an_option_without_a_trace_in_the_tensors_is_refused(word, tmp_path):
    name, config = UNBUILT[word]
    folder = CASES / name
    state, known = case(name) if folder.is_dir() else (load_file(MODELS / f"{name}.safetensors"), {})
    with pytest.raises(ValueError, match=f"{word.strip()}.* not built"):
        loaded(tmp_path, state, known | config)


def test_metaclip_2_ends_a_text_at_its_own_token_which_stands_for_the_largest_in_clip(tmp_path):
    state, config = case("hf_clip")
    assert config["text_config"]["eos_token_id"] == 2
    text, _ = loaded(tmp_path, state, config | {"model_type": "metaclip_2"}).heads["text"]
    assert text.end.keywords == {"of": 2}
