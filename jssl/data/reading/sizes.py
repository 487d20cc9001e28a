"""How large the images of a data set are kept, chosen from a sample of their sizes."""

from typing import NamedTuple

import numpy as np

from jssl.data.reading.decode import DamagedImage, as_rgb, shape_of
from jssl.data.reading.records import Records, fetch
from jssl.data.source import IMAGE_SIZE
from jssl.data.splits import evenly

CANVAS = 512  # the largest side of the canvas that images are placed on
SAMPLE = 32  # images, spread over the data, whose sizes are looked at


class Sides(NamedTuple):
    """How large the images of a data set are kept, chosen from a sample of their sizes.

    Args:
        canvas: the side of the canvas that whole images are placed on: nine of ten images of the sample fit.
        square: the side of the central squares that are evaluated.
        shape: (height, width) of the image in the middle of the sample.
        alike: whether all of the sample fill the canvas, squares of one size.
        seen: how many images the sample has.
    """

    canvas: int
    square: int
    shape: tuple[int, int]
    alike: bool
    seen: int

    def __str__(self) -> str:
        return (
            f"{self.seen} images looked at, {self.shape[0]} x {self.shape[1]} pixels in the middle: "
            f"kept on canvases of {self.canvas}, evaluated as squares of {self.square}"
        )


def sides(records: Records, *, canvas: int = CANVAS, sample: int = SAMPLE) -> Sides:
    """Chooses how large images are kept, by a sample spread over the data, so that no odd image decides.

    Args:
        records: the data.
        canvas: the largest side of a canvas; squares are no larger than half of it, or all of it below 128.
        sample: how many images are looked at.
    Returns:
        `Sides`.
    Raises:
        ValueError: where none of the sample can be read, or the canvas is smaller than one pixel.
    """
    if canvas < 1:
        raise ValueError(f"--canvas must be at least 1, got {canvas}")
    shapes = _shapes(records, sample)
    long, short = shapes.max(1), shapes.min(1)
    middle = np.argsort(short, kind="stable")[len(short) // 2]
    side = int(min(canvas, np.quantile(long, 0.9, method="higher")))
    half = canvas if canvas < 128 else canvas // 2
    return Sides(
        canvas=side,
        square=int(min(half, short[middle])),
        shape=(int(shapes[middle, 0]), int(shapes[middle, 1])),
        alike=bool((shapes == side).all()),
        seen=len(shapes),
    )


def image_shape(records: Records, *, sample: int = SAMPLE) -> tuple[int, int]:
    """Finds the typical height and width: those of the image with the median shorter side in a sample.

    Returns:
        (height, width) in pixels.
    Raises:
        ValueError: where none of the sample can be read.
    """
    return sides(records, sample=sample).shape


def _shapes(records, sample):
    """[n, 2] heights and widths of the images of the sample that can be read."""
    shapes, reasons = [], {}
    for number in np.unique(evenly(len(records), sample)).tolist():
        try:
            record = fetch(records, number)
            image = record["image"]
            if isinstance(image, bytes):
                shapes.append(shape_of(image))
            else:
                shapes.append(tuple(record.get(IMAGE_SIZE, as_rgb(image).shape[:2])))
        except DamagedImage as reason:
            reasons[number] = reason
    if not shapes:
        number, reason = next(iter(reasons.items()))
        raise ValueError(
            f"none of {len(reasons)} images looked at can be read; {records.describe(number)}: {reason}"
        )
    return np.array(shapes)
