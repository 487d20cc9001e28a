"""The loader and what it reads: folders, bad images, order, resuming."""

import logging
import os
import tracemalloc

import numpy as np
import pytest

from jssl import data
from jssl.data.reading.loader import loader
from jssl.data.reading.sizes import sides
from tests.data.files import DAMAGED, PICTURE, encoded


@pytest.fixture
def pictures(tmp_path):
    """Forty images in two classes, each of one shade that tells its number."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    for i in range(40):
        shade = np.full((10, 10, 3), 5 * i, np.uint8)
        (tmp_path / ("cat" if i < 20 else "dog") / f"{i:02d}.png").write_bytes(encoded(shade))
    return tmp_path


def test_folders(pictures):
    files = data.folder(str(pictures))
    assert files.class_names == ("cat", "dog") and files.labels.tolist() == [0] * 20 + [1] * 20
    heap = data.folder(str(pictures / "cat"))
    assert len(heap) == 20 and heap.class_names == () and (heap.labels == -1).all()
    (pictures / "list.txt").write_text("cat/03.png\tb\ndog/25.png\ta\n")
    listed = data.folder(str(pictures / "list.txt"))
    assert listed.class_names == ("a", "b") and listed.labels.tolist() == [1, 0]
    source = data.load(f"folder:{pictures}", canvas=8)
    assert source.images.shape == (40, 8, 8, 3) and source.images[:, 0, 0, 0].tolist() == list(
        range(0, 200, 5)
    )


def test_wrong_folders_are_named(tmp_path, pictures):
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="there are no images in it"):
        data.folder(str(tmp_path / "none"))
    (pictures / "stray.png").write_bytes(encoded(PICTURE))
    with pytest.raises(ValueError, match="1 images lie beside the class folders cat, dog"):
        data.folder(str(pictures))
    (tmp_path / "list.txt").write_text("a.png\t1\nb.png\n")
    with pytest.raises(ValueError, match="the lines differ"):
        data.folder(str(tmp_path / "list.txt"))
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(ValueError, match="the list is empty"):
        data.folder(str(tmp_path / "list.txt"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_named(pictures):
    (pictures / "dog").chmod(0)
    with pytest.raises(PermissionError, match="may not be read"):
        data.folder(str(pictures))
    (pictures / "dog").chmod(0o700)


def shades(batch):
    return batch["image"][:, 0, 0, 0] // 5


def test_batches_follow_the_order_of_small_data(pictures):
    batches = loader(data.folder(str(pictures)), batch=12, canvas=10, seed=4)
    for step in range(7):
        batch = next(batches)
        np.testing.assert_array_equal(batch["index"], data.batch_indices(4, step, n=40, batch=12))
        np.testing.assert_array_equal(shades(batch), batch["index"])
        np.testing.assert_array_equal(batch["label"], batch["index"] >= 20)
        assert batch["image"].shape == (12, 10, 10, 3) and batch["image"].dtype == np.uint8
        assert (batch["image_size"] == 10).all()
    assert batches.position == 84 and not batches.damaged


def test_resuming_and_other_numbers_of_processes(pictures):
    files = data.folder(str(pictures))

    def stream(position, processes, steps):
        parts = [
            loader(files, batch=12, canvas=10, seed=4, position=position, process=i, processes=processes)
            for i in range(processes)
        ]
        return [np.concatenate([next(part)["index"] for part in parts]) for _ in range(steps)]

    whole = stream(0, 1, 6)
    np.testing.assert_array_equal(whole[3:], stream(36, 1, 3))
    np.testing.assert_array_equal(whole[3:], stream(36, 2, 3))
    np.testing.assert_array_equal(whole[3:], stream(36, 4, 3))
    for settings, message in [
        (dict(batch=41), "batch of 41 is larger"),
        (dict(batch=12, processes=5), "cannot be shared by 5"),
        (dict(batch=12, position=7), "not a multiple of the batch"),
    ]:
        with pytest.raises(ValueError, match=message):
            loader(files, canvas=10, **settings)


def test_worker_processes_give_the_same_batches(pictures):
    files = data.folder(str(pictures))
    here, there = (loader(files, batch=10, canvas=10, threads=1, workers=workers) for workers in (0, 1))
    for _ in range(2):
        np.testing.assert_array_equal(next(here)["image"], next(there)["image"])


def test_damaged_images_are_replaced_counted_and_named_once(pictures, caplog):
    (pictures / "cat" / "07.png").write_bytes(DAMAGED["truncated_png"])
    (pictures / "dog" / "30.png").write_bytes(b"")
    files = data.folder(str(pictures))
    (pictures / "dog" / "33.png").unlink()  # the folder changes after it was listed
    batches = loader(files, batch=20, canvas=10)
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            batch = next(batches)
            np.testing.assert_array_equal(shades(batch), batch["index"])
            np.testing.assert_array_equal(batch["label"], batch["index"] >= 20)
            assert not set(batch["index"]) & {7, 30, 33}
    assert {os.path.basename(name) for name in batches.damaged} == {"07.png", "30.png", "33.png"}
    assert batches.damaged[str(pictures / "dog" / "30.png")] == "the file is empty"
    assert "No such file" in batches.damaged[str(pictures / "dog" / "33.png")]
    assert len(caplog.records) == 3 and "(3 damaged so far)" in caplog.text
    kept = data.load(f"folder:{pictures}", canvas=10)
    assert len(kept) == 37  # 33.png is gone when the folder is listed anew


def test_names_do_not_matter_and_new_files_wait(pictures):
    for kind, name in [("JPEG", "00.png"), ("GIF", "01.png"), ("WEBP", "02.png")]:
        (pictures / "cat" / name).write_bytes(encoded(np.full((10, 10, 3), 200, np.uint8), kind))
    files = data.folder(str(pictures))
    (pictures / "cat" / "new.png").write_bytes(encoded(PICTURE))
    (pictures / "dog" / "21.png").write_bytes(b"changed")
    batches = loader(files, batch=40, canvas=10)
    batch = next(batches)
    misnamed = batch["image"][np.isin(batch["index"], (0, 1, 2))]
    assert len(misnamed) == 3 and np.abs(misnamed.astype(int) - 200).max() < 4
    assert len(files) == 40 and [os.path.basename(name) for name in batches.damaged] == ["21.png"]


def test_nothing_but_damage_ends_with_a_reason(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"x")
    with pytest.raises(OSError, match="100 images in a row cannot be read.*not an image of a known format"):
        next(loader(data.folder(str(tmp_path)), batch=1, canvas=8))
    with pytest.raises(ValueError, match="none of 3 images"):
        data.load(f"folder:{tmp_path}")


def test_any_random_access_source():
    pairs = [(np.full((4, 4), i, np.uint8), i % 3) for i in range(9)]
    batch = next(loader(data.Items(pairs), batch=9, canvas=4))
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 2], batch["index"])
    np.testing.assert_array_equal(batch["label"], batch["index"] % 3)
    source = data.from_arrays(np.zeros((9, 4, 4, 3), np.uint8), np.arange(9), depth=np.arange(9.0))
    batch = next(loader(data.in_memory(source), batch=3, canvas=4))
    np.testing.assert_array_equal(batch["depth"], batch["index"])


def test_a_sample_goes_by_its_number_whatever_index_it_has():
    images = np.zeros((8, 4, 4, 3), np.uint8)
    source = [{"image": image, "label": 1, "index": 100 + i} for i, image in enumerate(images)]
    stream = loader(data.Items(source, "own"), batch=4, canvas=4)
    assert sorted([*next(stream)["index"], *next(stream)["index"]]) == list(range(8))
    assert not stream.damaged


def test_images_of_several_sizes_share_a_canvas(tmp_path):
    shapes = [(10, 20), (30, 15), (12, 12), (80, 40)]
    for i, shape in enumerate(shapes):
        (tmp_path / f"{i}.png").write_bytes(encoded(np.full((*shape, 3), 50 * (i + 1), np.uint8)))
    kept = [(10, 20), (30, 15), (12, 12), (40, 20)]  # the last is made smaller
    batch = next(loader(data.folder(str(tmp_path)), batch=4, canvas=40))
    source = data.decode_all(data.folder(str(tmp_path)), canvas=40, name="shapes")
    for images, sizes, index in (
        (batch["image"], batch["image_size"], batch["index"]),
        (source.images, source.extras["image_size"], range(4)),
    ):
        for image, size, number in zip(images, sizes, index, strict=True):
            assert tuple(size) == kept[number]
            inside = image[: size[0], : size[1]]
            assert (inside == 50 * (number + 1)).all() and image.sum() == inside.sum()


def test_one_odd_image_decides_nothing(tmp_path):
    for i in range(40):
        side = {0: 8, 39: 3000}.get(i, 96)
        (tmp_path / f"{i:02d}.png").write_bytes(encoded(np.zeros((side, side * 3 // 4, 3), np.uint8)))
    chosen = sides(data.folder(str(tmp_path)))
    assert chosen.canvas == 96 and chosen.square == 72 and chosen.shape == (96, 72) and chosen.seen == 32
    assert sides(data.folder(str(tmp_path)), canvas=48).canvas == 48


def test_images_are_in_memory_once():
    records = data.Items([{"image": np.zeros((4, 4, 3), np.uint8)}] * 40)
    tracemalloc.start()
    source = data.decode_all(records, canvas=512, name="forty")
    assert tracemalloc.get_traced_memory()[1] < 1.5 * source.images.nbytes
    tracemalloc.stop()


def test_fits_in_memory():
    assert data.fits_in_memory(range(50000), canvas=32)
    assert not data.fits_in_memory(range(1281167), canvas=256)
