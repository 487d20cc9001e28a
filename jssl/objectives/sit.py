"""SiT: the restoration of corrupted pixels; only these count."""

import jax
import jax.numpy as jnp

from jssl.arrays.checks import check
from jssl.arrays.patches import patchify


def restored_pixels(prediction, clean, corrupted, *, patch: int) -> jax.Array:
    """Computes the absolute error on corrupted pixels, averaged over all of the batch.

    l = sum |prediction - clean| corrupted / sum corrupted, over pixels and channels.

    Args:
        prediction: [B, N, P * P * C], pixels of patches as `patchify` orders them.
        clean: [B, H, W, C], no gradient.
        corrupted: [B, H, W] bool, True where the network's input was changed.
        patch: the side P of a patch.
    Returns:
        A scalar; 0 where nothing is corrupted.
    Raises:
        ValueError: for other shapes.
        TypeError: for a mask that is not bool.
    References:
        SiT, arXiv:2104.03602
    Examples:
        >>> clean, corrupted = jnp.zeros((1, 2, 2, 1)), jnp.array([[[True, False], [False, False]]])
        >>> float(restored_pixels(jnp.array([[[3.0, 5.0, 5.0, 5.0]]]), clean, corrupted, patch=2))
        3.0
    """
    prediction, clean, corrupted = check(
        prediction=(prediction, "B N D"), clean=(clean, "B H W C"), corrupted=(corrupted, "B H W", bool)
    )
    where = patchify(jnp.broadcast_to(corrupted[..., None], clean.shape), patch)
    target = patchify(clean, patch)
    check(prediction=(prediction, "B N D"), patches_of_clean=(target, "B N D"))
    error = jnp.abs(prediction - jax.lax.stop_gradient(target))
    return jnp.sum(error, where=where) / jnp.maximum(jnp.sum(where), 1)
