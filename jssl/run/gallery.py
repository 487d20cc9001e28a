"""Draws the views of images: each row has an image as it is, then its views.

jssl gallery dino --data photos --out views.png
jssl gallery simclr --data scenes --images 4 --seed 1 --out views.png
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jssl.data.catalog import FORMS, open_records
from jssl.data.reading.memory import decode_all
from jssl.data.reading.records import Some
from jssl.data.reading.sizes import sides
from jssl.data.views import NAMED, statistics
from jssl.evaluate import figures
from jssl.run.settings.base import LARGEST_VIEW


def write_gallery(
    make: Callable[..., Callable],
    out: str,
    *,
    data: str = "digits",
    data_dir: str | None = None,
    size: int | None = None,
    images: int = 8,
    seed: int = 0,
) -> int:
    """Writes a picture of the views of some images of a data set.

    Args:
        make: (size=) -> views, such as `jssl.data.views.simclr`.
        out: The file to write: SVG where its name ends so, else PNG.
        data: A name that `jssl.data.load` knows.
        data_dir: Where TFDS has its data sets.
        size: Of the views; None: the images', 224 at most.
        images: How many, chosen at random.
        seed: Of the choice and of the views.
    Returns:
        How many images are shown.
    Raises:
        ValueError: or FileNotFoundError, where the data cannot be loaded.
    """
    if images < 1 or (size is not None and size < 1) or seed < 0:
        raise ValueError(
            f"--images and --size must be at least 1 and --seed 0, got {images}, {size} and {seed}"
        )
    if not Path(out).absolute().parent.is_dir() or Path(out).is_dir():
        raise ValueError(f"--out {out} is no place for a file; give a name in a folder that exists")
    records = open_records(data, data_dir=data_dir)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(records))[:images])
    found = sides(records)
    source = decode_all(Some(records, chosen), canvas=found.canvas, name=data)
    made = make(size=size or min(LARGEST_VIEW, found.square))
    drawn = figures.view_gallery(made, source.arrays, seed=seed, normalized=statistics(make.__name__))
    Path(out).write_bytes((figures.svg if Path(out).suffix == ".svg" else figures.png)(drawn))
    return len(chosen)


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and writes the picture.

    Args:
        arguments: By default those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="jssl gallery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("views", choices=NAMED)
    parser.add_argument("--data", default="digits", help=f"one of {', '.join(FORMS)}")
    parser.add_argument("--data-dir", help="where TFDS has its data sets")
    parser.add_argument("--size", type=int, help="of the views; by default the images', 224 at most")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, help="the file to write, such as views.png or views.svg")
    options = vars(parser.parse_args(arguments))
    name, out = options.pop("views"), options.pop("out")
    try:
        count = write_gallery(NAMED[name], out, **options)
    except (ValueError, OSError, ImportError) as error:
        parser.error(" ".join(str(error).split()))
    print(f"{name} on {count} images of {options['data']}: {out}")
