"""Galleries: images beside a network's outputs for them."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.programs import used_seldom
from jssl.data.augment.base import Statistics
from jssl.evaluate.analysis.patches import patch_components
from jssl.evaluate.figures.style import HIDDEN, INK, RIGHT, WRONG, enlarge, rgb, tiles, unnormalized, write
from jssl.extras import extra


def neighbour_gallery(
    queries, query_labels, neighbours, neighbour_labels, *, names: Sequence[str] | None = None
):
    """Draws each query image and its nearest neighbours, framed blue where the label agrees, dashed orange
    where not.

    Args:
        queries: [Q, H, W, C] images.
        query_labels: [Q]; -1 where there is none: its neighbours have no frame.
        neighbours: [Q, k, H, W, C] images, nearest first.
        neighbour_labels: [Q, k]; -1 where there is none: no frame.
        names: Of the classes, to name the rows.
    Returns:
        A matplotlib figure.
    """
    query_labels, neighbour_labels = np.asarray(query_labels), np.asarray(neighbour_labels)
    grid = [[query, *found] for query, found in zip(rgb(queries), rgb(neighbours), strict=True)]
    frames: list[list[str | None]] = [
        [None, *(None if min(label, one) < 0 else RIGHT if one == label else WRONG for one in row)]
        for label, row in zip(query_labels, neighbour_labels, strict=True)
    ]
    rows = [names[label] for label in query_labels] if names and query_labels.min() >= 0 else []
    columns = ["query", "nearest"] + [str(i + 2) for i in range(neighbour_labels.shape[1] - 1)]
    return tiles(grid, columns=columns, rows=rows, frames=frames)


def attention_maps(images, attention, grid: tuple[int, int], *, heads: int = 4):
    """Draws the attention of [CLS]: the image, the mean over heads, and single heads, laid over the image.

    Args:
        images: [B, H, W, C].
        attention: [B, heads, N] weights on the patches, row-major.
        grid: (rows, columns) of patches, N = rows * columns.
        heads: At most so many heads.
    Returns:
        A matplotlib figure.
    """
    with extra():
        from matplotlib import colormaps

    images, attention = rgb(images), np.asarray(attention, float)
    attention = np.concatenate([attention.mean(1, keepdims=True), attention[:, :heads]], axis=1)
    low, high = (extreme(attention, axis=-1, keepdims=True) for extreme in (np.min, np.max))
    maps = ((attention - low) / np.maximum(high - low, 1e-12)).reshape(*attention.shape[:2], *grid, 1)
    heat = colormaps["inferno"](enlarge(maps, images.shape[1:3])[..., 0])[..., :3]
    grey = images.mean(-1, keepdims=True)[:, None]
    blended = np.clip(0.72 * heat + 0.35 * grey, 0, 1)
    columns = ["image", "mean"] + [f"head {i}" for i in range(attention.shape[1] - 1)]
    return tiles(
        [[image, *row] for image, row in zip(images, blended, strict=True)], columns=columns, tile=0.95
    )


def reconstructions(images, mask, predicted, grid: tuple[int, int]):
    """Draws masked input, what was filled in, and the original, one column per image.

    Args:
        images: [B, H, W, C] originals.
        mask: [B, N] bool, True = hidden, row-major.
        predicted: [B, H, W, C] the network's images; only the hidden patches are shown.
        grid: (rows, columns) of patches, N = rows * columns.
    Returns:
        A matplotlib figure.
    """
    images, predicted = rgb(images), rgb(predicted)
    hidden = enlarge(np.asarray(mask, bool).reshape(-1, *grid, 1), images.shape[1:3])
    masked = np.where(hidden, HIDDEN, images)
    filled = np.where(hidden, predicted, images)
    names = [f"masked {np.mean(np.asarray(mask, bool)):.0%}", "reconstructed", "original"]
    return tiles([list(masked), list(filled), list(images)], rows=names, tile=0.95)


def patch_pca(images, tokens, grid: tuple[int, int]):
    """Draws patch features as colors: three principal components of the foreground, the background black.

    Args:
        images: [B, H, W, C].
        tokens: [B, N, D] patch features, row-major, D >= 3.
        grid: (rows, columns) of patches, N = rows * columns.
    Returns:
        A matplotlib figure: the images, the foreground found, and its features.
    References:
        DINOv2, arXiv:2304.07193, figure 1
    """
    images = rgb(images)
    components, foreground = patch_components(tokens, grid)
    colors = enlarge(components.reshape(-1, *grid, 3), images.shape[1:3])
    seen = enlarge(foreground.reshape(-1, *grid, 1), images.shape[1:3])
    rows = ["image", "foreground", "its features"]
    return tiles([list(images), list(np.where(seen, images, 0.0)), list(colors)], rows=rows, tile=0.95)


def turned_gallery(images, guesses):
    """Draws images in their four rotations, framed blue where a network predicted the rotation, dashed orange
    where not.

    Args:
        images: [B, H, W, C], H = W.
        guesses: [4, B] quarter turns counter-clockwise; row i should be i.
    Returns:
        A matplotlib figure.
    """
    images, guesses = rgb(images), np.asarray(guesses)
    grid = [[np.rot90(image, turn) for image in images] for turn in range(4)]
    frames = [[RIGHT if guess == turn else WRONG for guess in guesses[turn]] for turn in range(4)]
    return tiles(grid, rows=[f"{90 * turn}°" for turn in range(4)], frames=frames)


def colored_gallery(grey, predicted, images):
    """Draws images without color, in predicted colors, and as they are, one column per image.

    Args:
        grey: [B, H, W, C] in [0, 1], as the others.
        predicted: [B, H, W, C].
        images: [B, H, W, C].
    Returns:
        A matplotlib figure.
    """
    rows = [list(rgb(one)) for one in (grey, predicted, images)]
    return tiles(rows, rows=["lightness", "predicted", "original"], tile=0.95)


def caption_similarities(images, captions: Sequence[str], cosines):
    """Draws images above the cosines of each with each caption.

    Args:
        images: [B, H, W, C].
        captions: C strings.
        cosines: [B, C].
    Returns:
        A matplotlib figure.
    """
    with extra():
        from matplotlib import colormaps
        from matplotlib.figure import Figure

    images, cosines = rgb(images), np.asarray(cosines, float).T
    row, down = 0.34, 0.34 * len(captions)  # in widths of an image
    figure = Figure(figsize=(0.95 * len(images), 0.95 * (1.06 + down)))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    low, high = np.min(cosines), np.max(cosines)
    shades = (cosines - low) / max(high - low, 1e-12)
    ax.imshow(colormaps["cividis"](shades)[..., :3], extent=(0, len(images), down, 0), aspect="auto")
    for i, image in enumerate(images):
        ax.imshow(image, extent=(i + 0.03, i + 0.97, -0.06, -1.0), aspect="auto")
    for (r, c), cosine in np.ndenumerate(cosines):
        ink = "white" if shades[r, c] < 0.5 else INK
        write(ax, c + 0.5, row * (r + 0.5), f"{cosine:.2f}", ha="center", va="center", color=ink)
    for r, text in enumerate(captions):
        write(ax, -0.1, row * (r + 0.5), text, ha="right", va="center", longest=80)
    ax.set(xlim=(0, len(images)), ylim=(down, -1.06))
    return figure


def view_gallery(
    views: Callable,
    arrays: Mapping[str, np.ndarray],
    *,
    draws: int = 2,
    seed: int = 0,
    normalized: Statistics | None = None,
):
    """Draws each image and the views made of it.

    Args:
        views: (key, batch) -> {"global": [G, B, h, w, C], perhaps "local": [L, B, h, w, C]}, normalised.
        arrays: Those of a source, with "image" uint8 [B, H, W, C].
        draws: How many times the views of each image are drawn.
        seed: Of the draws.
        normalized: What the views are normalised with, by default ImageNet's statistics.
    Returns:
        A matplotlib figure: a row for each image, first as it is.
    """
    images = arrays["image"]
    batch = {name: jnp.asarray(values) for name, values in arrays.items()} | {
        "index": jnp.arange(len(images))
    }
    compiled = used_seldom(views)
    columns, shown = ["image"], [rgb(images)]
    for draw in range(draws):
        made = compiled(jax.random.key(seed + draw), batch)
        for kind in ("global", "local"):
            for number, view in enumerate(made.get(kind, ()), 1):
                columns.append(f"{kind} {number}")
                seen = unnormalized(view, normalized)
                shown.append(enlarge(rgb(seen), images.shape[1:3]))
    return tiles([list(row) for row in zip(*shown, strict=True)], columns=columns)
