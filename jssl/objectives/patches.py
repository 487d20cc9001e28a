"""Images as rows of patches, and what may be known of a patch: its pixels, its gradients' histogram, its position."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jssl.objectives.cosine import unit


def patchify(images, patch: int) -> jax.Array:
    """Images cut into square patches, row by row.

    images: [B, H, W, C], any dtype. patch: the side P, which divides H and W.

    Returns: [B, N, P * P * C], N = (H / P) (W / P); inside a patch (row, column, channel), the channel fastest.

    Raises: ValueError for other shapes or a patch that does not divide the image.

    Source: MAE, arXiv:2111.06377.

    >>> patchify(jnp.arange(16.0).reshape(1, 4, 4, 1), 2)[0].tolist()
    [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0], [8.0, 9.0, 12.0, 13.0], [10.0, 11.0, 14.0, 15.0]]
    """
    images = _images(images, patch, "patch")
    batch, height, width, channels = images.shape
    cells = images.reshape(batch, height // patch, patch, width // patch, patch, channels)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, patch * patch * channels)


def unpatchify(patches, patch: int, *, channels: int = 3, grid: tuple[int, int] | None = None) -> jax.Array:
    """The images that patchify cut.

    patches: [B, N, P * P * C]. patch: the side P. grid: (rows, columns) of patches; None: as many of each.

    Returns: [B, H, W, C].

    Raises: ValueError for other shapes, or a number of patches that is no square where no grid is given.

    Source: MAE, arXiv:2111.06377.

    >>> images = jnp.arange(48.0).reshape(1, 4, 4, 3)
    >>> bool((unpatchify(patchify(images, 2), 2) == images).all())
    True
    """
    patches = jnp.asarray(patches)
    if patches.ndim != 3 or patches.shape[-1] != patch * patch * channels:
        expected = f"[B, N, {patch * patch * channels}] for patch = {patch} and channels = {channels}"
        raise ValueError(f"patches has shape {patches.shape}, expected {expected}")
    batch, count, _ = patches.shape
    rows, columns = grid or (math.isqrt(count), math.isqrt(count))
    if rows * columns != count:
        raise ValueError(f"patches has shape {patches.shape}: {count} patches do not fill a {rows} x {columns} grid; "
                         "give grid=(rows, columns)")
    cells = patches.reshape(batch, rows, columns, patch, patch, channels)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows * patch, columns * patch, channels)


def hog(images, *, bins: int = 9, cell: int = 8) -> jax.Array:
    """Histograms of oriented gradients: what MaskFeat predicts of hidden patches.

    Sobel gradients of each channel with reflected borders; a pixel votes with its gradient's magnitude for the bin of
    its unsigned orientation, floor(bins atan2(g_x, g_y) / pi) mod bins; votes are summed by cell, then L2-normalised.

    images: [B, H, W, C], floats or uint8. cell: the side of a cell in pixels, which divides H and W.

    Returns: [B, H / cell, W / cell, C * bins], ordered (channel, bin); of norm 1 per cell and channel, 0 where flat.
        A target: it has no gradient.

    Raises: ValueError for other shapes or a cell that does not divide the image.

    Source: MaskFeat, arXiv:2112.09133.

    >>> ramp = jnp.broadcast_to(jnp.arange(8.0), (1, 8, 8))[..., None]
    >>> hog(ramp, bins=4)[0, 0, 0].tolist()
    [0.0, 0.0, 1.0, 0.0]
    """
    images = _images(images, cell, "cell")
    images = jax.lax.stop_gradient(images.astype(jnp.promote_types(images.dtype, jnp.float32)))
    if min(images.shape[1:3]) < 2:
        raise ValueError(f"images has shape {images.shape}, expected at least 2 x 2 pixels to have gradients")
    batch, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    # Differences first, then the smoothing: what cancels at a border cancels exactly, and its orientation is sure.
    across = padded[:, :, :-2] - padded[:, :, 2:]
    along = padded[:, :-2] - padded[:, 2:]
    g_x = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    g_y = along[:, :, :-2] + 2 * along[:, :, 1:-1] + along[:, :, 2:]
    orientation = jnp.floor(jnp.arctan2(g_x, g_y) / jnp.pi * bins).astype(int) % bins
    votes = jax.nn.one_hot(orientation, bins, dtype=images.dtype) * jnp.hypot(g_x, g_y)[..., None]
    cells = votes.reshape(batch, height // cell, cell, width // cell, cell, channels, bins).sum((2, 4))
    return unit(cells).reshape(*cells.shape[:3], channels * bins)


def sincos_position_embedding(dim: int, grid: tuple[int, int]) -> jax.Array:
    """Fixed sine-cosine embeddings of a grid's positions, rows first.

    The first half of the features encodes the column, the second the row; each half is sin(w p), then cos(w p), with
    w_i = 10000^(-i / (dim / 4)).

    dim: the number of features, a multiple of 4. grid: (rows, columns).

    Returns: [N, dim], N = rows * columns.

    Raises: ValueError for another dim.

    Source: MAE, arXiv:2111.06377; MoCo v3, arXiv:2104.02057.

    >>> sincos_position_embedding(4, (1, 2)).round(3).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.8410000205039978, 0.5400000214576721, 0.0, 1.0]]
    """
    if dim < 4 or dim % 4:
        raise ValueError(f"dim is {dim}, expected a multiple of 4: sines and cosines of two coordinates")
    rows, columns = grid
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    frequency = 10000.0 ** (-np.arange(dim // 4) / (dim // 4))
    phases = [position.reshape(-1, 1) * frequency for position in (column, row)]
    return jnp.asarray(np.concatenate([wave(phase) for phase in phases for wave in (np.sin, np.cos)], axis=1))


def _images(images, side, name):
    images = jnp.asarray(images)
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images has shape {images.shape}, expected [B, H, W, C] with no empty axis")
    if side < 1 or images.shape[1] % side or images.shape[2] % side:
        raise ValueError(f"{name} is {side}, which does not divide images of shape {images.shape} [B, H, W, C]")
    return images
