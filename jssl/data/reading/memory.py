"""Records decoded into memory, and whether they would fit there."""

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jssl.data.reading.decode import DamagedImage, decoders
from jssl.data.reading.records import Records, read
from jssl.data.source import Source, from_arrays

log = logging.getLogger(__name__)
MEMORY = 4 * 2**30  # bytes of images that a device is asked to hold besides its work


def fits_in_memory(records: Records, *, canvas: int, limit: int = MEMORY) -> bool:
    """Whether all images of records, on a canvas, stay below a number of bytes.

    >>> fits_in_memory(range(1000), canvas=32)
    True
    """
    return len(records) * canvas * canvas * 3 <= limit


def decode_all(records: Records, *, canvas: int, name: str) -> Source:
    """All images of records, decoded in parallel. Damaged ones are left out, named and counted in the log.

    Returns: a `Source`.

    Raises: ValueError where not one image can be read.
    """
    images = np.empty((len(records), canvas, canvas, 3), np.uint8)
    labels = np.full(len(records), -1, np.int32)

    def fill(number):
        try:
            _, rest = read(records, number, canvas=canvas, out=images[number])
        except DamagedImage as reason:
            return str(reason)
        labels[number] = rest["label"]
        return None

    with ThreadPoolExecutor(decoders()) as pool:
        reasons = list(pool.map(fill, range(len(records))))
    damaged = {number: reason for number, reason in enumerate(reasons) if reason is not None}
    for number, reason in damaged.items():
        log.warning("left out %s: %s", records.describe(number), reason)
    if len(damaged) == len(records):
        raise ValueError(f"{name}: none of {len(records)} images can be read; the first: {reasons[0]}")
    good = np.array([reason is None for reason in reasons])
    return from_arrays(images[good], labels[good], class_names=records.class_names, name=name)
