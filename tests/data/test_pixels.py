"""Pixels mean what the file says: damage, orientation, depth, transparency, aspect."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from jssl.data.reading.decode import EXTENSIONS, DamagedImage, decode, decode_square, shape_of
from tests.data.files import DAMAGED, PICTURE, encoded


def animation(kind):
    frames = [Image.fromarray(np.full((40, 48, 3), shade, np.uint8)) for shade in (200, 10)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


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
