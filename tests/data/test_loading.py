"""The loader and what it reads: folders, bad images, order, resuming."""

import io
import logging
import os
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageOps

from jssl import data
from jssl.data.reading.decode import EXTENSIONS, DamagedImage, decode, decode_square, shape_of
from jssl.data.reading.loader import loader
from jssl.data.reading.sizes import sides
from tests.data.files import encoded, png_that_says

PICTURE = (
    np.random.default_rng(0).integers(0, 256, (5, 6, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
)  # [40, 48, 3]


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
    "bomb": png_that_says(60_000, 60_000),
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


def test_a_square_is_the_centre_of_the_whole_image():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    assert (decode_square(encoded(wide), 20) == 200).all()
    assert decode_square(encoded(PICTURE, "JPEG"), 16).shape == (16, 16, 3)
    assert decode_square(encoded(PICTURE), 64).shape == (64, 64, 3)
    assert decode_square(encoded(PICTURE[:1, :1]), 8).shape == (8, 8, 3)


RAMP = np.linspace(0, 255, 500)[None, :, None] * np.ones((375, 1, 3))  # tells where in the image a pixel was


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_whole_image_keeps_its_aspect_and_its_borders(kind):
    data_ = encoded(RAMP.round().astype(np.uint8), kind, **({"quality": 95} if kind == "JPEG" else {}))
    for canvas, longest in ((512, 500), (500, 500), (470, 438), (224, 188), (100, 100), (60, 60)):
        longest = (
            min(canvas, 500) if kind == "PNG" else longest
        )  # JPEG: by eighths, where that is near enough
        image = decode(data_, canvas=canvas)
        assert image.shape[1:] == (longest, 3) and abs(image.shape[0] - longest * 3 / 4) < 1
        exact = (np.arange(longest) + 0.5) / longest * 255
        assert np.abs(image[..., 0] - exact).max() < 6  # the whole width, from border to border


def test_a_jpeg_scaled_while_it_is_decoded_keeps_its_centre():
    jpeg = encoded(RAMP.round().astype(np.uint8), "JPEG", quality=95)
    for side in (16, 100, 180, 224):
        image = decode_square(jpeg, side)
        exact = 255 * (0.5 + 0.75 * ((np.arange(side) + 0.5) / side - 0.5))
        assert image.shape == (side, side, 3) and np.abs(image[..., 0] - exact).max() < 6


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_without_a_canvas_is_pillows_to_the_bit(subsampling):
    file = encoded(PICTURE, "JPEG", quality=90, subsampling=subsampling)
    np.testing.assert_array_equal(decode(file), Image.open(io.BytesIO(file)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("shape", [(40, 40), (32, 40), (60, 30)])
def test_the_result_is_written_where_it_is_wanted(kind, shape):
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    file, rows = encoded(picture, kind), np.zeros((2, 40, 80, 3), np.uint8)
    wanted = decode(file, canvas=40)
    for out in (rows[0].reshape(2, 40, 40, 3)[0], rows[1][:, 40:]):  # in one piece, and with gaps
        written = decode(file, canvas=40, out=out)
        np.testing.assert_array_equal(written, wanted)
        np.testing.assert_array_equal(out[: wanted.shape[0], : wanted.shape[1]], wanted)
        assert not out[wanted.shape[0] :].any() and not out[:, wanted.shape[1] :].any()
    assert not rows[1][:, :40].any()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(PICTURE, kind, exif=exif, **({"quality": 95} if kind in ("JPEG", "WEBP") else {}))
    plain = Image.fromarray(PICTURE)
    plain.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(plain)).astype(float)
    for image in (decode(file), decode(file, canvas=48, out=np.zeros((48, 48, 3), np.uint8))):
        assert image.shape == shown.shape and np.abs(image - shown).mean() < 8
    assert shape_of(file) == shown.shape[:2]


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("kind", [3, 4])
def test_orientation_in_a_jpeg_is_found_in_every_form(order, kind):
    number = lambda value, size: value.to_bytes(size, order)  # noqa: E731
    value = number(6, 2) + bytes(2) if kind == 3 else number(6, 4)
    entry = number(0x0112, 2) + number(kind, 2) + number(1, 4) + value
    block = {"big": b"MM\0*", "little": b"II*\0"}[order] + number(8, 4) + number(1, 2) + entry + bytes(4)
    file = encoded(PICTURE, "JPEG", exif=b"Exif\0\0" + block)
    filled = file[:2] + b"\xff\xfe\0\4ab\xff" + file[2:]  # a comment and a byte of filling before it
    for one in (file, filled):
        assert decode(one).shape == (48, 40, 3) and shape_of(one) == (48, 40)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_divided_by_257_whatever_they_hold(kind):
    for value in (0, 250, 260, 4000, 65535):
        image = decode(encoded(np.full((4, 4), value, np.uint16), kind))
        assert (image == round(value / 257)).all(), value


@pytest.mark.parametrize(
    "tag, was, value, shown",
    [(262, 1, 0, [15, 127, 0, 255]), (258, 16, 12, [255, 0, 128, 255])],  # white is zero; 12 bits
)
def test_tiff_says_what_is_white(tag, was, value, shown):
    file = io.BytesIO()
    Image.fromarray(np.array([[0xF0FF, 0x8000, 0xFF0F, 0]], np.uint16)).save(file, "TIFF")
    entry = struct.pack("<HHIHH", tag, 3, 1, was, 0)
    assert file.getvalue().count(entry) == 1
    changed = file.getvalue().replace(entry, struct.pack("<HHIHH", tag, 3, 1, value, 0))
    np.testing.assert_allclose(decode(changed)[0, :, 0], shown, atol=1)


def test_floats_lie_in_0_to_1_or_are_refused():
    half = decode(encoded(np.full((4, 4), 0.5, np.float32), "TIFF"))
    assert (half == 128).all()
    for value in (-0.5, 2.0, 200.0, np.nan, np.inf):
        with pytest.raises(DamagedImage, match=r"floats have to lie in \[0, 1\]"):
            decode(encoded(np.full((4, 4), value, np.float32), "TIFF"))
    with pytest.raises(DamagedImage, match="32 bits"):
        decode(encoded(np.full((4, 4), 70000, np.int32), "TIFF"))


def test_depth_comes_before_transparency():
    deep = np.full((4, 4), 32896, np.uint16)
    deep[0] = 1000
    image = decode(encoded(Image.fromarray(deep), "PNG", transparency=1000))
    assert (image[1:] == 128).all() and (image[0] == 255).all()


def test_only_known_formats_are_opened(monkeypatch):
    from PIL import EpsImagePlugin

    def refuse(*_, **__):
        raise AssertionError("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", refuse)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n10 10 moveto\nshowpage\n"
    with pytest.raises(DamagedImage, match="not an image of a known format"):
        decode(script)
    assert {".jfif", ".jp2", ".avif", ".jpg", ".webp"} <= set(EXTENSIONS)


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
