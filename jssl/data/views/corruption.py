"""Views with corrupted groups of pixels, for networks that restore them."""

import jax
import jax.numpy as jnp

from jssl.arrays.grids import rectangles
from jssl.arrays.keys import fold_keys, sample_keys, uniform
from jssl.data.views.compose import Views

PLACE = 11  # folded into the key of a step: what is corrupted shares no key with the crops
DRAWS = 128  # rectangles drawn at most, which cover nine tenths of an image


def corrupted(
    views: Views, *, drop: float = 0.5, replace: float = 0.3, replaced: float = 0.5, side: float = 0.3
) -> Views:
    """Corrupts rectangles of each global view until they cover a share of its pixels: SiT's group masks.

    The rectangles of an image are filled either with zeros, the mean of normalised pixels, or with the same
    places of another image of the batch.

    Args:
        views: (key, batch) -> views, normalised.
        drop: share of the pixels of an image that are filled with zeros, at least.
        replace: share of the pixels of an image that its neighbour fills, at least.
        replaced: share of the images that the neighbour fills.
        side: of a rectangle, in shares of the image's, at most.
    Returns:
        (key, batch) -> views with "global" [V, B, H, W, C] corrupted, "clean" [V, B, H, W, C] as they were
        and "corrupted" [V, B, H, W] bool. Pixels of several rectangles count once in the shares.
    References:
        SiT, arXiv:2104.03602
    """

    def apply(key, batch):
        seen = views(key, batch)
        clean = seen["global"]
        keys = sample_keys(jax.random.fold_in(key, PLACE), seen["index"])

        def view(number, images):
            own = fold_keys(keys, number)
            by_neighbour = uniform(fold_keys(own, 0)) < replaced
            share = jnp.where(by_neighbour, replace, drop)
            mask = blocks(fold_keys(own, 1), images.shape[1:3], share=share, side=side)
            fill = jnp.where(by_neighbour[:, None, None, None], jnp.roll(images, 1, axis=0), 0)
            return jnp.where(mask[..., None], fill, images), mask

        changed, masks = jax.vmap(view)(jnp.arange(len(clean)), clean)
        return seen | {"global": changed, "clean": clean, "corrupted": masks}

    return apply


def blocks(keys: jax.Array, grid: tuple[int, int], *, share: jax.Array, side: float) -> jax.Array:
    """Draws rectangles until a share of the pixels lies inside one.

    Args:
        keys: [B], one for each sample.
        grid: (rows, columns).
        share: [B], of the pixels; 0: none.
        side: the largest side, in shares of the image's.
    Returns:
        [B, rows, columns] bool.
    """
    rows, columns = grid
    largest = jnp.array([max(2, int(rows * side)), max(2, int(columns * side))])
    numbers = uniform(keys, shape=(DRAWS, 4))

    def one(numbers, share):
        def draw(i, mask):
            top, left = jnp.floor(numbers[i, :2] * jnp.array([rows - 1, columns - 1]))
            height, width = 1 + jnp.floor(numbers[i, 2:] * (largest - 1))
            enough = mask.sum() >= share * rows * columns
            return jnp.where(enough, mask, mask | rectangles(grid, top, left, height, width))

        return jax.lax.fori_loop(0, DRAWS, draw, jnp.zeros(grid, bool))

    return jax.vmap(one)(numbers, share)
