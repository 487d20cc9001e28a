"""Tiles: images cut into cells, a square out of each."""

import jax
import jax.numpy as jnp

from jssl.arrays.keys import check_keys, uniform


def shuffled_tiles(keys: jax.Array, images: jax.Array, *, cells: int = 3, side: int) -> jax.Array:
    """Cuts a square out of each cell of a grid, at a random place in it, and puts them in random order.

    Args:
        keys: [B], one for each image.
        images: [B, H, W, C].
        cells: in each row and column of the grid.
        side: of a tile in pixels, at most that of a cell; the less it is, the more tiles are apart.
    Returns:
        [B, cells * cells, side, side, C].
    Raises:
        ValueError: for tiles larger than cells, or keys that are not [B].
    References:
        arXiv:1603.09246

    >>> shuffled_tiles(jax.random.split(jax.random.key(0), 2), jnp.ones((2, 12, 12, 3)), side=3).shape
    (2, 9, 3, 3, 3)
    """
    check_keys(keys)
    rows, columns = (size // cells for size in images.shape[1:3])
    if not 0 < side <= min(rows, columns):
        raise ValueError(
            f"side must lie between 1 and a cell's {min(rows, columns)} pixels, got {side}; images are "
            f"{images.shape[1]} x {images.shape[2]}, cells {cells} x {cells}"
        )
    draws = uniform(keys, shape=(cells * cells, 3))
    room = jnp.array([rows - side + 1, columns - side + 1])
    corner = jnp.stack(jnp.divmod(jnp.arange(cells * cells), cells), axis=-1) * jnp.array([rows, columns])
    corners = (corner + jnp.floor(draws[..., :2] * room)).astype(jnp.int32)

    def cut(image, corners, order):
        def one(corner):
            return jax.lax.dynamic_slice(image, (*corner, 0), (side, side, image.shape[-1]))

        return jax.vmap(one)(corners[order])

    return jax.vmap(cut)(images, corners, jnp.argsort(draws[..., 2], axis=1))
