"""Protocols that ask for more than images and labels: fields, films, searches, captions."""

import json
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from jssl.data import from_arrays, in_memory
from jssl.data.sources.scenes import scenes
from jssl.models import TextTransformer
from jssl.objectives.base import Outputs
from jssl.run.evaluation import protocols, subject, towers
from jssl.run.evaluation.marks import mark_of_network
from jssl.run.evaluation.protocols import evaluate
from jssl.run.settings.families import Texts
from jssl.weights import Preprocess
from tests.data.folders import a_film, a_search, picture


def test_dense_protocols_get_whole_images_and_the_datas_fields(loaded, tmp_path, monkeypatch):
    wide = replace(loaded, preprocess=Preprocess(10, 8))  # which cuts a margin off that labels have
    few = {split: scenes(split=split, side=16, count=8) for split in ("train", "test")}
    monkeypatch.setattr(subject, "densely_labelled", lambda name, split="train": few[split])
    records = lambda name, data_dir, split="train": in_memory(few[split])  # noqa: E731
    monkeypatch.setattr(subject, "open_records", records)
    one = subject.Subject("learned", wide, "scenes", store=tmp_path, batch=8, say=lambda text: None)
    seen = one.normalised_whole(few["test"].images)
    expected = loaded.features(seen).tokens
    assert one.given("test_tokens").shape == (8, 4, 8) and seen.shape == (8, 8, 8, 3)
    np.testing.assert_allclose(one.given("test_tokens"), expected, atol=0.1)  # Pillow's resizing, in bytes
    attention = one.given("test_attention")
    assert attention.shape == (8, 2, 4) and (attention.sum(-1) < 1).all()
    np.testing.assert_allclose(one.given("test_whole_features"), loaded.features(seen).cls, atol=0.1)
    assert np.abs(one.given("test_whole_features") - one.given("test_features")).max() > 1e-3  # which are cut
    np.testing.assert_array_equal(one.given("train_depth"), few["train"].extras["depth"])
    assert one.given("test_segmentation").shape == (8, 16, 16)
    odd = [few["test"].images[:, :15, :15], few["test"].extras["segmentation"][:, :15, :15]]
    monkeypatch.setattr(
        subject,
        "densely_labelled",
        lambda name, split="train": from_arrays(odd[0], few[split].labels, segmentation=odd[1]),
    )
    one = replace(one, _splits={}, notes=[])
    assert one.given("test_segmentation").shape == (8, 8, 8)  # fifteen pixels are not two patches
    assert one.notes[-1:] == ["segmentation of 15 x 15 pixels is brought to the 8 x 8 that are seen"]


def test_wide_images_and_their_labels_are_cut_to_the_same_square(loaded, tmp_path, monkeypatch):
    few = {split: scenes(split=split, side=16, count=8) for split in ("train", "test")}

    def beside(pixels):  # 16 x 64: a grid of 1 x 4 patches would divide it
        return np.concatenate([np.roll(pixels, 1, 0), pixels, np.roll(pixels, 2, 0)], 2)[:, :, 8:-8].repeat(
            2, 2
        )

    def put(change):
        held = {
            split: from_arrays(
                change(one.images), one.labels, segmentation=change(one.extras["segmentation"])
            )
            for split, one in few.items()
        }
        monkeypatch.setattr(subject, "densely_labelled", lambda name, split="train": held[split])
        records = lambda name, data_dir, split="train": in_memory(held[split])  # noqa: E731
        monkeypatch.setattr(subject, "open_records", records)
        return subject.Subject("learned", loaded, "scenes", store=tmp_path, batch=8, say=lambda text: None)

    wide = put(beside)
    assert wide.labelled[0].images.shape == (8, 16, 64, 3)
    square = put(lambda pixels: beside(pixels)[:, :, 24:40])
    for name in ("test_tokens", "test_attention", "test_segmentation", "train_segmentation"):
        np.testing.assert_allclose(wide.given(name), square.given(name), atol=1e-5)


def test_films_searches_and_copies_of_a_folder(loaded, tmp_path):
    for name in ("a", "b"):
        a_film(tmp_path, name, 3)
    a_search(tmp_path, {"0.jpg": {"easy": ["0.jpg"]}, "1.jpg": {"hard": ["1.jpg"], "junk": ["2.jpg"]}})
    for number in range(9):
        picture(tmp_path / "train" / f"{number}.jpg", 25 * number)
    said: list[str] = []
    where = dict(data=str(tmp_path), out=tmp_path / "out", cache=tmp_path / "kept", say=said.append)
    names = ["propagate", "retrieval", "copies", "linear_segmentation", "cross_retrieval"]
    found = {one["protocol"]: one for one in evaluate(loaded, protocols=names, **where)}
    assert list(found) == names[:3]
    assert "2 films as tokens of 3 x 4 x 8" in found["propagate"]["looked_at"]
    assert found["retrieval"]["metrics"]["retrieval_map_easy"] == 1.0  # the same picture
    assert "9 images to learn whitening from as features of 8" in found["copies"]["looked_at"]
    words = "\n".join(said)
    assert "linear_segmentation is left out: it needs dense labels of training images: segmentation" in words
    assert "cross_retrieval is left out: it needs test images embedded beside captions" in words
    picture(tmp_path / "frames" / "a" / "9.jpg")
    said.clear()
    with pytest.raises(ValueError, match="9.png: the frame's mask cannot be read"):
        evaluate(loaded, protocols=["propagate"], **where)


