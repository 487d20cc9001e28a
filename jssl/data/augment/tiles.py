"""Tiles: squares cut out of the cells of a grid, and augmentations that hide traces of their places, so that
a puzzle has to be solved by what the tiles show.
"""

import jax
import jax.numpy as jnp

from jssl.arrays.keys import check_keys, fold_keys, uniform


def cell_tiles(
    keys: jax.Array,
    images: jax.Array,
    *,
    cells: int = 3,
    side: int,
    jitter: int | None = None,
    apart: int = 0,
) -> jax.Array:
    """Cuts a square out of each cell of a grid, at a random place in it.

    Gaps between tiles and a shift between channels keep a network from solving the puzzle by lines that go on
    across a border, or by the lens's chromatic aberration.

    Args:
        keys: [B], one for each image.
        images: [B, H, W, C].
        cells: in each row and column of the grid.
        side: of a tile in pixels, at most that of a cell; smaller tiles lie farther apart.
        jitter: how far a tile lies from its cell's middle at most, in pixels of each axis; None: anywhere in
            the cell.
        apart: how far a tile's channels are shifted against each other at most, in pixels; they stay in the
            cell.
    Returns:
        [B, cells * cells, side, side, C], row by row.
    Raises:
        ValueError: for tiles that do not fit into cells, or keys that are not [B].
    References:
        arXiv:1505.05192, arXiv:1603.09246
    Examples:
        >>> cell_tiles(jax.random.split(jax.random.key(0), 2), jnp.ones((2, 12, 12, 3)), side=3).shape
        (2, 9, 3, 3, 3)
    """
    check_keys(keys)
    rows, columns = (size // cells for size in images.shape[1:3])
    channels = images.shape[-1]
    if not 0 < side <= min(rows, columns) - apart:
        raise ValueError(
            f"side must lie between 1 and the {min(rows, columns) - apart} pixels of a cell where channels "
            f"move {apart}, got {side}; images are {images.shape[1]} x {images.shape[2]}, cells {cells} x "
            f"{cells}"
        )
    room = jnp.array([rows - side - apart, columns - side - apart])
    if jitter is not None and 2 * jitter > min(rows, columns) - side - apart:
        raise ValueError(
            f"jitter must leave a tile in its cell, at most {(min(rows, columns) - side - apart) // 2} "
            f"pixels, got {jitter}"
        )
    draws = uniform(keys, shape=(cells * cells, 2))
    if jitter is None:
        shifts = jnp.floor(draws * (room + 1))
    else:
        shifts = room // 2 - jitter + jnp.floor(draws * (2 * jitter + 1))
    corner = jnp.stack(jnp.divmod(jnp.arange(cells * cells), cells), axis=-1) * jnp.array([rows, columns])
    corners = jnp.broadcast_to((corner + shifts)[..., None, :], (*shifts.shape[:2], channels, 2))
    if apart:
        corners += jnp.floor(uniform(fold_keys(keys, 1), high=apart + 1, shape=corners.shape[1:]))

    def cut(channel, corner):
        return jax.lax.dynamic_slice(channel, (corner[0], corner[1]), (side, side))

    def whole(image, corners):
        return jax.lax.dynamic_slice(image, (*corners[0], 0), (side, side, channels))

    def each(image, corners):
        if not apart:
            return jax.vmap(whole, (None, 0))(image, corners)
        return jax.vmap(jax.vmap(cut, (-1, 0), -1), (None, 0))(image, corners)

    return jax.vmap(each)(images, corners.astype(jnp.int32))


def shuffled_tiles(keys: jax.Array, images: jax.Array, *, cells: int = 3, side: int) -> jax.Array:
    """Cuts a square out of each cell of a grid, at a random place in it, and puts them in random order.

    Args:
        keys, images, cells, side: as for `cell_tiles`.
    Returns:
        [B, cells * cells, side, side, C].
    Raises:
        ValueError: for tiles larger than cells, or keys that are not [B].
    References:
        arXiv:1603.09246
    Examples:
        >>> shuffled_tiles(jax.random.split(jax.random.key(0), 2), jnp.ones((2, 12, 12, 3)), side=3).shape
        (2, 9, 3, 3, 3)
    """
    tiles = cell_tiles(keys, images, cells=cells, side=side)
    order = jnp.argsort(uniform(fold_keys(keys, 2), shape=tiles.shape[1:2]), axis=1)
    return jax.vmap(lambda tiles, order: tiles[order])(tiles, order)


def standardized_tiles(tiles: jax.Array, *, epsilon: float = 1e-6) -> jax.Array:
    """Gives each tile, all its channels together, mean 0 and variance 1, so that its brightness and contrast
    say nothing of its place.

    Args:
        tiles: [..., h, w, C].
        epsilon: added to the variance; a tile of one color becomes 0.
    Returns:
        [..., h, w, C].
    References:
        arXiv:1603.09246
    """
    return jax.nn.standardize(tiles, axis=(-3, -2, -1), epsilon=epsilon)


def one_channel(keys: jax.Array, tiles: jax.Array, *, share: float = 1.0, noise: float = 0.01) -> jax.Array:
    """Keeps one channel of each tile and fills the others with noise, so that channels cannot be compared.

    Args:
        keys: [B].
        tiles: [B, N, h, w, C], normalised, not yet standardised.
        share: of the images that this is done to.
        noise: its largest absolute value; half a grey level in the authors' code.
    Returns:
        [B, N, h, w, C]; the channel that is kept has mean 0.
    References:
        arXiv:1505.05192; cdoersch/deepcontext, train.py
    Examples:
        >>> one_channel(jax.random.split(jax.random.key(0), 2), jnp.ones((2, 9, 4, 4, 3)), noise=0.0).any()
        Array(False, dtype=bool)
    """
    check_keys(keys)
    images, number, *_, channels = tiles.shape
    draws = uniform(fold_keys(keys, 0), shape=(number + 1,))
    kept = jnp.floor(draws[:, 1:] * channels).astype(jnp.int32)
    alone = jax.nn.one_hot(kept, channels, dtype=bool)[:, :, None, None]
    others = uniform(fold_keys(keys, 1), -noise, noise, shape=tiles.shape[1:]).astype(tiles.dtype)
    own = tiles - jnp.mean(tiles, axis=(-3, -2), keepdims=True)
    chosen = (draws[:, 0] < share).reshape(images, 1, 1, 1, 1)
    return jnp.where(chosen, jnp.where(alone, own, others), tiles)


def intruded(keys: jax.Array, tiles: jax.Array, *, most: int) -> tuple[jax.Array, jax.Array]:
    """Replaces some tiles of each image by tiles of another image, from anywhere in it.

    Args:
        keys: [B].
        tiles: [B, N, h, w, C]; the other image is the one before in the batch.
        most: the largest number of tiles replaced; each number from 0 on is equally likely.
    Returns:
        ([B, N, h, w, C], [B, N] True where a tile is another image's).
    Raises:
        ValueError: for a batch of one, in which there is no other image, or keys that are not [B].
    References:
        arXiv:1805.00385
    """
    check_keys(keys)
    images, number = tiles.shape[:2]
    if most and images < 2:
        raise ValueError("intruders are another image's tiles, got a batch of 1")
    draws = uniform(keys, shape=(2 * number + 1,))
    foreign = jnp.argsort(jnp.argsort(draws[:, :number], axis=1), axis=1) < jnp.floor(
        draws[:, -1:] * (most + 1)
    )
    order = jnp.argsort(draws[:, number:-1], axis=1)
    others = jax.vmap(lambda tiles, order: tiles[order])(jnp.roll(tiles, 1, axis=0), order)
    return jnp.where(foreign.reshape(images, number, 1, 1, 1), others, tiles), foreign


def halved(keys: jax.Array, images: jax.Array) -> jax.Array:
    """Halves images by a method drawn for each, so that no method's traces tell that an image was halved.

    Args:
        keys: [B].
        images: [B, H, W, C], H and W even.
    Returns:
        [B, H / 2, W / 2, C]: means of four pixels, or sampled bilinearly, bicubically or by Lanczos' kernel.
    Raises:
        ValueError: for odd sides.
    References:
        arXiv:1708.06734
    Examples:
        >>> halved(jax.random.split(jax.random.key(0), 2), jnp.ones((2, 8, 8, 3))).shape
        (2, 4, 4, 3)
    """
    check_keys(keys)
    number, rows, columns, channels = images.shape
    if rows % 2 or columns % 2:
        raise ValueError(f"images of even sides are halved, got {rows} x {columns}; choose another --size")
    size = (number, rows // 2, columns // 2, channels)
    means = images.reshape(number, rows // 2, 2, columns // 2, 2, channels).mean((2, 4))
    sampled = [jax.image.resize(images, size, method) for method in ("linear", "cubic", "lanczos3")]
    chosen = jnp.floor(uniform(keys) * 4).astype(jnp.int32)
    return jnp.select([(chosen == i)[:, None, None, None] for i in range(3)], sampled, means)
