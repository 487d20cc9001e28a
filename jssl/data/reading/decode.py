"""Decodes a file's bytes to RGB pixels; a file that cannot be decoded raises `DamagedImage`."""

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from jssl.data.reading.canvas import central, placed, shrunk
from jssl.extras import extra

PIXEL_LIMIT = 100_000_000  # beyond it a picture is taken for a decompression bomb
BYTE_LIMIT = 2**29  # beyond it a file is not read: pictures below the limit of pixels are smaller

FORMATS = {  # Pillow's names of the formats that are opened, and the extensions of their files
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "AVIF": (".avif", ".avifs"),
}
EXTENSIONS = tuple(extension for extensions in FORMATS.values() for extension in extensions)

_ORIENTATION = 0x0112  # EXIF's tag
_LONG = 4  # EXIF's type of numbers of 32 bits; others have 16
_BITS, _PHOTOMETRIC = 258, 262  # TIFF's tags


class DamagedImage(ValueError):
    """An image that cannot be decoded; its text is the reason."""


def decoders() -> int:
    """Counts the images that can be decoded at once: one on each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_bytes(path: str) -> bytes:
    """Reads a file, if it is an ordinary one of a size that an image can have.

    Returns:
        Its bytes.
    Raises:
        DamagedImage: for a pipe, a device, a folder, or a file larger than `BYTE_LIMIT`.
        OSError: where it cannot be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)  # does not wait for somebody to write into a pipe
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise DamagedImage("it is not an ordinary file")
        if found.st_size > BYTE_LIMIT:
            raise DamagedImage(f"{found.st_size:,} bytes are more than the limit of {BYTE_LIMIT:,}")
        parts, left = [], found.st_size
        while left and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def decode(data: bytes, *, canvas: int | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """Decodes the whole of an image to RGB, made smaller where it does not fit on the canvas.

    The content decides what it is, whatever the file's name. EXIF orientation is applied, transparency
    becomes white, grey values of 16 bits are divided by 257 (of colors, Pillow gives the upper 8 of their 16
    bits, which is the same or one less), and floats have to lie in [0, 1]. JPEG goes through
    simplejpeg where installed, which scales by eighths while it decodes; a scaled image that is at least
    three quarters as large as the canvas is not resized further. Without a canvas the pixels are Pillow's.

    Args:
        data: the file's bytes.
        canvas: the largest side of the result; None: the image's own size.
        out: uint8 [canvas, canvas, 3]; the image is written to its top left corner.
    Returns:
        uint8 [h, w, 3]; with `out` that part of it.
    Raises:
        DamagedImage: with the reason.
    """
    image = _pixels(data, canvas or 0, max, out)
    if canvas is not None:
        image = shrunk(image, canvas)
    return image if out is None else placed(image, out)


def decode_square(data: bytes, side: int) -> np.ndarray:
    """Decodes the central square of an image, resized to a side. All else is as in `decode`.

    Returns:
        uint8 [side, side, 3].
    Raises:
        DamagedImage: with the reason.
    """
    return central(_pixels(data, side, min, None), side, side)


def shape_of(data: bytes) -> tuple[int, int]:
    """Reads how large an encoded image is, without decoding it.

    Returns:
        (height, width), with EXIF orientation applied.
    Raises:
        DamagedImage: with the reason.
    """
    if not data:
        raise DamagedImage("the file is empty")
    height, width, orientation = _jpeg_shape(data) or _any_shape(data)
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def _jpeg_shape(data):
    simplejpeg = _simplejpeg() if data[:2] == b"\xff\xd8" else None
    try:
        return simplejpeg and (*simplejpeg.decode_jpeg_header(data)[:2], _exif_orientation(data))
    except ValueError:
        return None


def _any_shape(data):
    with _reasons():
        image = _opened(data)
        turned = image.format == "TIFF"  # whose size Pillow has turned already
        return image.height, image.width, 1 if turned else image.getexif().get(_ORIENTATION, 1)


def is_pillow(image: Any) -> bool:
    """Tells whether an image is Pillow's: its mode says what its numbers mean, such as palette indices."""
    return hasattr(image, "getexif")


def as_rgb(image: Any) -> np.ndarray:
    """Checks an image that is an array already, and repeats the channel of a grey one.

    Args:
        image: uint8 [H, W] or [H, W, 1 or 3], or a Pillow image, which is treated as a file is in `decode`.
    Returns:
        uint8 [H, W, 3].
    Raises:
        DamagedImage: for another type or shape.
    """
    if is_pillow(image):
        with _reasons():
            return _converted(image)
    image = np.asarray(image)
    channels = image.shape[-1] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in (1, 3) or image.size == 0:
        raise DamagedImage(f"expected uint8 [H, W, 1 or 3], got {image.dtype} {image.shape}")
    return image if channels == 3 else np.repeat(image.reshape(*image.shape[:2], 1), 3, -1)


def _pixels(data, least, side_of, out):
    """RGB of at least `least` pixels along the larger (max) or smaller (min) side, where the image has as
    many.
    """
    if not data:
        raise DamagedImage("the file is empty")
    image = _jpeg(data, least, side_of, out) if data[:2] == b"\xff\xd8" else None
    return _any(data, least, side_of) if image is None else image


@cache
def _simplejpeg():
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _jpeg(data, least, side_of, out):
    """RGB by libjpeg-turbo, decoded no larger than needed, directly into `out` where it fits; None where
    Pillow has to decode.
    """
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return None
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        if colorspace not in ("YCbCr", "Gray", "RGB") or height * width > PIXEL_LIMIT:
            return None
        orientation = _exif_orientation(data)
        fast = dict.fromkeys(("fastdct", "fastupsample"), least > 0)  # a whole image is Pillow's to the bit
        fills = out is not None and out.shape[:2] == (height, width) and out.flags.c_contiguous
        if fills and orientation == 1:
            simplejpeg.decode_jpeg(data, "RGB", **fast, buffer=out)
            return out
        asked = side_of(height, width)
        if side_of is max and 6 * least <= 8 * least // asked * asked:
            # the scale below comes near enough without a resize
            least = -(-(8 * least // asked) * asked // 8)
        wanted = {name: least * (side == asked) for name, side in zip(_LEAST, (height, width), strict=True)}
        return _turned(simplejpeg.decode_jpeg(data, "RGB", **fast, **wanted), orientation)
    except ValueError as error:
        reason = str(error)
        if reason.startswith("Corrupt") and "extraneous" not in reason:
            raise DamagedImage(reason) from error  # Pillow would make a picture of what is left
        return None  # Pillow's message is clearer, or it skips extra bytes between two segments


_LEAST = ("min_height", "min_width")


def _exif_orientation(data):
    """The orientation in a JPEG's EXIF block, 1 where there is none."""
    start = 2
    while start + 4 <= len(data) and data[start] == 0xFF and data[start + 1] not in (0xDA, 0xD9):
        if data[start + 1] == 0xFF:  # padding before a segment
            start += 1
            continue
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if data[start + 1] == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0":
            return _tiff_orientation(data[start + 10 : end])
        start = end
    return 1


def _tiff_orientation(block):
    """The orientation in the first directory of a TIFF block, 1 where there is none."""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(block[:4])
    if order is None:
        return 1

    def number(place, size):
        return int.from_bytes(block[place : place + size], order)

    first = number(4, 4)
    for entry in range(first + 2, min(first + 2 + 12 * number(first, 2), len(block) - 9), 12):
        if number(entry, 2) == _ORIENTATION:
            return number(entry + 8, 4 if number(entry + 2, 2) == _LONG else 2)
    return 1


def _turned(image, orientation):
    """The image with EXIF's orientation, 1 to 8, applied."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(image[rows, columns])


@cache
def _formats():
    """Pillow's names of what this installation can read of `FORMATS`."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Turns whatever Pillow raises for a malformed file into a `DamagedImage`."""
    with extra():
        from PIL import Image

    try:
        yield
    except DamagedImage:
        raise
    except Image.DecompressionBombError as error:
        raise DamagedImage("more pixels than the limit") from error
    except Image.UnidentifiedImageError as error:
        raise DamagedImage("not an image of a known format") from error
    except Exception as error:
        raise DamagedImage(" ".join(str(error).split()) or type(error).__name__) from error


def _opened(data):
    from PIL import Image

    image = Image.open(io.BytesIO(data), formats=_formats())
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise DamagedImage(f"{width} x {height} pixels are more than the limit of {PIXEL_LIMIT}")
    if width * height == 0:
        raise DamagedImage(f"it has no pixels: {width} x {height}")
    return image


def _any(data, least, side_of):
    with _reasons():
        image = _opened(data)
        if least:  # JPEG alone: decoded at 1/2, 1/4 or 1/8 where that is enough
            scale = least / side_of(image.size)
            image.draft("RGB", tuple(max(1, round(side * scale)) for side in image.size))
        return _converted(image)


def _converted(image):
    """A Pillow image as RGB, turned as its EXIF block says."""
    from PIL import ImageOps

    image.load()
    return np.array(_rgb(ImageOps.exif_transpose(image), image))


def _rgb(image, file):
    """A Pillow image of any mode as RGB; how deep a value is follows from the mode and the file's tags, never
    from the values.
    """
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and file.format in ("PNG", "PPM")):
        values, tags = np.asarray(image).astype(np.float32), getattr(file, "tag_v2", {})
        white = 4095 if tags.get(_BITS) == (12,) else 65535  # Pillow gives 12 bits as they are
        shown = white - values if tags.get(_PHOTOMETRIC) == 0 else values  # 0 is white, which Pillow ignores
        grey = np.round(shown / (white / 255)).astype(np.uint8)
        if isinstance(clear := image.info.get("transparency"), int):
            grey[values == clear] = 255
        image = Image.fromarray(grey)
    elif image.mode == "F":
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise DamagedImage(f"floats have to lie in [0, 1], found {low:.3g} to {high:.3g}")
        image = Image.fromarray(np.round(values * 255).astype(np.uint8))
    elif image.mode.startswith("I"):
        raise DamagedImage(
            "integers with a sign or of 32 bits have no white that all agree on; save it with 8 or 16 bits"
        )
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")
