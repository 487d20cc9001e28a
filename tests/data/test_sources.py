"""Sources, the order of samples, and small data on the device."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import data
from jssl.data.reading.resident import resident

PREPARED = Path(__file__).parents[3] / "shared" / "data" / "tfds"


def nearest_neighbours(train, test, k=20, temperature=0.07):
    """Weighted kNN on raw pixels: the share of test images whose class it finds."""
    features = [source.images.reshape(len(source), -1).astype(np.float32) for source in (train, test)]
    features = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in features]
    similarity = features[1] @ features[0].T
    nearest = np.argpartition(-similarity, k, 1)[:, :k]
    weight = np.exp(np.take_along_axis(similarity, nearest, 1) / temperature)
    votes = (weight[..., None] * np.eye(train.classes)[train.labels[nearest]]).sum(1)
    return (votes.argmax(1) == test.labels).mean()


def test_digits():
    train, test = data.load("digits"), data.load("digits", split="test")
    assert train.images.shape == (11496, 32, 32, 3) and test.images.shape == (1440, 32, 32, 3)
    assert train.images.dtype == np.uint8 and train.classes == 10 and train.class_names == tuple("0123456789")
    assert np.bincount(test.labels).min() > 100
    again = data.load("digits")
    np.testing.assert_array_equal(train.images, again.images)
    assert 0.10 < nearest_neighbours(train, test) < 0.17  # raw pixels know next to nothing
    # One digit's copies are different pictures.
    assert (
        np.abs(train.images[0].astype(int) - train.images[1437]).mean() > 5
        and train.labels[0] == train.labels[1437]
    )


@pytest.mark.skipif(not PREPARED.is_dir(), reason="no prepared TFDS data set beside the repository")
def test_tfds():
    test = data.load("tfds:cifar10", data_dir=str(PREPARED), split="test")
    assert test.images.shape == (10000, 32, 32, 3) and test.class_names[3] == "cat"
    assert (np.bincount(test.labels) == 1000).all()
    with pytest.raises(ValueError, match="tfds:no_such_set is not in .*it holds cifar10"):
        data.load("tfds:no_such_set", data_dir=str(PREPARED))


def test_arrays_and_npz(tmp_path):
    images = np.random.default_rng(0).uniform(0, 1, (5, 8, 9, 3))
    source = data.from_arrays(images, np.arange(5), depth=np.ones((5, 8, 9)))
    np.testing.assert_array_equal(source.images, np.round(images * 255))
    assert (
        source.class_names == tuple("01234")
        and len(source) == 5
        and source.extras["depth"].shape == (5, 8, 9)
    )
    assert data.from_arrays(np.zeros((2, 4, 4), np.uint8)).images.shape == (2, 4, 4, 1)
    np.savez(
        tmp_path / "set.npz", x_train=source.images, y_train=np.arange(5)[:, None], x_test=source.images[:2]
    )
    read = data.load(f"npz:{tmp_path}/set.npz")
    np.testing.assert_array_equal(read.images, source.images)
    np.testing.assert_array_equal(read.labels, np.arange(5))
    unlabelled = data.load(f"npz:{tmp_path}/set.npz", split="test")
    assert len(unlabelled) == 2 and (unlabelled.labels == -1).all()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("digitz", ValueError, "unknown data 'digitz': expected one of digits, scenes, tfds:<name>"),
        ("digits:color", ValueError, "digits have one labelling, got 'digits:color'"),
        ("tfds:", ValueError, "unknown data 'tfds:'"),
        ("npz:/no/such/file.npz", FileNotFoundError, "there is no such file"),
        ("folder:/no/such/folder", FileNotFoundError, "there is no such folder"),
    ],
)
def test_unknown_data_is_one_clear_line(name, error, message):
    with pytest.raises(error, match=message) as raised:
        data.load(name)
    assert "\n" not in str(raised.value)


def test_a_missing_data_dir_is_named():
    with pytest.raises(FileNotFoundError, match="data_dir '/no/such' is not a directory"):
        data.load("tfds:cifar10", data_dir="/no/such")
    with pytest.raises(FileNotFoundError, match="not a directory; .*; a bucket has to be mounted"):
        data.load("tfds:cifar10", data_dir="gs://bucket/tfds")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 4), np.uint8),), r"must be \[N, H, W, C\]"),
        ((np.zeros((0, 4, 4, 3), np.uint8),), "there are no images"),
        ((np.zeros((2, 3, 4, 4), np.uint8),), "1 or 3 channels, last"),
        ((np.full((2, 4, 4, 3), 255.0),), r"must lie in \[0, 1\]"),
        ((np.full((2, 4, 4, 3), np.nan),), r"must lie in \[0, 1\]"),
        ((np.zeros((2, 4, 4, 3), np.int64),), "must be uint8"),
        ((np.zeros((2, 4, 4, 3), np.uint8), np.arange(3)), "labels must be 2 integers"),
        ((np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2)), "labels must be 2 integers"),
        ((np.zeros((2, 4, 4, 3), np.uint8), [0, -7]), "labels must be -1, for none, or from 0 up, got -7"),
    ],
)
def test_wrong_arrays_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays(*arguments)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 4097])
def test_the_order_is_a_permutation_and_the_same_in_numpy_and_jax(n):
    order = data.shuffled(3, 5, np.arange(n), n=n)
    assert sorted(order.tolist()) == list(range(n))
    np.testing.assert_array_equal(order, data.shuffled(3, 5, jnp.arange(n), n=n))
    np.testing.assert_array_equal(order, jax.jit(lambda s, e: data.shuffled(s, e, jnp.arange(n), n=n))(3, 5))
    if n > 60:
        assert (order != data.shuffled(4, 5, np.arange(n), n=n)).mean() > 0.9
        assert (order != data.shuffled(3, 6, np.arange(n), n=n)).mean() > 0.9


def test_the_order_is_uniform():
    orders = np.stack([data.shuffled(0, epoch, np.arange(20), n=20) for epoch in range(2000)])
    counts = np.stack([np.bincount(orders[:, place], minlength=20) for place in range(20)])
    chi = ((counts - 100) ** 2 / 100).sum()
    assert 250 < chi < 480  # 361 degrees of freedom
    assert (
        abs((np.diff(orders, axis=1) == 1).mean() - 1 / 20) < 0.006
    )  # neighbours stay neighbours by chance only


def test_batches_tile_epochs_and_are_functions_of_the_step():
    draw = jax.jit(lambda step: data.batch_indices(7, step, n=103, batch=10))
    batches = np.stack([draw(step) for step in range(20)])
    for epoch in range(2):
        seen = batches[10 * epoch : 10 * epoch + 10].reshape(-1)
        assert len(set(seen.tolist())) == 100
        np.testing.assert_array_equal(seen, data.epoch_permutation(7, epoch, 103)[:100])
    assert (batches[:10] != batches[10:]).any()
    with pytest.raises(ValueError, match="batch of 104 is larger than the data, which has 103"):
        data.batch_indices(0, 0, n=103, batch=104)


def test_resident_data_and_its_batches():
    images = np.arange(4 * 12, dtype=np.uint8).reshape(4, 2, 2, 3)
    source = data.from_arrays(images, np.arange(4), extra=np.arange(4) * 10)
    held = resident(source)
    batch = jax.jit(data.take)(held, jnp.array([2, 0]))
    np.testing.assert_array_equal(batch["image"], source.images[[2, 0]])
    assert batch["extra"].tolist() == [20, 0] and batch["index"].tolist() == [2, 0]
    assert batch["image"].dtype == jnp.uint8


def test_the_typical_shape_is_that_of_images_that_can_be_read(tmp_path):
    from PIL import Image

    for number in range(3):
        Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "0.png").write_bytes(b"")
    assert data.image_shape(data.open_records(f"folder:{tmp_path}")) == (8, 12)
    for number in range(1, 3):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(ValueError, match="none of 3 images looked at can be read.*0.png: the file is empty"):
        data.image_shape(data.open_records(f"folder:{tmp_path}"))


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int32", "uint64"])
def test_labels_of_every_integer_type_keep_their_classes(kind):
    classes = 128 if kind == "int8" else 256
    labels = np.arange(classes).astype(kind)
    source = data.from_arrays(np.zeros((classes, 2, 2, 3), np.uint8), labels)
    assert source.classes == classes and source.labels.dtype == np.int32
    np.testing.assert_array_equal(source.labels, np.arange(classes))


def test_ids_are_numbered_anew():
    ids = np.array([7, 1_600_000_000, -1, 2**62])
    source = data.from_arrays(np.zeros((4, 2, 2, 3), np.uint8), ids)
    assert source.class_names == ("7", "1600000000", str(2**62)) and source.labels.tolist() == [0, 1, -1, 2]
    assert data.from_arrays(np.zeros((2, 2, 2, 3), np.uint8), [3, 9]).labels.tolist() == [3, 9]
