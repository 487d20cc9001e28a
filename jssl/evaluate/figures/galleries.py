"""What a network sees: pictures beside what it makes of them."""

from collections.abc import Sequence

import numpy as np

from jssl.evaluate.figures.style import RIGHT, WRONG, enlarge, rgb, tiles


def neighbour_gallery(
    queries, query_labels, neighbours, neighbour_labels, *, names: Sequence[str] | None = None
):
    """Each query image and its nearest neighbours, framed green where the label agrees, red where not.

    queries:    [Q, H, W, C] images; query_labels: [Q].
    neighbours: [Q, k, H, W, C] images, nearest first; neighbour_labels: [Q, k].
    names:      of the classes, to name the rows.

    Returns: a matplotlib figure.
    """
    query_labels, neighbour_labels = np.asarray(query_labels), np.asarray(neighbour_labels)
    agree = neighbour_labels == query_labels[:, None]
    grid = [[query, *found] for query, found in zip(rgb(queries), rgb(neighbours), strict=True)]
    frames = [[None, *(RIGHT if same else WRONG for same in row)] for row in agree]
    rows = [names[label] for label in query_labels] if names is not None else []
    columns = ["query", "nearest"] + [str(i + 2) for i in range(agree.shape[1] - 1)]
    return tiles(grid, columns=columns, rows=rows, frames=frames)


def attention_maps(images, attention, grid: tuple[int, int], *, heads: int = 6):
    """What [CLS] attends to: the image, the mean over heads, and single heads, laid over the image.

    images:    [B, H, W, C].
    attention: [B, heads, N] weights on the patches, row-major.
    grid:      (rows, columns) of patches, N = rows * columns.
    heads:     at most so many heads.

    Returns: a matplotlib figure.
    """
    from matplotlib import colormaps

    images, attention = rgb(images), np.asarray(attention, float)
    attention = np.concatenate([attention.mean(1, keepdims=True), attention[:, :heads]], axis=1)
    low, high = (extreme(attention, axis=-1, keepdims=True) for extreme in (np.min, np.max))
    maps = ((attention - low) / np.maximum(high - low, 1e-12)).reshape(*attention.shape[:2], *grid, 1)
    heat = colormaps["inferno"](enlarge(maps, images.shape[1:3])[..., 0])[..., :3]
    grey = images.mean(-1, keepdims=True)[:, None]
    blended = np.clip(0.72 * heat + 0.35 * grey, 0, 1)
    columns = ["image", "mean of heads"] + [f"head {i}" for i in range(attention.shape[1] - 1)]
    return tiles(
        [[image, *row] for image, row in zip(images, blended, strict=True)], columns=columns, tile=0.95
    )


def reconstructions(images, mask, predicted, grid: tuple[int, int]):
    """Masked input, what was filled in, and the original, one column per image.

    images:    [B, H, W, C] originals.
    mask:      [B, N] bool, True = hidden, row-major.
    predicted: [B, H, W, C] the network's images; only the hidden patches are shown.
    grid:      (rows, columns) of patches, N = rows * columns.

    Returns: a matplotlib figure.
    """
    images, predicted = rgb(images), rgb(predicted)
    hidden = enlarge(np.asarray(mask, bool).reshape(-1, *grid, 1), images.shape[1:3])
    masked = np.where(hidden, 0.82, images)
    filled = np.where(hidden, predicted, images)
    names = [f"masked {np.mean(np.asarray(mask, bool)):.0%}", "reconstructed", "original"]
    return tiles([list(masked), list(filled), list(images)], rows=names, tile=0.95)


def patch_pca(images, tokens, grid: tuple[int, int]):
    """Patch features as colours: their first three principal components over all images as red, green and blue.

    images: [B, H, W, C].
    tokens: [B, N, D] patch features, row-major, D >= 3.
    grid:   (rows, columns) of patches, N = rows * columns.

    Returns: a matplotlib figure.
    """
    images, tokens = rgb(images), np.asarray(tokens, float)
    flat = tokens.reshape(-1, tokens.shape[-1])
    flat = flat - flat.mean(0)
    _, _, directions = np.linalg.svd(flat, full_matrices=False)
    signs = np.sign(directions[np.arange(3), np.abs(directions[:3]).argmax(1)])  # the same colours every time
    components = flat @ (directions[:3] * signs[:, None]).T
    low, high = np.percentile(components, [2, 98], axis=0)
    colours = np.clip((components - low) / np.maximum(high - low, 1e-12), 0, 1).reshape(-1, *grid, 3)
    return tiles(
        [list(images), list(enlarge(colours, images.shape[1:3]))], rows=["image", "patch features"], tile=0.95
    )


def view_gallery(images, large, small=None, *, mean=0.0, std=1.0):
    """Each image and the views made of it.

    images: [B, H, W, C] originals.
    large:  [G, B, h, w, C] global views; small: [L, B, h, w, C] local ones, or None.
    mean, std: what the views were normalised with, undone to show them.

    Returns: a matplotlib figure.
    """
    images, small = rgb(images), [] if small is None else list(small)
    views = [enlarge(rgb(np.asarray(view) * std + mean), images.shape[1:3]) for view in [*large, *small]]
    columns = ["image"] + ["global"] * len(large) + ["local"] * len(small)
    return tiles([list(row) for row in zip(images, *views, strict=True)], columns=columns)
