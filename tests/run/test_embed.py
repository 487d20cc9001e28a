"""Features of data, in a file."""

import jax
import numpy as np
import pytest
from jssl.experiments import SimCLR
from PIL import Image

from jssl import weights
from jssl.command import main
from jssl.data import Items, from_arrays
from jssl.models import ViT
from jssl.run import DataInfo
from jssl.run.evaluation.embed import chooser, embed, prepared, read_prepared
from jssl.weights import Loaded, Preprocess

VIT = ViT(patch=4, dim=16, depth=3, heads=2, registers=1)


@pytest.fixture(scope="module")
def loaded():
    variables = jax.jit(VIT.init)(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
    return Loaded(VIT, variables, preprocess=Preprocess(9, 8))


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    return from_arrays(rng.integers(0, 256, (21, 9, 9, 3), np.uint8), rng.integers(0, 3, 21), name="noise")


def test_features_labels_and_names_of_every_image(loaded, source, tmp_path):
    out = embed(loaded, source, tmp_path / "f.npz", batch=8)
    with np.load(out) as file:
        expected = loaded.features(loaded.preprocess(source.images))
        np.testing.assert_allclose(file["features"], expected.cls, atol=1e-5)
        np.testing.assert_array_equal(file["labels"], source.labels)
        assert file["names"].tolist()[3] == "noise[3]" and len(file["names"]) == 21
        assert file["class_names"].tolist() == ["0", "1", "2"]
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]


def test_a_network_of_grey_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    variables = jax.jit(VIT.init)(jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))
    grey = SimCLR().preprocess(DataInfo("grey", 3, (8, 8, 1), 8, 0, {}))
    loaded = Loaded(VIT, variables, preprocess=grey)
    seen = grey(images)
    np.testing.assert_allclose(seen, images / 255, atol=1e-6)
    with np.load(embed(loaded, from_arrays(images), tmp_path / "f.npz", batch=8)) as file:
        np.testing.assert_allclose(file["features"], loaded.features(seen).cls, atol=1e-5)
    colors = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    shown, *_ = read_prepared(Items([{"image": colors}]), 0, grey)  # not its red alone
    np.testing.assert_array_equal(shown[..., 0], Image.fromarray(colors).convert("L"))


def test_tokens_and_blocks(loaded, source):
    images = loaded.preprocess(source.images[:2])
    features = loaded.features(images)
    of = lambda **chosen: chooser(loaded, **chosen)(loaded.variables, images)  # noqa: E731
    np.testing.assert_allclose(of(tokens="mean"), features.tokens.mean(1), atol=1e-6)
    np.testing.assert_allclose(of(tokens="patches"), features.tokens, atol=1e-6)
    assert of(tokens="both").shape == (2, 32) and of(blocks=(0, 2)).shape == (2, 32)
    last = of(blocks=(-1,), tokens="patches")
    assert last.shape == (2, 4, 16)
    norm = (last - last.mean(-1, keepdims=True)) / np.sqrt(last.var(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(norm, features.tokens, atol=1e-4)  # a new norm's scale is 1
    for wrong, words in (
        (dict(tokens="all"), "--tokens must be one of"),
        (dict(blocks=(3,)), "no such block; it has 3"),
    ):
        with pytest.raises(ValueError, match=words):
            chooser(loaded, **wrong)


def test_an_interrupted_call_goes_on_where_it_stopped(loaded, source, tmp_path, monkeypatch):
    whole = embed(loaded, source, tmp_path / "whole.npz", batch=8)
    monkeypatch.setattr("jssl.run.evaluation.embed.FLUSH", 1)
    join = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr("jssl.run.evaluation.embed._join", join)
        with pytest.raises(KeyboardInterrupt):
            embed(loaded, source, tmp_path / "f.npz", batch=8)
    parts = sorted((tmp_path / "f.npz.partial").glob("*.npz"))
    assert len(parts) == 3
    parts[-1].unlink()
    said = []
    again = embed(loaded, source, tmp_path / "f.npz", batch=8, say=said.append)
    assert "16 done" in said[0]
    with np.load(whole) as a, np.load(again) as b:
        np.testing.assert_array_equal(a["features"], b["features"])
        np.testing.assert_array_equal(a["names"], b["names"])


def test_the_command_reads_a_folder_and_leaves_damaged_images_out(loaded, tmp_path, capsys):
    rng = np.random.default_rng(1)
    for kind, number, shape in (("a", 0, (9, 12, 3)), ("a", 1, (20, 10, 3)), ("b", 2, (9, 9, 3))):
        (tmp_path / "images" / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(
            tmp_path / "images" / kind / f"{number}.png"
        )
    (tmp_path / "images" / "b" / "broken.png").write_bytes(b"no image")
    weights.save(loaded, tmp_path / "own.safetensors")
    main(
        [
            "embed",
            str(tmp_path / "own.safetensors"),
            f"folder:{tmp_path / 'images'}",
            "--out",
            str(tmp_path / "f.npz"),
        ]
    )
    assert "left out" in capsys.readouterr().out
    again = embed(tmp_path / "own.safetensors", tmp_path / "images", tmp_path / "again.npz")
    with np.load(tmp_path / "f.npz") as file, np.load(again) as of_paths:
        np.testing.assert_array_equal(file["features"], of_paths["features"])
        assert file["labels"].tolist() == [0, 0, 1] and file["names"][1].endswith("a/1.png")
        expected = loaded.features(loaded.preprocess(tmp_path / "images" / "b" / "2.png")).cls[0]
        np.testing.assert_allclose(file["features"][2], expected, atol=1e-4)
    with pytest.raises(SystemExit):
        main(["embed", "dinov2_vits4", "digits", "--out", str(tmp_path / "x.npz")])
    assert "did you mean dinov2_vits14" in capsys.readouterr().err
    main(["list", "--weights"])
    listed = capsys.readouterr().out
    assert "dinov2_vits14_reg" in listed and "Apache-2.0" in listed and "dl.fbaipublicfiles.com" in listed


def test_of_a_strip_the_middle_is_seen_however_long_it_is():
    pixels = Preprocess(16, 8, "bicubic", (0.0,) * 3, (1.0,) * 3)
    short = np.random.default_rng(0).integers(0, 256, (1, 32, 3)).astype(np.uint8)
    long = np.pad(short, ((0, 0), (1_000, 1_000), (0, 0)))
    np.testing.assert_allclose(pixels(long), pixels(long[:, 900:-900]), atol=1e-6)
    np.testing.assert_array_equal(prepared(long, pixels), prepared(long[:, 900:-900], pixels))
