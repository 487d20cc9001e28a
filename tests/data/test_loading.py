"""The loader and what it reads: folders, bad images, order, resuming."""

import io
import logging
import os

import numpy as np
import pytest
from PIL import Image

from jssl import data
from jssl.data.reading.decode import DamagedImage, decode
from jssl.data.reading.loader import loader

PICTURE = (
    np.random.default_rng(0).integers(0, 256, (5, 6, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
)  # [40, 48, 3]


def encoded(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def bomb():
    """A small PNG that says it is 60,000 x 60,000."""
    import struct
    import zlib

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def animation(kind):
    frames = [Image.fromarray(np.full((40, 48, 3), shade, np.uint8)) for shade in (200, 10)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


DAMAGED = {
    "empty": b"",
    "text": b"this is no image",
    "html": b"<html><body>404</body></html>",
    "truncated_jpeg": encoded(PICTURE, "JPEG")[:400],
    "header_only_jpeg": encoded(PICTURE, "JPEG")[:20],
    "truncated_png": encoded(PICTURE)[:-300],
    "corrupt_png": encoded(PICTURE)[:60] + b"\0" * 40 + encoded(PICTURE)[100:],
    "bomb": bomb(),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_image_has_a_reason(name):
    with pytest.raises(DamagedImage) as raised:
        decode(DAMAGED[name], canvas=32)
    assert str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_broken_inside_is_damaged_and_bytes_too_many_are_not(progressive):
    pytest.importorskip("simplejpeg")  # Pillow alone reads over breaks inside the data
    whole = encoded(PICTURE, "JPEG", progressive=progressive)
    middle = len(whole) // 2
    noise = np.random.default_rng(2).bytes(60)
    for broken in (whole[:middle] + noise + whole[middle + 60 :], whole[:middle], whole[:-2]):
        with pytest.raises(DamagedImage):
            decode(broken, canvas=16)
    for harmless in (whole[:-2] + b"\1\2\3" + whole[-2:], whole + b"trailing"):
        assert np.abs(decode(harmless, canvas=16).astype(int) - decode(whole, canvas=16)).mean() < 8


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "PPM"])
def test_whole_images_of_every_kind(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode(encoded(PICTURE, kind, **options)), PICTURE)


def test_unusual_images_are_converted_not_blackened():
    def close(image, expected, tolerance):
        assert np.abs(decode(image).astype(float) - expected).mean() < tolerance

    jpeg = Image.open(io.BytesIO(encoded(PICTURE, "JPEG", quality=95)))
    close(encoded(PICTURE, "JPEG", quality=95), np.asarray(jpeg), 8)  # simplejpeg spreads color less finely
    close(encoded(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95), PICTURE, 8)
    close(encoded(Image.fromarray(PICTURE).convert("P", palette=Image.Palette.ADAPTIVE)), PICTURE, 3)
    grey = np.asarray(Image.fromarray(PICTURE).convert("L"))
    close(encoded(grey), grey[..., None].repeat(3, -1), 0.01)
    close(encoded(grey, "JPEG", quality=95), grey[..., None].repeat(3, -1), 3)
    close(encoded(grey.astype(np.uint16) * 257), grey[..., None].repeat(3, -1), 1)  # 16 bits
    clear = Image.fromarray(np.dstack([PICTURE * 0, np.zeros((40, 48), np.uint8)]))
    close(encoded(clear), 255, 0.01)  # transparent is white
    close(encoded(Image.fromarray(PICTURE).convert("1")), 128, 128)
    for kind in ("GIF", "WEBP", "PNG"):
        close(animation(kind), 200, 4)  # the first frame


def test_the_canvas_is_the_central_square():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    assert (decode(encoded(wide), canvas=20) == 200).all()
    assert decode(encoded(PICTURE, "JPEG"), canvas=16).shape == (16, 16, 3)
    assert decode(encoded(PICTURE), canvas=64).shape == (64, 64, 3)
    assert decode(encoded(PICTURE[:1, :1]), canvas=8).shape == (8, 8, 3)


def test_a_jpeg_scaled_while_it_is_decoded_keeps_its_centre():
    ramp = np.linspace(0, 255, 500)[None, :, None] * np.ones((375, 1, 3))
    for canvas in (
        16,
        100,
        180,
        224,
    ):  # to the canvas by a resize, or, where little is over, by cutting borders
        image = decode(encoded(ramp.astype(np.uint8), "JPEG", quality=95), canvas=canvas)
        exact = np.linspace(*(255 * (0.5 + end * 0.375) for end in (-1, 1)), canvas)
        assert image.shape == (canvas, canvas, 3)
        assert np.abs(image[..., 0] - exact).max() < 255 * 0.75 / 16 + 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("side", [40, 32])
def test_the_result_is_written_where_it_is_wanted(kind, side):
    data, rows = encoded(PICTURE[:40, :40], kind), np.zeros((2, side, 2 * side, 3), np.uint8)
    wanted = decode(data, canvas=side)
    for out in (rows[0].reshape(2, side, side, 3)[0], rows[1][:, side:]):  # in one piece, and with gaps
        assert decode(data, canvas=side, out=out) is out
        np.testing.assert_array_equal(out, wanted)
    assert not rows[1][:, :side].any()


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
    assert batches.position == 84 and batches.waited > 0 and not batches.damaged


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
    with pytest.raises(
        RuntimeError, match="100 images in a row cannot be read.*not an image of a known format"
    ):
        next(loader(data.folder(str(tmp_path)), batch=1, canvas=8))
    with pytest.raises(ValueError, match="none of 3 images can be read"):
        data.load(f"folder:{tmp_path}")


def test_any_random_access_source():
    pairs = [(np.full((4, 4), i, np.uint8), i % 3) for i in range(9)]
    batch = next(loader(data.Items(pairs), batch=9, canvas=4))
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 2], batch["index"])
    np.testing.assert_array_equal(batch["label"], batch["index"] % 3)
    source = data.from_arrays(np.zeros((9, 4, 4, 3), np.uint8), np.arange(9), depth=np.arange(9.0))
    batch = next(loader(data.in_memory(source), batch=3, canvas=4))
    np.testing.assert_array_equal(batch["depth"], batch["index"])


def test_fits_in_memory():
    assert data.fits_in_memory(range(50000), canvas=32)
    assert not data.fits_in_memory(range(1281167), canvas=256)
