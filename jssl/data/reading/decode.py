"""From a file's bytes to a square uint8 canvas, or a plain reason why not; never a black image in silence."""

import io
import os
from functools import cache

import numpy as np

PIXEL_LIMIT = 100_000_000  # beyond it a picture is taken for a decompression bomb


def decoders() -> int:
    """How many images can be decoded at once: one on each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class DamagedImage(ValueError):
    """An image that cannot be decoded; its text is the reason."""


def decode(data: bytes, *, canvas: int | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """An encoded image as RGB: the central square, resized to the canvas.

    Read by content, whatever the file's name: JPEG, PNG, WebP, GIF (first frame) and what else Pillow reads; CMYK,
    palettes, grey and 16 bits are converted, transparency becomes white. JPEG goes through simplejpeg where installed,
    which scales while it decodes; where that alone comes within an eighth of the canvas, the rest is cut off the borders.

    canvas: the side of the result; None: the image's own size. out: where to write the result, such as a batch's row.

    Returns: uint8 [canvas, canvas, 3], or [H, W, 3].

    Raises: DamagedImage with the reason.
    """
    if not data:
        raise DamagedImage("the file is empty")
    image = _jpeg(data, canvas, out) if data[:2] == b"\xff\xd8" else None
    return fit(_any(data, canvas) if image is None else image, canvas, out)


def fit(image, canvas: int | None, out: np.ndarray | None = None) -> np.ndarray:
    """The central square of an array or Pillow image, resized to the canvas (bilinear, antialiased).

    out: where to write the result.

    Returns: uint8 [canvas, canvas, 3]; without a canvas the image as an array.
    """
    height, width = image.shape[:2] if isinstance(image, np.ndarray) else image.size[::-1]
    if canvas is not None and not height == width == canvas:
        image = _resized(image, canvas, height, width)
    if out is None:
        return np.asarray(image)
    if image is not out:
        out[...] = image
    return out


def _resized(image, canvas, height, width):
    from PIL import Image

    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((canvas, canvas), Image.Resampling.BILINEAR, box, reducing_gap=2.0)


@cache
def _simplejpeg():
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _jpeg(data, canvas, out):
    """RGB by libjpeg-turbo, decoded no larger than needed, straight to where it fits; None where Pillow has to look."""
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return None
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        if colorspace not in ("YCbCr", "Gray", "RGB") or height * width > PIXEL_LIMIT:
            return None
        least = canvas or 0
        fast = dict(fastdct=True, fastupsample=True)
        if height == width == canvas and out is not None and out.flags.c_contiguous:
            simplejpeg.decode_jpeg(data, "RGB", **fast, buffer=out)
            return out
        image = simplejpeg.decode_jpeg(data, "RGB", **fast, min_height=least, min_width=least)
    except ValueError as error:
        reason = str(error)
        if (
            reason.startswith("Corrupt") and "extraneous" not in reason
        ):  # Pillow would make a picture of what is left
            raise DamagedImage(reason) from error
        return None  # Pillow has the clearer words, or reads over bytes too many between two segments
    return image if len(image) == height else _cut(image, canvas)


def _cut(image, canvas):
    """The centre of an image little larger than the canvas; to resize it would take as long as to decode it."""
    height, width = image.shape[:2]
    if min(height, width) * 8 > canvas * 9:
        return image
    top, left = (height - canvas) // 2, (width - canvas) // 2
    return image[top : top + canvas, left : left + canvas]


def _any(data, canvas):
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data))
        width, height = image.size
        if width * height > PIXEL_LIMIT:
            raise DamagedImage(f"{width} x {height} pixels are more than the limit of {PIXEL_LIMIT}")
        if canvas:
            image.draft("RGB", (canvas, canvas))  # JPEG: decoded at 1/2, 1/4 or 1/8 where that is enough
        image.load()
        return _rgb(image)
    except DamagedImage:
        raise
    except Image.DecompressionBombError as error:
        raise DamagedImage("more pixels than the limit") from error
    except Image.UnidentifiedImageError as error:
        raise DamagedImage("not an image of a known format") from error
    except Exception as error:  # Pillow's readers raise whatever a malformed file leads them to
        raise DamagedImage(str(error) or type(error).__name__) from error


def _rgb(image):
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if (
        image.mode.startswith("I") or image.mode == "F"
    ):  # 16 bits or more: Pillow's own conversion clips at 255
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0:
            raise DamagedImage(f"values of mode {image.mode} are not numbers from 0 up")
        top = 65535 if values.max() > 255 else 255
        values = np.clip(values * (255 / max(top, values.max())), 0, 255)
        image = Image.fromarray(np.round(values).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")
