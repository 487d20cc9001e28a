"""Files of features of every bad kind cost one line, and no command writes over what is not its own."""

import numpy as np
import pytest

from jssl.data import from_arrays
from jssl.models import encoder
from jssl.run.curate import curate
from jssl.run.data.npz import check_place, held, holds, shape_in
from jssl.run.evaluation import embed as embedding
from jssl.run.evaluation.features import read_columns
from jssl.run.evaluation.protocols import evaluate
from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess

FEATURES, LABELS = np.eye(6, dtype=np.float32), np.arange(6) % 2
NAMES = np.array(list("abcdef"))
WRONG = {
    "a number": (dict(features=np.float32(3)), "expected floats"),
    "words": (dict(features=np.array([["a"]] * 6)), "expected floats"),
    "complex": (dict(features=FEATURES + 1j), "expected floats"),
    "objects": (dict(features=np.array([[None]] * 6)), "cannot be read"),
    "beyond float32": (dict(features=-1e39 * np.eye(6)), "reach 1e.39, and float32 holds up to 3.4e.38"),
    "too few names": (dict(features=FEATURES, names=NAMES[:3]), "3 names of 6 images"),
    "a class too few": (dict(features=FEATURES, labels=np.arange(6), class_names=np.array("a")), "no name"),
    "labels below -1": (dict(features=FEATURES, labels=LABELS - 7), "from 0 up"),
    "labels of floats": (dict(features=FEATURES, labels=LABELS + 0.5), "integers"),
    "labels of words": (dict(features=FEATURES, labels=NAMES), "integers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arrays_cost_one_line(name, tmp_path):
    arrays, words = WRONG[name]
    np.savez(tmp_path / "f.npz", **arrays)
    for read in (read_columns, lambda path: curate(path, tmp_path / "out.npz")):
        with pytest.raises(ValueError, match=words):
            read(tmp_path / "f.npz")
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "an npy"])
def test_what_is_no_npz_costs_one_line(kind, tmp_path):
    np.savez(tmp_path / "whole.npz", features=FEATURES)
    whole = (tmp_path / "whole.npz").read_bytes()
    content = {"empty": b"", "text": b"hello", "cut": whole[:99], "an npy": b"\x93NUMPY\1\0" + bytes(99)}
    (tmp_path / "f.npz").write_bytes(content[kind])
    with pytest.raises(ValueError, match="cannot be read as features: it is not an npz file"):
        read_columns(tmp_path / "f.npz")


def test_test_rows_that_are_training_rows_are_counted_and_said(tmp_path):
    rng, labels = np.random.default_rng(0), np.arange(60) % 3
    train, test = (np.eye(4)[labels] + 0.1 * rng.normal(size=(60, 4)) for _ in range(2))
    for name, features in dict(train=train, test=test, mixed=[*train[:7], *test[7:]]).items():
        np.savez(tmp_path / f"{name}.npz", features=features, labels=labels)

    def notes(test):
        where = dict(test=str(tmp_path / f"{test}.npz"), out=tmp_path / "out")
        (found,) = evaluate(tmp_path / "train.npz", protocols=["knn"], **where)
        return found["notes"]

    (note,) = notes("mixed")
    assert note.startswith("7 of 60 test images have the very features of training images")
    assert notes("test") == []
    with pytest.raises(ValueError, match="train.npz is the file of the training features itself"):
        notes("train")


def test_large_arrays_are_not_read_to_learn_what_there_is(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    features = np.ones((3, 4, 5), np.float32)
    np.savez(tmp_path / "parts" / "0.npz", features=features, labels=np.arange(3), names=NAMES[:3])
    embedding._join(tmp_path / "parts", tmp_path / "f.npz", {"about": np.array("{}")})

    def never(archive, name):
        raise AssertionError(f"{name} was read")

    monkeypatch.setattr("numpy.lib.npyio.NpzFile.__getitem__", never)
    assert shape_in(tmp_path / "f.npz", "features") == (3, 4, 5)
    assert holds(tmp_path / "f.npz", "features", "about", what="features")
    check_place(tmp_path / "f.npz", "features", "about")
    with pytest.raises(ValueError, match="holds something else"):
        check_place(tmp_path / "f.npz", "rows", "about")


def test_labels_that_are_ids_are_numbered_anew(tmp_path):
    np.savez(tmp_path / "f.npz", features=FEATURES, labels=LABELS.astype(np.int64) * 10**10)
    assert read_columns(tmp_path / "f.npz").labels.tolist() == LABELS.tolist()


def test_curation_of_what_makes_no_sense(tmp_path):
    np.savez(tmp_path / "nan.npz", features=FEATURES * np.nan, names=NAMES)
    np.savez(tmp_path / "pool.npz", features=FEATURES, names=NAMES, about=np.array("{}"))
    with pytest.raises(ValueError, match="not finite"):
        curate(tmp_path / "nan.npz", tmp_path / "out.npz")
    with pytest.raises(ValueError, match="--copies is a cosine"):
        curate(tmp_path / "pool.npz", tmp_path / "out.npz", copies=float("nan"))
    with pytest.raises(ValueError, match="holds something else"):
        curate(tmp_path / "pool.npz", tmp_path / "pool.npz")
    assert "features" in held(tmp_path / "pool.npz", ("features",), what="features")


@pytest.fixture
def small():
    module, pixels = encoder("vit_n4"), Preprocess(8, 8, "bicubic", (0.0,) * 3, (1.0,) * 3)
    import jax

    variables = jax.jit(module.init)(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
    return Loaded(module, variables, {}, pixels)


def test_an_interrupted_file_goes_on_with_the_same_images_alone(small, tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    write = embedding._write_part

    def interrupted(*given):
        write(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(embedding, "_write_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embedding.embed(small, from_arrays(images), tmp_path / "f.npz", batch=1)
    monkeypatch.setattr(embedding, "_write_part", write)
    for name in ("f.npz", "fresh.npz"):
        embedding.embed(small, from_arrays(255 - images), tmp_path / name, batch=1)
    mixed, fresh = (np.load(tmp_path / name)["features"] for name in ("f.npz", "fresh.npz"))
    np.testing.assert_array_equal(mixed, fresh)


def test_nothing_of_others_is_written_over(small, tmp_path):
    images = from_arrays(np.zeros((4, 8, 8, 3), np.uint8))
    np.savez(tmp_path / "data.npz", images=images.images)
    (tmp_path / "f.npz.partial").mkdir()
    (tmp_path / "f.npz.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something else"):
        embedding.embed(small, images, tmp_path / "data.npz")
    with pytest.raises(ValueError, match="not what jssl embed leaves"):
        embedding.embed(small, images, tmp_path / "f.npz")
    assert (tmp_path / "f.npz.partial" / "thesis.txt").exists()
