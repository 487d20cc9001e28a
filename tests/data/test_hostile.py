"""Data of every bad kind: either it is read for what it is, or one line says why not; never a traceback of
another kind.
"""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jssl.run.data.gather import gather
from tests.data.files import chunk, encoded, png_that_says

SHADES = np.full((8, 8, 3), 100, np.uint8)
PNG, JPEG = encoded(SHADES), encoded(SHADES, "JPEG")


def png_of_16_bits(value):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    rows = (b"\0" + struct.pack(">H", value) * 24) * 8
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


FILES = {  # what lies beside a good image, and what is said of it, or the shade that it is read with
    "empty": (b"", "the file is empty"),
    "one byte": (b"\xff", "not an image of a known format"),
    "text": (b"no image", "not an image of a known format"),
    "html": (b"<html>404</html>", "not an image of a known format"),
    "zeros": (bytes(5000), "not an image of a known format"),
    "a JPEG's first bytes": (JPEG[:3], ""),
    "a JPEG's header": (JPEG[:20], ""),
    "half a JPEG": (JPEG[: len(JPEG) // 2], ""),
    "a PNG's header": (PNG[:20], ""),
    "a PNG without its end": (PNG[:-16], 100),
    "a PNG with a wrong checksum": (PNG[:40] + b"\0\0\0\0" + PNG[44:], ""),
    "a bomb": (png_that_says(60_000, 60_000), "limit"),
    "a bomb in one line": (png_that_says(2**31 - 1, 1), "limit"),
    "a PNG without pixels": (png_that_says(0, 0), ""),
    "PostScript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "not an image",
    ),
    "PDF": (b"%PDF-1.4\n1 0 obj\n", "not an image of a known format"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image of a known format"),
    "a Photoshop file": (b"8BPS\0\1" + bytes(100), "not an image of a known format"),
    "an icon": (encoded(SHADES, "ICO"), "not an image of a known format"),
    "floats too large": (encoded(np.full((8, 8), 7.0, np.float32), "TIFF"), "floats have to lie in"),
    "not a number": (encoded(np.full((8, 8), np.nan, np.float32), "TIFF"), "floats have to lie in"),
    "integers of 32 bits": (encoded(np.full((8, 8), 9, np.int32), "TIFF"), "32 bits"),
    "floats": (encoded(np.full((8, 8), 100 / 255, np.float32), "TIFF"), 100),
    "16 bits": (encoded(np.full((8, 8), 25700, np.uint16)), 100),
    "16 bits, big-endian": (encoded(np.full((8, 8), 25700, ">u2"), "TIFF"), 100),
    "a grey JPEG": (encoded(SHADES[..., 0], "JPEG"), 100),
    "CMYK": (encoded(Image.fromarray(SHADES).convert("CMYK"), "JPEG"), 100),
    "a palette with a clear entry": (
        encoded(Image.fromarray(SHADES).convert("P"), transparency=bytes(256)),
        255,
    ),
    "colors of 16 bits": (png_of_16_bits(25700), 100),
    "a grey image with a clear shade": (encoded(SHADES[..., 0], transparency=100), 255),
    "bits": (encoded(Image.fromarray(SHADES[..., 0] > 50)), 255),
    "a palette": (encoded(Image.fromarray(SHADES).convert("P")), 100),
    "a transparent image": (encoded(np.zeros((8, 8, 4), np.uint8)), 255),
    "grey with alpha": (encoded(np.stack([SHADES[..., 0], SHADES[..., 0] * 0 + 255], -1)), 100),
    "bytes after the end": (JPEG + b"more", 100),
    "broken EXIF": (encoded(SHADES, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), 100),
    "an orientation of 99": (
        encoded(SHADES, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x63\0\0"),
        100,
    ),
    "another format than its name": (encoded(SHADES, "GIF"), 100),
}


def opened(data):
    return gather(data)


@pytest.mark.parametrize("name", FILES)
def test_a_bad_image_is_named_and_left_out_and_a_strange_one_is_read(name, tmp_path, caplog):
    content, expected = FILES[name]
    (tmp_path / "bad.png").write_bytes(content)
    (tmp_path / "good.png").write_bytes(PNG)
    found = opened(f"folder:{tmp_path}")
    if isinstance(expected, int):
        assert len(found) == 2 and not caplog.messages
        shade = found.train.images[0, :8, :8].astype(int)
        assert np.abs(shade - expected).max() < 4
    else:
        assert len(found) == 1
        (line,) = caplog.messages
        assert "bad.png" in line and expected in line and "\n" not in line


def saved(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


IMAGES = np.zeros((64, 8, 8, 3), np.uint8)
WHOLE = saved(images=IMAGES)
NPZ = {
    "missing": (None, "there is no such file"),
    "empty": (b"", "not an npz file"),
    "text": (b"images", "not an npz file"),
    "cut": (WHOLE[: len(WHOLE) // 2], "not an npz file"),
    "damaged inside": (WHOLE[:300] + b"\1\2\3\4" * 20 + WHOLE[380:], "images cannot be read: it is damaged"),
    "an npy": (b"\x93NUMPY\1\0" + bytes(100), "not an npz file"),
    "wrong names": (saved(pictures=IMAGES), "needs images or x_train, the file has pictures"),
    "nothing inside": (saved(), "the file has nothing"),
    "objects": (saved(images=np.array([{}, []], object)), "it holds Python objects"),
    "object labels": (saved(images=IMAGES, labels=np.array([None] * 64, object)), "labels cannot be read"),
    "a number": (saved(images=np.uint8(3)), r"must be \[N, H, W, C\]"),
    "no images": (saved(images=IMAGES[:0]), "there are no images"),
    "no pixels": (saved(images=IMAGES[:, :0]), "there are no images"),
    "channels first": (saved(images=IMAGES.transpose(0, 3, 1, 2)), "1 or 3 channels, last"),
    "strings": (saved(images=np.array(["a", "b"])), r"must be \[N, H, W, C\]"),
    "16 bits": (saved(images=IMAGES.astype(np.uint16)), "must be uint8"),
    "complex": (saved(images=IMAGES.astype(np.complex64)), "must be uint8"),
    "floats to 255": (saved(images=IMAGES + 255.0), r"must lie in \[0, 1\]"),
    "not a number": (saved(images=IMAGES + np.nan), r"must lie in \[0, 1\]"),
    "too few labels": (saved(images=IMAGES, labels=np.arange(3)), "labels must be 64 integers"),
    "a label": (saved(images=IMAGES, labels=np.int32(3)), "labels must be 64 integers"),
    "float labels": (saved(images=IMAGES, labels=np.zeros(64)), "labels must be 64 integers"),
    "negative labels": (saved(images=IMAGES, labels=np.full(64, -9)), "from 0 up"),
    "boolean labels": (saved(images=IMAGES, labels=np.arange(64) % 2 == 0), "labels must be 64 integers"),
    "words as labels": (saved(images=IMAGES, labels=np.array(["a", "b"] * 32)), "labels must be 64 integers"),
    "one-hot labels": (saved(images=IMAGES, labels=np.eye(64, dtype=int)), "labels must be 64 integers"),
    "objects as names": (
        saved(images=IMAGES, labels=np.zeros(64, int), class_names=np.array(["a", None], object)),
        "class_names cannot be read: it holds Python objects",
    ),
    "test images of 16 bits": (saved(images=IMAGES, test_images=IMAGES.astype(np.uint16)), "must be uint8"),
    "a number as test images": (saved(images=IMAGES, test_images=np.uint8(3)), r"must be \[N, H, W, C\]"),
    "names too few": (saved(images=IMAGES, labels=np.arange(64), class_names=["a"]), "has no name"),
}


@pytest.mark.parametrize("name", NPZ)
def test_a_bad_npz_file_costs_one_line(name, tmp_path):
    content, expected = NPZ[name]
    if content is not None:
        (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=expected) as raised:
        opened(f"npz:{tmp_path}/data.npz")
    assert "\n" not in str(raised.value) and "data.npz" in str(raised.value)


def a_fifo(root):
    os.mkfifo(root / "pipe.png")


def a_device(root):
    (root / "null.png").symlink_to("/dev/null")


def a_loop(root):
    (root / "loop").symlink_to(root)


def only_hidden(root):
    (root / ".hidden.png").write_bytes(PNG)


def both_kinds(root):
    (root / "cat").mkdir()
    (root / "cat" / "1.png").write_bytes(PNG)
    (root / "2.png").write_bytes(PNG)


def a_test_split_alone(root):
    (root / "test" / "cat").mkdir(parents=True)
    (root / "test" / "cat" / "1.png").write_bytes(PNG)


def two_training_splits(root):
    for name in ("train", "Train"):
        (root / name / "cat").mkdir(parents=True)
        (root / name / "cat" / "1.png").write_bytes(PNG)


FOLDERS = {
    a_fifo: "there are no images",
    a_device: "there are no images",
    a_loop: "there are no images",
    only_hidden: "there are no images",
    both_kinds: "1 images lie beside the class folders cat",
    a_test_split_alone: "a folder test but none called train",
    two_training_splits: "keep one training split",
}
LISTS = {
    b"": "the list is empty",
    b"\n\n \r\n": "the list is empty",
    b"a.png\tcat\nb.png\n": "the lines differ",
    b"a.png\tcat\nb.png\t\n": "1 of 2 lines have no label",
    b"a\tb\tc\n": "the lines differ",
    b"\xff\xfe\0\1": "none of|the list is empty",
    b"../../no/such.png\n": "No such file",
}


@pytest.mark.parametrize("make", FOLDERS, ids=lambda make: make.__name__)
def test_a_bad_folder_costs_one_line(make, tmp_path):
    make(tmp_path)
    with pytest.raises(ValueError, match=FOLDERS[make]) as raised:
        opened(f"folder:{tmp_path}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", LISTS, ids=repr)
def test_a_bad_list_costs_one_line(content, tmp_path):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ValueError, match=LISTS[content]) as raised:
        opened(f"folder:{tmp_path}/list.txt")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["folder:/no/such", "folder:/dev/null", "folder:", "npz:", "npz:/", "", "tfds:"]
)
def test_a_bad_name_costs_one_line(name):
    with pytest.raises((ValueError, FileNotFoundError)) as raised:
        opened(name)
    assert "\n" not in str(raised.value)
