"""MaskFeat: the targets of hidden patches are histograms of oriented gradients."""

import jax
import jax.numpy as jnp

from jssl.arrays.patches import check_images, patchify
from jssl.arrays.vectors import unit


def hog(images, *, bins: int = 9, cell: int = 8) -> jax.Array:
    """Computes histograms of oriented gradients, MaskFeat's targets for hidden patches.

    Gradients are Sobel's, of each channel, with reflected borders. A pixel adds its gradient's magnitude to
    the bin of its unsigned orientation, floor(bins atan2(g_x, g_y) / pi) mod bins; the bins of a cell are
    summed over its pixels, then L2-normalised.

    Args:
        images: [B, H, W, C], floats or uint8.
        bins: the number of orientations, over half a turn.
        cell: the side of a cell in pixels, which divides H and W.
    Returns:
        [B, H / cell, W / cell, C * bins], ordered (channel, bin); of norm 1 per cell and channel, 0 where the
        image is constant. It is a target and has no gradient.
    Raises:
        ValueError: for other shapes, or a cell that does not divide the image.
    References:
        MaskFeat, arXiv:2112.09133
    Examples:
        >>> ramp = jnp.broadcast_to(jnp.arange(8.0), (1, 8, 8))[..., None]
        >>> hog(ramp, bins=4)[0, 0, 0].tolist()
        [0.0, 0.0, 1.0, 0.0]
    """
    images = check_images(images, cell, "cell")
    images = jax.lax.stop_gradient(images.astype(jnp.promote_types(images.dtype, jnp.float32)))
    if min(images.shape[1:3]) < 2:
        raise ValueError(f"images has shape {images.shape}, expected at least 2 x 2 pixels to have gradients")
    batch, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    # Differences first, then the smoothing, so that gradients across a reflected border are exactly 0.
    across = padded[:, :, :-2] - padded[:, :, 2:]
    along = padded[:, :-2] - padded[:, 2:]
    g_x = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    g_y = along[:, :, :-2] + 2 * along[:, :, 1:-1] + along[:, :, 2:]
    orientation = jnp.floor(jnp.arctan2(g_x, g_y) / jnp.pi * bins).astype(int) % bins
    votes = jax.nn.one_hot(orientation, bins, dtype=images.dtype) * jnp.hypot(g_x, g_y)[..., None]
    cells = votes.reshape(batch, height // cell, cell, width // cell, cell, channels, bins).sum((2, 4))
    return unit(cells).reshape(*cells.shape[:3], channels * bins)


def hog_of_patches(images, patch: int, *, bins: int = 9, cell: int = 8) -> jax.Array:
    """Computes `hog` and gathers the histograms of each patch, MaskFeat's target.

    Args:
        images: [B, H, W, C], floats or uint8.
        patch: the side of a patch in pixels, a multiple of the cell.
        bins, cell: as for `hog`.
    Returns:
        [B, N, C * bins * (patch / cell)^2], ordered (channel, bin, row and column of the cell in the patch).
    Raises:
        ValueError: as `hog`, and for a cell that does not divide the patch.
    References:
        MaskFeat, arXiv:2112.09133
    Examples:
        >>> hog_of_patches(jnp.zeros((1, 32, 32, 3)), 16).shape
        (1, 4, 108)
    """
    if patch % cell:
        raise ValueError(f"cell is {cell}, which does not divide a patch of {patch} pixels")
    cells = hog(images, bins=bins, cell=cell)
    features = cells.shape[-1]
    rows = patchify(cells, patch // cell)
    rows = rows.reshape(*rows.shape[:2], -1, features).swapaxes(-1, -2)
    return rows.reshape(*rows.shape[:2], -1)
