"""What views do to images, as a picture:  python -m jssl.data.gallery simclr --data digits --out views.png

Each row is an image: first as it is, then its views. `--data-dir` is where TFDS has its data sets; `folder:path` shows
your own images.
"""

import argparse
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.augment.base import IMAGENET_MEAN, IMAGENET_STD
from jssl.data.catalog import open_records
from jssl.data.reading.memory import decode_all
from jssl.data.reading.records import Some
from jssl.data.reading.sizes import sides
from jssl.data.views import NAMED, Views


def view_sheet(
    views: Views, arrays: Mapping[str, np.ndarray], *, columns: int = 2, seed: int = 0
) -> np.ndarray:
    """Draws a sheet of images and their views.

    Args:
        views: (key, batch) -> views.
        arrays: a source's, "image" uint8 [B, H, W, C] among them.
        columns: how many times views are drawn of each image.
        seed: of the views.
    Returns:
        uint8 [rows, width, 3].
    """
    images = arrays["image"]
    batch = {name: jnp.asarray(values) for name, values in arrays.items()} | {
        "index": jnp.arange(len(images))
    }
    drawn = [jax.jit(views)(jax.random.key(seed + i), batch) for i in range(columns)]
    tiles = [images] + [
        _shown(view) for one in drawn for kind in ("global", "local") for view in one.get(kind, ())
    ]
    side = max(tile.shape[1] for tile in tiles) + 2
    sheet = np.full((len(images) * side, len(tiles) * side, 3), 255, np.uint8)
    for column, tile in enumerate(tiles):
        for row, image in enumerate(tile):
            top, left = row * side, column * side
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def _shown(view):
    """Makes pictures again of normalised floats [B, H, W, C]."""
    view = np.asarray(view) * np.array(IMAGENET_STD) + np.array(IMAGENET_MEAN)
    return np.round(np.clip(view, 0, 1) * 255).astype(np.uint8)


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and writes the picture."""
    from PIL import Image

    parser = argparse.ArgumentParser(prog="python -m jssl.data.gallery", description=__doc__.splitlines()[0])
    parser.add_argument("views", choices=NAMED)
    parser.add_argument(
        "--data", default="digits", help="digits, scenes, tfds:<name>, folder:<path>, npz:<file>"
    )
    parser.add_argument("--data-dir", default=None)
    parser.add_argument(
        "--size", type=int, default=None, help="of the views; by default the images', 224 at most"
    )
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, help="the picture to write, such as views.png")
    options = parser.parse_args(arguments)
    try:
        records = open_records(options.data, data_dir=options.data_dir)
        chosen = np.random.default_rng(options.seed).permutation(len(records))[: options.images]
        some = Some(records, np.sort(chosen))
        source = decode_all(some, canvas=sides(records).canvas, name=options.data)
    except (ValueError, OSError, ImportError) as error:
        parser.error(str(error))
    size = options.size or min(224, source.images.shape[1])
    sheet = view_sheet(NAMED[options.views](size=size), source.arrays, seed=options.seed)
    zoom = max(1, 64 // size)
    Image.fromarray(sheet.repeat(zoom, 0).repeat(zoom, 1)).save(options.out)
    print(f"{options.views} on {len(source)} images of {options.data}: {options.out}")


if __name__ == "__main__":
    main()
