"""Images and the views that are made of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.source import load
from jssl.evaluate.figures.style import enlarge, png, rgb, tiles, unnormalized


def view_gallery(views: Callable, images: np.ndarray, *, draws: int = 2, seed: int = 0):
    """Draws each image and the views made of it.

    Args:
        views: (key, batch) -> {"global": [G, B, h, w, C], perhaps "local": [L, B, h, w, C]}, normalised.
        images: uint8 [B, H, W, C].
        draws: How many times views are drawn of each image.
        seed: Of the draws.

    Returns:
        A matplotlib figure: a row for each image, first as it is.
    """
    batch = {"image": jnp.asarray(images), "index": jnp.arange(len(images))}
    compiled = jax.jit(views)
    columns, shown = ["image"], [rgb(images)]
    for draw in range(draws):
        made = compiled(jax.random.key(seed + draw), batch)
        for kind in ("global", "local"):
            for view in made.get(kind, ()):
                columns.append(kind)
                shown.append(enlarge(rgb(unnormalized(view)), images.shape[1:3]))
    return tiles([list(row) for row in zip(*shown, strict=True)], columns=columns)


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
    """Writes a picture of what views do to images of a data set.

    Args:
        make: (size=) -> views, such as `jssl.data.views.simclr`.
        out: The PNG file to write.
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
    source = load(data, data_dir=data_dir, split="test")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(source))[:images])
    size = size or min(224, source.images.shape[1])
    drawn = view_gallery(make(size=size), source.images[chosen], seed=seed)
    with open(out, "wb") as file:
        file.write(png(drawn))
    return len(chosen)