def test_descriptors_of_copies_are_of_whole_images(loaded, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("queries/0.png", "gallery/0.png", "gallery/1.png", "train/0.png", "train/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "answers.json").write_text('{"0.png": {"easy": ["0.png"]}}')
    how = dict(store=tmp_path / "kept", batch=8, say=lambda text: None)
    cut, whole = (
        subject.Subject("learned", replace(loaded, preprocess=pixels), f"folder:{tmp_path}", **how)
        for pixels in (Preprocess(12, 8), Preprocess(8, 8))
    )
    for part in ("copy", "original", "whitening"):
        for name in (f"{part}_features", f"{part}_tokens"):
            np.testing.assert_array_equal(cut.given(name), whole.given(name))
    assert np.abs(cut.given("query_features") - whole.given("query_features")).max() > 1e-3


def test_classes_and_captions_by_a_text_tower(loaded, tmp_path, monkeypatch):
    (tmp_path / "merges.txt").write_text("#version\nc a\n")
    for number, name in enumerate(("cat", "dog")):
        for split in ("train", "test"):
            picture(tmp_path / split / name / "0.png", 90 * number + 5 * (split == "test"))
    text = TextTransformer(515, 8, dim=8, depth=1, heads=2)
    words = text.init(jax.random.key(1), np.zeros((1, 8), np.int32))
    both = replace(loaded, heads={"text": (text, words)})
    captions = {f"test/{name}/0.png": f"a {name}" for name in ("cat", "dog")}
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    settings = dict(data=str(tmp_path), cache=tmp_path / "kept", vocabulary=str(tmp_path / "merges.txt"))
    names = ["zero_shot", "cross_retrieval"]
    zero, cross = evaluate(both, protocols=names, out=tmp_path / "a", templates=["{}", "a {}"], **settings)
    assert zero["metrics"]["zero_shot_top1"] in (0.0, 0.5, 1.0)
    assert "2 sentences for each class" in zero["looked_at"]
    assert zero["notes"] == ["each class is read in: {} | a {}"]
    assert set(cross["metrics"]) == {
        f"cross_retrieval_{what}_{metric}"
        for what in ("caption", "image")
        for metric in ("recall1", "median_rank")
    }
    assert "2 captions as embeddings of 8" in cross["looked_at"]
    monkeypatch.chdir(tmp_path.parent)  # the same images by another path: features that were kept have others
    _, again = evaluate(both, protocols=names, out=tmp_path / "c", **settings | {"data": tmp_path.name})
    assert again["metrics"] == cross["metrics"]
    (tmp_path / "captions.json").write_text('{"test/cat/0.png": "a cat"}')
    (zero,) = evaluate(both, protocols=names, out=tmp_path / "b", **settings)
    read, left_out = zero["notes"]
    assert read.startswith("each class is read in: itap of a {}. | ") and read.count("|") == 6
    assert left_out == f"there is no caption of {tmp_path}/test/dog/0.png, so that captions are left out"


def test_a_run_of_two_towers_embeds_images_beside_their_own_captions(monkeypatch):
    few = scenes(split="test", side=8, count=20, label="size")

    def outputs(params, teacher, memory, views, key):
        flat = views["global"][0].reshape(len(views["caption"]), -1)
        return Outputs({"image": flat[:, :12], "caption": 1.0 * views["caption"]})

    run = SimpleNamespace(
        method=SimpleNamespace(outputs=outputs),
        state=SimpleNamespace(params=None, teacher=None, memory=None),
        settings=object.__new__(Texts),
        preprocessing=lambda images: images / 255,
    )
    monkeypatch.setattr(towers, "open_run", lambda directory: run)
    monkeypatch.setattr(towers, "load", lambda data, split: few)
    monkeypatch.setattr(towers, "PAIRS", 8)
    found = towers.towers_of("run")("scenes:size")
    np.testing.assert_allclose(found.images, few.images.reshape(20, -1)[:, :12] / 255, rtol=1e-5)
    np.testing.assert_array_equal(found.captions, few.extras["caption"])
    assert found.prompts.shape == (2, 8, 12) and towers.towers_of("run")("digits") is None


def test_features_and_fine_tuning_look_through_a_network_once(loaded, tmp_path, monkeypatch):
    few, marked = scenes(split="test", side=8, count=40), []

    def started(name, **settings):
        return SimpleNamespace(table={"learned": {"head_top1": 0.5}})

    monkeypatch.setattr(protocols, "start", started)
    monkeypatch.setattr(subject, "mark_of_network", lambda one: marked.append(one) or mark_of_network(one))
    np.savez(tmp_path / "few.npz", images=few.images, labels=few.labels)
    names = ["knn", "fine_tune_mae", "fine_tune_beit"]
    where = dict(data=f"npz:{tmp_path}/few.npz", out=tmp_path / "out", cache=tmp_path / "kept", batch=40)
    assert len(evaluate(loaded, protocols=names, **where)) == 3 and len(marked) == 1
