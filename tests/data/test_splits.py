"""Splits by name, classes by name, what is held out, and what a run then trains and tests on."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import jssl
from jssl import data
from jssl.data.source import NoSplit
from jssl.data.sources import tfds
from jssl.data.splits import by_name, held_out, why_not_probed
from jssl.run.data.gather import gather
from jssl.run.evaluation.subject import Subject
from tests.run import tiny

COLORS = {"ant": 40, "bee": 90, "cat": 140, "dog": 190}


def write(root, names, count=6, side=(8, 8), suffix="png"):
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.full((*side, 3), COLORS[name] + i, np.uint8)).save(
                root / name / f"{i}.{suffix}"
            )


def gathered(root, **settings):
    return gather(f"folder:{root}", **settings)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("TRAIN", "val"),
        ("train", "valid"),
        ("train", "Validation"),
        ("Train", "VALID"),
        ("training", "TEST"),
    ],
)
def test_split_folders_of_every_name(tmp_path, train, test):
    write(tmp_path / train, COLORS)
    write(tmp_path / test, list(COLORS)[1:], count=2)
    found = gathered(tmp_path)
    assert len(found) == 24 and not found.held_out
    assert found.test.class_names == tuple(COLORS)
    shade = found.test.images[:, 0, 0, 0] // 50
    np.testing.assert_array_equal(
        found.test.labels, shade
    )  # the classes' own numbers, though the first is missing
    assert any("no test images of 1 classes: ant" in note for note in found.notes)


def test_of_several_test_folders_the_first_with_labels_is_taken(tmp_path):
    write(tmp_path / "train", COLORS)
    write(tmp_path / "val", COLORS, count=2)
    (tmp_path / "test").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "test" / "unlabelled.png")
    assert len(gathered(tmp_path).test) == 8


def test_images_beside_the_splits_are_not_read_and_are_counted(tmp_path, caplog):
    write(tmp_path / "train", COLORS)
    write(tmp_path / "test", COLORS, count=2)
    write(tmp_path / "unlabelled", ["ant"], count=3)
    write(tmp_path / "val", ["bee"], count=1)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "cover.png")
    found = gathered(tmp_path)
    assert len(found) == 24 and len(found.test) == 8 and found.source.class_names == tuple(COLORS)
    (line,) = caplog.messages
    assert "passed over 5 images in no folder of these splits" in line


def test_folders_train_and_test_are_splits_whatever_lies_beside_them(tmp_path):
    for name in ("train", "test", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name / "0.png")
    files = data.folder(str(tmp_path))
    assert files.paths == ["0.png"] and files.root.endswith("train") and files.class_names == ()


def test_test_images_of_unknown_classes_are_left_out_and_said(tmp_path):
    write(tmp_path / "train", list(COLORS)[:3])
    write(tmp_path / "test", COLORS, count=2)
    found = gathered(tmp_path)
    assert len(found.test) == 6 and found.test.classes == 3
    assert any(
        "2 test images are left out, of classes that training has not: dog" in note for note in found.notes
    )


def test_without_a_test_split_a_stratified_tenth_is_held_out(tmp_path):
    write(tmp_path / "train", COLORS, count=20)
    with pytest.raises(NoSplit, match="no test split beside train"):
        data.load(f"folder:{tmp_path}", split="test")
    for root in (tmp_path, tmp_path / "train"):  # train alone, and no split at all
        found = gathered(root)
        assert len(found) == 72 and len(found.test) == 8
        assert (
            np.bincount(found.test.labels).tolist() == [2] * 4
            and np.bincount(found.source.labels).tolist() == [18] * 4
        )
        both = np.concatenate([found.source.images, found.test.images])[:, 0, 0, 0]
        assert len(set(both.tolist())) == 80  # every image once, on one side
        assert "8 of 80 training images, a stratified tenth, are held out" in found.held_out
        assert any(found.held_out in note for note in found.notes)
        again = gathered(root)
        np.testing.assert_array_equal(found.test.images, again.test.images)


def test_a_class_called_train_is_a_class(tmp_path):
    for name in ("bus", "train"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name / "0.png")
    assert data.folder(str(tmp_path)).class_names == ("bus", "train")


def test_one_canvas_for_both_splits(tmp_path):
    write(tmp_path / "train", COLORS, side=(12, 16))
    write(tmp_path / "test", COLORS, count=2, side=(40, 30), suffix="jpg")
    found = gathered(tmp_path)
    assert (
        found.train.images.shape == (24, 16, 16, 3) and (found.train.extras["image_size"] == (12, 16)).all()
    )
    assert found.source.images.shape == (24, 12, 12, 3) and found.test.images.shape == (8, 12, 12, 3)
    assert any("12 x 16 pixels in the middle: kept on canvases of 16" in note for note in found.notes)
    train = data.from_arrays(np.zeros((20, 8, 8, 3), np.uint8), np.arange(20) % 2)
    test = data.from_arrays(np.full((9, 14, 20), 7, np.uint8), np.arange(9) % 2)
    shaped = gather((train, test)).test
    assert shaped.images.shape == (9, 8, 8, 3) and (shaped.images == 7).all()


@pytest.mark.parametrize(
    ("train", "test", "why"),
    [
        ([-1] * 20, None, "there are no labels"),
        ([0, 1, 0, 1], [0, 1, 0, 1], "4 labelled training and 4 labelled test images"),
        ([0] * 20, [0] * 20, "the training images are of one class"),
        (list(range(20)), None, "no test split, and with a tenth held out there are no labelled test images"),
        ([0, 1] * 10, [-1] * 20, "no labelled test images of the training classes"),
    ],
)
def test_labels_that_cannot_be_probed_give_no_probe_and_one_line_why(train, test, why):
    sources = [
        None if one is None else data.from_arrays(np.zeros((len(one), 8, 8, 3), np.uint8), one)
        for one in (train, test)
    ]
    found = gather(tuple(sources))
    assert found.test is None and len(found) == len(train)  # nothing is held out in vain
    (note,) = found.notes
    assert "no probes" in note and why in note and "\n" not in note


def test_arrays_without_a_test_split_are_split_too(tmp_path):
    np.savez(
        tmp_path / "set.npz",
        images=np.arange(40, dtype=np.uint8)[:, None, None, None].repeat(3, -1),
        labels=np.arange(40) % 2,
    )
    with pytest.raises(NoSplit, match="the test split needs test_images or x_test"):
        data.load(f"npz:{tmp_path}/set.npz", split="test")
    found = gather(f"npz:{tmp_path}/set.npz")
    assert len(found) == 36 and len(found.test) == 4 and found.train is found.source


def test_streamed_data_is_split_alike(tmp_path, monkeypatch):
    write(tmp_path, COLORS, count=20)
    here = gathered(tmp_path)
    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", lambda records, *, canvas: False)
    there = gathered(tmp_path)
    assert len(there) == 72 and len(there.records) == 72
    np.testing.assert_array_equal(here.test.images, there.test.images)
    np.testing.assert_array_equal(here.source.images, there.source.images)
    assert set(there.train.arrays) == {"image", "label", "image_size"}


def test_all_test_images_are_looked_at_where_they_fit_in_memory(tmp_path, monkeypatch):
    for split in ("train", "test"):
        write(tmp_path / split, COLORS, count=20)
    monkeypatch.setattr("jssl.run.data.gather.SAMPLE", 40)
    assert len(gathered(tmp_path).test) == 80
    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", lambda records, *, canvas: False)
    found = gathered(tmp_path)
    assert len(found.test) == 40 and len(found) == 80
    assert found.notes[-2].endswith("probes look at 40 of 80 test images")


@pytest.mark.parametrize("fits", [True, False])
def test_test_images_that_are_training_images_are_counted_and_said(fits, tmp_path, monkeypatch):
    monkeypatch.setattr("jssl.run.data.gather.fits_in_memory", lambda records, *, canvas: fits)
    write(tmp_path / "train", COLORS, count=9)
    write(tmp_path / "test", COLORS, count=3)
    for name in ("ant", "bee"):
        Image.fromarray(np.full((8, 8, 3), 250, np.uint8)).save(tmp_path / "test" / name / "other.png")
    (note,) = (note for note in gathered(tmp_path).notes if "training images too" in note)
    assert ("12 of 14 test images are" in note) and ("at least" in note) == (not fits)
    assert not any("training images too" in note for note in gathered(tmp_path / "train").notes)


def test_classes_are_chosen_by_labels_that_have_to_be_read(tmp_path, monkeypatch):
    write(tmp_path, COLORS, count=20)
    plain = lambda name, **where: data.Items(list(data.open_records(name)), name, tuple(COLORS))  # noqa: E731
    monkeypatch.setattr("jssl.run.data.gather.open_records", plain)
    found = gathered(tmp_path, per_class=3)
    np.testing.assert_array_equal(np.bincount(found.train.labels), [3, 3, 3, 3])


def test_a_test_split_without_labels_is_not_tested_on(monkeypatch):
    class Prepared(list):
        dataset_info = SimpleNamespace(
            features={"image": None, "label": SimpleNamespace(names=("ant", "bee"))},
            splits=("train", "validation", "test"),
        )

        def __getitems__(self, rows):
            return [self[row] for row in rows]

    splits = {"train": 0, "validation": 1, "test": -1}
    opened = lambda name, split, **how: Prepared([{"image": b"", "label": splits[split]}])  # noqa: E731
    monkeypatch.setattr(tfds, "open_prepared", opened)
    decoding = SimpleNamespace(decode=SimpleNamespace(SkipDecoding=lambda: None))
    monkeypatch.setattr(tfds, "_library", lambda: decoding)
    found = [tfds.prepared_records("imagenet2012", split=split)[0]["label"] for split in ("train", "test")]
    assert found == [0, 1]


@pytest.mark.parametrize("labels", ["beside the records", "to be read"])
def test_an_evaluation_tests_on_what_the_run_held_out(labels, tmp_path, monkeypatch):
    write(tmp_path, COLORS, count=20)
    (tmp_path / "ant" / "3.png").write_bytes(b"damaged")

    def opened(name, split="train", **where):
        files = data.open_records(name, split=split)
        return files if labels == "beside the records" else data.Items(files, name, files.class_names)

    monkeypatch.setattr("jssl.run.data.gather.open_records", opened)
    monkeypatch.setattr("jssl.run.evaluation.subject.open_records", opened)
    run, (train, test) = gathered(tmp_path), Subject("", None, f"folder:{tmp_path}", say=str).records
    for here, there in ((run.source, train), (run.test, test)):
        seen = data.decode_squares(there, side=8, name="seen")
        np.testing.assert_array_equal(here.images, seen.images)
        np.testing.assert_array_equal(here.labels, seen.labels)


def test_held_out_images_are_a_tenth_of_every_class():
    labels = np.repeat([0, 1, 2, 3, -1], [50, 10, 2, 1, 30])
    chosen = held_out(labels)
    assert np.bincount(labels[chosen], minlength=4).tolist() == [5, 1, 1, 0]
    np.testing.assert_array_equal(chosen, held_out(labels))
    assert (chosen != held_out(labels, seed=1)).any()


def test_classes_go_by_name():
    images = np.zeros((4, 2, 2, 3), np.uint8)
    test = data.from_arrays(images, [0, 1, 1, -1], class_names=("b", "a"))
    matched, said = by_name(test, ("a", "b"))
    assert matched.labels.tolist() == [1, 0, 0, -1] and not said and matched.class_names == ("a", "b")
    assert why_not_probed(np.zeros(0, int), np.zeros(0, int)) == "there are no labels"


def test_a_run_says_what_was_held_out_in_its_metrics_and_report(tmp_path):
    write(tmp_path / "images", COLORS, count=20)
    jssl.run(tiny.Tiny, data=f"folder:{tmp_path}/images", out=str(tmp_path / "out"), steps=1)
    first = json.loads((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["held_out_images"] == 8 and "raw_pixels_knn_top1" in first
    assert (
        "8 of 80 training images, a stratified tenth, are held out"
        in (tmp_path / "out" / "report.html").read_text()
    )
