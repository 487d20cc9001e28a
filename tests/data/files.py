"""Files of images, and of what says that it is one."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, kind, **options)
    return stream.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_that_says(width, height):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


PICTURE = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)

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
