"""Damaged, foreign and hostile files: one line each, and nothing is unpickled."""

import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jssl import weights
from tests.weights.files import MODELS, case, header_of, write_pth, write_raw

FILE = MODELS / "dino_vit.safetensors"


def refused(path, *words, **arguments):
    with pytest.raises(ValueError) as error:
        weights.load(path, **arguments)
    text = str(error.value)
    assert "\n" not in text and len(text) < 1500
    for word in words:
        assert word in text, text


def change(place, **entries):
    """The file with other entries in its header."""
    header, body = header_of(FILE)
    for name, entry in entries.items():
        header[name] = entry
    write_raw(place, header, body)
    return place


def lie(place, field, value):
    header, _ = header_of(FILE)
    return change(place, **{"norm.bias": header["norm.bias"] | {field: value}})


DAMAGES = {
    "empty": (lambda p: p.write_bytes(b""), "empty"),
    "three bytes": (lambda p: p.write_bytes(b"abc"), "cut off"),
    "cut off": (lambda p: p.write_bytes(FILE.read_bytes()[:-100]), "cut off"),
    "cut in the header": (lambda p: p.write_bytes(FILE.read_bytes()[:200]), "cut off"),
    "bytes too many": (lambda p: p.write_bytes(FILE.read_bytes() + b"x" * 8), "damaged"),
    "header of no end": (lambda p: write_raw(p, b"{}", b"", length=2**62), "header of"),
    "header no JSON": (lambda p: write_raw(p, b"{nonsense", b""), "no JSON"),
    "header a list": (lambda p: write_raw(p, b"[1, 2]", b""), "no table"),
    "header nested": (lambda p: write_raw(p, b'{"a":' * 200_000 + b"1" + b"}" * 200_000, b""), "no JSON"),
    "name twice": (lambda p: write_raw(p, b'{"a":{},"a":{}}', b""), "twice"),
    "shape lies": (lambda p: lie(p, "shape", [2**40, 2**40]), "norm.bias"),
    "negative shape": (lambda p: lie(p, "shape", [-32]), "norm.bias"),
    "offsets lie": (lambda p: lie(p, "data_offsets", [10**12, 10**12 + 128]), "begins at byte"),
    "offsets overlap": (lambda p: lie(p, "data_offsets", [0, 128]), "begins at byte"),
    "unknown dtype": (lambda p: lie(p, "dtype", "F8_E4M3"), "F8_E4M3"),
    "dtype a list": (lambda p: lie(p, "dtype", ["F32"]), "norm.bias"),
    "name of two lines": (lambda p: change(p, **{"a\nb": 7}), "is no name"),
    "entry no table": (lambda p: change(p, **{"norm.bias": 7}), "norm.bias"),
    "pointer": (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS"),
    "text": (lambda p: p.write_bytes(b"<html>404: not found</html>" * 9), "fetch it again"),
    "zip of nothing": (
        lambda p: zipfile.ZipFile(p, "w").close() or p.write_bytes(b"PK\3\4" + bytes(60)),
        "zip",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_told_in_one_line(name, tmp_path):
    damage, word = DAMAGES[name]
    path = tmp_path / "model.safetensors"
    damage(path)
    refused(path, word, family="dino_vit")


class Harm:
    """What a hostile pickle would run."""

    def __reduce__(self):
        return os.mkdir, ("harm was done",)


@pytest.mark.parametrize("kind", ["bare", "in a zip", "in an npz"])
def test_nothing_is_unpickled(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pth"
    if kind == "bare":
        path.write_bytes(pickle.dumps({"weight": Harm()}))
    elif kind == "in a zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"weight": Harm()}))
    else:
        with open(path, "wb") as file:
            np.savez(file, weight=np.array([Harm()], dtype=object))
    refused(path)
    assert not (tmp_path / "harm was done").exists()


def altered(place, change_state=lambda state: None, **config):
    folder, _ = case("dino_vit", place)
    state = load_file(folder / "model.safetensors")
    change_state(state)
    save_file(state, folder / "model.safetensors")
    told = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def test_missing_and_left_over_tensors_are_named(tmp_path):
    def change_state(state):
        state["blocks.1.attn.foreign.weight"] = state.pop("blocks.1.attn.proj.weight")

    folder = altered(tmp_path, change_state)
    refused(
        folder, "missing: blocks.1.attn.proj.weight", "left over: blocks.1.attn.foreign.weight", "closest"
    )


def test_a_tensor_of_another_shape_is_named_with_what_was_expected(tmp_path):
    def change_state(state):
        state["blocks.0.mlp.fc2.weight"] = np.zeros((32, 127), np.float32)

    refused(altered(tmp_path, change_state), "blocks.0.mlp.fc2.weight [32, 127], expected [32, 128]")


@pytest.mark.parametrize(
    "config, word",
    [
        (dict(depth=10**5), "blocks"),
        (dict(depth=3), "missing: blocks.2."),
        (dict(embed_dim=64), "expected"),
        (dict(embed_dim=-1), "embed_dim"),
        (dict(num_heads=5), "heads"),
        (dict(num_heads=0), "num_heads"),
        (dict(patch_size="big"), "patch_size"),
        (dict(layer_norm_eps="small"), "layer_norm_eps"),
        (dict(hidden_act="mystery"), "hidden_act"),
        (dict(pretrained_cfg={"interpolation": ["bicubic"]}), "how images are prepared"),
    ],
)
def test_a_config_that_lies_is_told(config, word, tmp_path):
    refused(altered(tmp_path, **config), word)


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "[" * 100_000])
def test_a_config_that_is_no_table_is_told(text, tmp_path):
    folder = altered(tmp_path)
    (folder / "config.json").write_text(text)
    refused(folder, "config.json")


def test_a_foreign_file_is_of_no_family(tmp_path):
    save_file({"wte.weight": np.zeros((4, 4), np.float32)}, tmp_path / "gpt.safetensors")
    refused(tmp_path / "gpt.safetensors", "no family", "wte.weight")


def test_an_unknown_family_brings_up_the_closest():
    refused(FILE, "did you mean", "dinov2", family="dinov22")


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_of_a_pth_file(legacy, tmp_path, monkeypatch):
    state = load_file(FILE)
    table = {
        "teacher": {f"backbone.{name}": array for name, array in state.items()},
        "epoch": 3,
        "optimizer": {"state": {"0": np.zeros(3, np.float32)}},
    }
    path = tmp_path / "checkpoint.pth"
    write_pth(path, table, legacy=legacy, monkeypatch=monkeypatch)
    (tmp_path / "config.json").write_text(json.dumps(dict(model_type="dino_vit", num_heads=4)))
    loaded = weights.load(tmp_path)
    assert loaded.part == "teacher"
    np.testing.assert_array_equal(loaded.variables["params"]["norm"]["bias"], state["norm.bias"])
    weights.save(loaded, tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert set(again) == {f"teacher.backbone.{name}" for name in state}
    np.testing.assert_array_equal(again["teacher.backbone.pos_embed"], state["pos_embed"])


@pytest.mark.parametrize("damage", ["cut off", "storage gone", "storage short"])
def test_a_damaged_pth_file_is_told(damage, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pth"
    write_pth(path, {"x": np.ones((4, 4), np.float32)}, monkeypatch=monkeypatch)
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-40])
    else:
        with zipfile.ZipFile(path) as archive:
            stream = archive.read("archive/data.pkl")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", stream)
            if damage == "storage short":
                archive.writestr("archive/data/0", bytes(8))
    refused(path)


def test_an_npz_file(tmp_path):
    state = load_file(FILE)
    np.savez(tmp_path / "weights.npz", **state)
    (tmp_path / "config.json").write_text(json.dumps(dict(model_type="dino_vit", num_heads=4)))
    loaded = weights.load(tmp_path)
    np.testing.assert_array_equal(loaded.variables["params"]["norm"]["bias"], state["norm.bias"])


def test_a_header_that_is_not_aligned_is_read(tmp_path):
    header, body = header_of(FILE)
    text = json.dumps(header).encode() + b" " * 3
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    (tmp_path / "config.json").write_text(json.dumps(dict(model_type="dino_vit", num_heads=4)))
    loaded = weights.load(tmp_path)
    np.testing.assert_array_equal(loaded.variables["params"]["norm"]["bias"], load_file(FILE)["norm.bias"])
