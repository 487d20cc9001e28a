"""Records decoded into memory, and whether they would fit there."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from jssl.data.reading.canvas import central
from jssl.data.reading.decode import DamagedImage, decoders
from jssl.data.reading.records import Records, read, read_square
from jssl.data.source import IMAGE_SIZE, Source
from jssl.data.sources.arrays import from_arrays

log = logging.getLogger(__name__)
MEMORY = 4 * 2**30  # bytes of images that a device is asked to hold besides its work


def fits_in_memory(records: Records, *, canvas: int, limit: int = MEMORY) -> bool:
    """Tells whether all images of records, on canvases of a side, stay below a number of bytes.

    Examples:
        >>> fits_in_memory(range(1000), canvas=32)
        True
    """
    return len(records) * canvas * canvas * 3 <= limit


def decode_all(records: Records, *, canvas: int, name: str) -> Source:
    """Decodes all images of records, in parallel, each whole on a canvas of its own.

    Damaged ones are left out, named and counted in the log.

    Args:
        records: the data.
        canvas: the side of the canvases; larger images are made smaller, smaller ones lie in the top left
            corner.
        name: the source's.
    Returns:
        A `Source`, with "image_size" in its extras.
    Raises:
        ValueError: where not one image can be read.
    """
    images = np.zeros((len(records), canvas, canvas, 3), np.uint8)
    sizes = np.zeros((len(records), 2), np.int32)

    def fill(number):
        image, numbers = read(records, number, canvas=canvas, out=images[number])
        sizes[number] = image.shape[:2]
        return numbers["label"]

    labels, good = _all(records, fill, name)
    extras = {IMAGE_SIZE: sizes[good]}
    return from_arrays(
        _kept(images, good), labels[good], class_names=records.class_names, name=name, **extras
    )


def decode_squares(records: Records, *, side: int, name: str) -> Source:
    """Decodes the central squares of all images of records, in parallel, for evaluation.

    Damaged ones are left out, named and counted in the log.

    Args:
        records: the data.
        side: of the squares, in pixels.
        name: the source's.
    Returns:
        A `Source`.
    Raises:
        ValueError: where not one image can be read.
    """
    images = np.zeros((len(records), side, side, 3), np.uint8)

    def fill(number):
        images[number], numbers = read_square(records, number, side=side)
        return numbers["label"]

    labels, good = _all(records, fill, name)
    return from_arrays(_kept(images, good), labels[good], class_names=records.class_names, name=name)


def shaped_like(test: Source, train: Source) -> Source:
    """Gives test images the shape of the training images: their largest central part of that aspect, resized.

    Args:
        test: the test images, without sizes of their own.
        train: the training images.
    Returns:
        A `Source`.
    Raises:
        ValueError: where test images have colors and training images have not.
    """
    height, width, channels = train.images.shape[1:]
    if test.images.shape[-1] > channels:
        raise ValueError(f"{test.name}: test images have 3 channels, training images 1; make them alike")
    images = np.broadcast_to(test.images, (*test.images.shape[:3], channels))
    if images.shape[1:3] != (height, width):
        images = np.stack([central(np.ascontiguousarray(image), height, width) for image in images])
    return replace(test, images=images)


def _kept(images: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The good images; no copy is made where all are good."""
    return images if good.all() else images[good]


def _all(records: Records, fill: Callable[[int], Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels [N], and which records could be read [N]."""
    labels, good = np.full(len(records), -1, np.int64), np.ones(len(records), bool)

    def attempt(number):
        try:
            labels[number] = fill(number)
        except DamagedImage as reason:
            good[number] = False
            return str(reason)

    with ThreadPoolExecutor(decoders()) as pool:
        reasons = list(pool.map(attempt, range(len(records))))
    for number in np.flatnonzero(~good).tolist():
        log.warning("left out %s: %s", records.describe(number), reasons[number])
    if not good.any():
        raise ValueError(f"{name}: none of {len(records)} images can be read; the first: {reasons[0]}")
    return labels, good
