"""What a view recipe does to images, as a picture:  python -m jssl.data.gallery simclr --data digits --out views.png

Each row is an image: first as it is, then its views. `--data-dir` is where TFDS has its data sets; `folder:path` shows
your own images.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data import views as recipes
from jssl.data.augment.base import IMAGENET_MEAN, IMAGENET_STD
from jssl.data.source import load

RECIPES = ("simclr", "moco_v2", "byol", "dino", "ibot", "dinov2", "swav", "mae", "infomin")


def gallery(recipe: recipes.Views, images: np.ndarray, *, columns: int = 2, seed: int = 0) -> np.ndarray:
    """A sheet of images and their views.

    recipe: (key, batch) -> views; images: uint8 [B, H, W, C].
    columns: how many times the recipe is drawn for each image.

    Returns: uint8 [rows, width, 3].
    """
    batch = {"image": jnp.asarray(images), "index": jnp.arange(len(images))}
    drawn = [jax.jit(recipe)(jax.random.key(seed + i), batch) for i in range(columns)]
    tiles = [images] + [
        _shown(view) for views in drawn for kind in ("global", "local") for view in views.get(kind, ())
    ]
    side = max(tile.shape[1] for tile in tiles) + 2
    sheet = np.full((len(images) * side, len(tiles) * side, 3), 255, np.uint8)
    for column, tile in enumerate(tiles):
        for row, image in enumerate(tile):
            top, left = row * side, column * side
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def _shown(view):
    """Normalised floats [B, H, W, C] as pictures again."""
    view = np.asarray(view) * np.array(IMAGENET_STD) + np.array(IMAGENET_MEAN)
    return np.round(np.clip(view, 0, 1) * 255).astype(np.uint8)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    from PIL import Image

    parser = argparse.ArgumentParser(prog="python -m jssl.data.gallery", description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=RECIPES)
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
        source = load(options.data, data_dir=options.data_dir, split="test")
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    chosen = np.random.default_rng(options.seed).permutation(len(source))[: options.images]
    images = source.images[np.sort(chosen)]
    size = options.size or min(224, images.shape[1])
    sheet = gallery(getattr(recipes, options.recipe)(size=size), images, seed=options.seed)
    zoom = max(1, 64 // size)
    Image.fromarray(sheet.repeat(zoom, 0).repeat(zoom, 1)).save(options.out)
    print(f"{options.recipe} on {len(images)} images of {options.data}: {options.out}")


if __name__ == "__main__":
    main()
