"""Principal components of patch features, after the background is removed."""

import numpy as np


def patch_components(tokens, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Splits patches into foreground and background, and maps the foreground's features to three numbers in
    [0, 1].

    The first principal component of all patches is cut in two where the halves differ most (Otsu's
    threshold); the half that touches the border of the images less is the foreground. The first three
    components of the foreground alone, over all images, are scaled to [0, 1]. The same tokens give the same
    numbers.

    Args:
        tokens: [B, N, D] patch features, row-major, D >= 3.
        grid: (rows, columns) of patches, N = rows * columns.
    Returns:
        (components [B, N, 3], 0 in the background; foreground [B, N] bool).
    Raises:
        ValueError: for another rank, fewer than three features, or a grid that does not fit.
    References:
        DINOv2, arXiv:2304.07193, figure 1
    """
    tokens = np.asarray(tokens, np.float64)
    if tokens.ndim != 3 or tokens.shape[-1] < 3 or tokens.shape[1] != grid[0] * grid[1]:
        raise ValueError(
            f"tokens have shape {tokens.shape}, expected [B, N, D], N = {grid[0]} * {grid[1]}, D >= 3"
        )
    flat = tokens.reshape(-1, tokens.shape[-1])
    first = _principal(flat, 1)[:, 0]
    foreground = first > _otsu(first)
    border = np.ones(grid, bool)
    border[1:-1, 1:-1] = False
    border = np.tile(border.ravel(), len(tokens))
    if np.sum(border & foreground) * np.sum(~foreground) > np.sum(border & ~foreground) * np.sum(foreground):
        foreground = ~foreground
    components = np.zeros((len(flat), 3))
    if np.sum(foreground) > 3:
        found = _principal(flat[foreground], 3)
        low, high = np.percentile(found, [2, 98], axis=0)
        components[foreground] = np.clip((found - low) / np.maximum(high - low, 1e-12), 0, 1)
    return components.reshape(*tokens.shape[:2], 3), foreground.reshape(tokens.shape[:2])


def _principal(rows: np.ndarray, count: int) -> np.ndarray:
    """The first principal components of rows [M, D]: [M, count], signs chosen by each direction's largest
    entry.
    """
    rows = rows - rows.mean(0)
    _, directions = np.linalg.eigh(rows.T @ rows)
    directions = directions[:, ::-1][:, :count]
    largest = np.abs(directions).argmax(0)
    return rows @ (directions * np.sign(directions[largest, np.arange(count)]))


def _otsu(values: np.ndarray) -> float:
    """The threshold between two groups of values [M] that differ most: the variance between the groups is
    largest.
    """
    values = np.sort(values)
    count = np.arange(1, len(values))
    total = np.cumsum(values)
    low, high = total[:-1] / count, (total[-1] - total[:-1]) / (len(values) - count)
    between = count * (len(values) - count) * (high - low) ** 2
    at = int(between.argmax())
    return (values[at] + values[at + 1]) / 2
