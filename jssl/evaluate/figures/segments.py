"""Parts of images: the patches that heads attend to or masks hide, and the labels of pixels."""

from collections.abc import Mapping, Sequence

import numpy as np

from jssl.evaluate.analysis.attention import most_attended
from jssl.evaluate.figures.style import BLUE, HIDDEN, WHEEL, enlarge, rgb, tiles

SIDE = 96  # pixels to which smaller images are enlarged, so that outlines are thin


def attention_segments(images, attention, grid: tuple[int, int], *, share: float = 0.6, heads: int = 6):
    """Draws the patches that hold most of each head's attention: in color and outlined, the rest pale.

    Args:
        images: [B, H, W, C].
        attention: [B, heads, N] weights on the patches, row-major.
        grid: (rows, columns) of patches, N = rows * columns.
        share: Of the attention that is kept, in (0, 1].
        heads: At most so many heads.
    Returns:
        A matplotlib figure: a row for each image, a column for each head.
    References:
        DINO, arXiv:2104.14294
    """
    images = _large(images)
    attention = np.asarray(attention)[:, :heads]
    kept = most_attended(attention, share=share).reshape(*attention.shape[:2], *grid, 1)
    kept = enlarge(kept, images.shape[1:3])[..., 0]
    rows = [[image, *(_outlined(image, one) for one in own)] for image, own in zip(images, kept, strict=True)]
    columns = ["image"] + [f"head {i}, {share:.0%}" for i in range(attention.shape[1])]
    return tiles(rows, columns=columns, tile=0.95)


def mask_gallery(images, masks: Mapping[str, np.ndarray], grid: tuple[int, int]):
    """Draws the masks of several strategies on the same images, with the share that each hides.

    Args:
        images: [B, H, W, C].
        masks: {name: [B, N] bool}, True = hidden, row-major; such as
            `jssl.evaluate.analysis.masks_of_all` gives.
        grid: (rows, columns) of patches, N = rows * columns.
    Returns:
        A matplotlib figure: a row for each strategy, a column for each image.
    """
    images = rgb(images)
    rows, names = [list(images)], ["image"]
    for name, mask in masks.items():
        mask = np.asarray(mask, bool)
        hidden = enlarge(mask.reshape(-1, *grid, 1), images.shape[1:3])
        rows.append(list(np.where(hidden, HIDDEN, images)))
        names.append(f"{name}, {mask.mean():.0%}")
    return tiles(rows, rows=names, tile=0.95)


def label_gallery(images, labels: Mapping[str, np.ndarray], *, columns: Sequence[str] = ()):
    """Draws labels of pixels over images, a color for each label; 0 and less is shown as the pale image.

    Args:
        images: [B, H, W, C].
        labels: {name: [B, h, w] integers}, such as the true and the predicted labels.
        columns: A heading over each image, such as the number of a film's frame.
    Returns:
        A matplotlib figure: the images, and a row for each of the labels.
    """
    images = rgb(images)
    palette = np.array(list(map(_channels, WHEEL)))
    rows = [list(images)]
    for values in labels.values():
        values = enlarge(np.asarray(values)[..., None], images.shape[1:3])
        color = palette[(values[..., 0] - 1) % len(palette)]
        rows.append(list(np.where(values > 0, 0.8 * color + 0.2 * images, _pale(images))))
    return tiles(rows, rows=["image", *labels], columns=columns, tile=0.95)


def _large(images) -> np.ndarray:
    """Images as `rgb` makes them, enlarged by a whole factor where they are small."""
    images = rgb(images)
    factor = -(-SIDE // min(images.shape[1:3]))
    return enlarge(images, (factor * images.shape[1], factor * images.shape[2]))


def _channels(color: str) -> np.ndarray:
    """A color "#rrggbb" as three numbers in [0, 1]."""
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def _pale(images: np.ndarray) -> np.ndarray:
    return 0.7 * HIDDEN + 0.3 * images.mean(-1, keepdims=True) + 0 * images


def _outlined(image: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """An image [H, W, 3], pale outside of what is kept [H, W], with a line around it."""
    inner = np.pad(kept, 1, mode="edge")
    inner = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return np.where(
        (kept & ~inner)[..., None], _channels(BLUE), np.where(kept[..., None], image, _pale(image))
    )
