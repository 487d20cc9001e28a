"""Images as rows of patches, and the fixed embeddings of their positions."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def patchify(images, patch: int) -> jax.Array:
    """Cuts images into square patches, row by row.

    Args:
        images: [B, H, W, C], any dtype.
        patch: the side P of a patch, which divides H and W.
    Returns:
        [B, N, P * P * C] with N = (H / P) (W / P), ordered (row, column, channel) inside a patch.
    Raises:
        ValueError: for other shapes, or a patch that does not divide the image.
    References:
        MAE, arXiv:2111.06377
    Examples:
        >>> patchify(jnp.arange(16.0).reshape(1, 4, 4, 1), 2)[0].tolist()
        [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0], [8.0, 9.0, 12.0, 13.0], [10.0, 11.0, 14.0, 15.0]]
    """
    images = check_images(images, patch, "patch")
    batch, height, width, channels = images.shape
    cells = images.reshape(batch, height // patch, patch, width // patch, patch, channels)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, patch * patch * channels)


def unpatchify(patches, patch: int, *, channels: int = 3, grid: tuple[int, int] | None = None) -> jax.Array:
    """Puts the patches that `patchify` cut back into images.

    Args:
        patches: [B, N, P * P * C].
        patch: the side P of a patch.
        channels: of the images, C.
        grid: (rows, columns) of patches; None for as many rows as columns.
    Returns:
        [B, H, W, C].
    Raises:
        ValueError: for other shapes or, without a grid, a number of patches that is not a square.
    References:
        MAE, arXiv:2111.06377
    Examples:
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
        raise ValueError(
            f"patches has shape {patches.shape}: {count} patches do not fill a {rows} x {columns} grid; "
            "give grid=(rows, columns)"
        )
    cells = patches.reshape(batch, rows, columns, patch, patch, channels)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows * patch, columns * patch, channels)


def overlapping_patches(images, side: int, stride: int) -> jax.Array:
    """Cuts images into square patches that may overlap, row by row.

    Args:
        images: [B, H, W, C].
        side: of a patch, in pixels.
        stride: from one patch to the next, in pixels; pixels left over at the right and bottom are not used.
    Returns:
        [B, N, side, side, C] with N = rows * columns, rows = (H - side) // stride + 1 and so on.
    Raises:
        ValueError: for other shapes, or patches larger than the images.
    Examples:
        >>> overlapping_patches(jnp.arange(9.0).reshape(1, 3, 3, 1), 2, 1)[0, :, 0, 0, 0].tolist()
        [0.0, 1.0, 3.0, 4.0]
    """
    images = jnp.asarray(images)
    if images.ndim != 4 or not 1 <= side <= min(images.shape[1:3]) or stride < 1:
        raise ValueError(
            f"images has shape {images.shape}, expected [B, H, W, C] of at least the patches' {side} pixels, "
            f"{stride} apart"
        )
    batch, height, width, channels = images.shape
    rows, columns = (
        jnp.arange((length - side) // stride + 1)[:, None] * stride + jnp.arange(side)
        for length in (height, width)
    )
    cut = images[:, rows][:, :, :, columns]  # [B, rows, side, columns, side, C]
    return cut.swapaxes(2, 3).reshape(batch, -1, side, side, channels)


def sincos_position_embedding(dim: int, grid: tuple[int, int]) -> jax.Array:
    """Makes the fixed sine-cosine embeddings of a grid's positions, row by row.

    The first half of the features encodes the column, the second the row; each half is sin(w p), then cos(w
    p), with w_i = 10000^(-i / (dim / 4)).

    Args:
        dim: the number of features, a multiple of 4.
        grid: (rows, columns).
    Returns:
        [N, dim] with N = rows * columns.
    Raises:
        ValueError: for another dim.
    References:
        MAE, arXiv:2111.06377
        MoCo v3, arXiv:2104.02057
    Examples:
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


def check_images(images: jax.Array, side: int, name: str, *, floats: bool = False) -> jax.Array:
    """Raises a ValueError for anything but a batch of images that `side` divides.

    Args:
        images: [B, H, W, C].
        side: of a patch or a cell.
        name: the name of the side in the message.
        floats: whether they have to be floats, as networks need them.
    Returns:
        The images as an array.
    Raises:
        ValueError: for other shapes or types, or a side that does not divide the height and the width.
    """
    images = jnp.asarray(images)
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"images has shape {images.shape}, expected [B, H, W, C] with no empty axis; add a batch axis to "
            "one image"
        )
    if floats and not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f"images must be floats, got {images.dtype}; scale them to [0, 1] and normalise them first"
        )
    if side < 1 or images.shape[1] % side or images.shape[2] % side:
        size = f"{images.shape[1]} x {images.shape[2]}"
        raise ValueError(
            f"images of {size} pixels are not divisible by {name} = {side}; resize them or choose another "
            f"{name}"
        )
    return images
