"""Which patches are hidden: boolean masks [B, N], True = hidden, with static shapes and one key per sample.

Everywhere `key` is one key, of which every sample draws its own by its place in the batch, or [B] keys, one per
sample (`augment.sample_keys`), and `grid` is (rows, columns) of patches, row-major, N = rows * columns.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.keys import fold_keys, sample_keys


def _keys(key, batch):
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if jnp.ndim(key) == 0:
        return sample_keys(key, jnp.arange(batch))
    if key.shape != (batch,):
        raise ValueError(f"key must be one key or [{batch}] keys, got shape {key.shape}")
    return key


def _check_ratio(ratio):
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio must lie in [0, 1], got {ratio}")


def _ranks(values):
    """[B, N] -> the place of each value in its row's ascending order."""
    return jnp.argsort(jnp.argsort(values, -1), -1)


def random_mask(key: jax.Array, batch: int, grid: tuple[int, int], *, ratio: float) -> jax.Array:
    """Patches hidden independently of each other: N - int(N * (1 - ratio)) of them (MAE, arXiv:2111.06377).

    Returns: [batch, N] bool.

    >>> random_mask(jax.random.key(0), 2, (4, 4), ratio=0.75).sum(-1).tolist()
    [12, 12]
    """
    _check_ratio(ratio)
    patches = math.prod(grid)
    noise = jax.vmap(lambda k: jax.random.uniform(k, (patches,)))(_keys(key, batch))
    return _ranks(noise) >= int(patches * (1 - ratio))


def unit_mask(key: jax.Array, batch: int, grid: tuple[int, int], *, ratio: float, unit: int) -> jax.Array:
    """Square units of unit x unit patches hidden together: ceil(units * ratio) units (SimMIM, arXiv:2111.09886).

    Returns: [batch, N] bool.

    Raises: ValueError where `unit` does not divide the grid.
    """
    rows, columns = grid
    if rows % unit or columns % unit:
        raise ValueError(f"unit must divide the grid {grid}, got {unit}")
    coarse = (rows // unit, columns // unit)
    mask = random_mask(key, batch, coarse, ratio=ratio).reshape(batch, *coarse)
    return mask.repeat(unit, 1).repeat(unit, 2).reshape(batch, rows * columns)


def attention_mask(attention: jax.Array, *, ratio: float) -> jax.Array:
    """The int(N * ratio) most attended patches hidden (AttMask, arXiv:2203.12719).

    attention: [B, N], the class token's attention to each patch, the mean over heads.

    Returns: [B, N] bool.

    >>> attention_mask(jnp.array([[0.1, 0.6, 0.2, 0.1]]), ratio=0.5).tolist()
    [[False, True, True, False]]
    """
    _check_ratio(ratio)
    if attention.ndim != 2:
        raise ValueError(f"attention must be [B, N], the mean over heads, got shape {attention.shape}")
    return _ranks(-attention) < int(attention.shape[-1] * ratio)


def low_attention_mask(attention: jax.Array, *, ratio: float) -> jax.Array:
    """The int(N * ratio) least attended patches hidden (AttMask-Low, arXiv:2203.12719).

    attention: [B, N].

    Returns: [B, N] bool.
    """
    return attention_mask(-attention, ratio=ratio)


def hint_attention_mask(
    key: jax.Array, attention: jax.Array, *, ratio: float, show: float = 0.1
) -> jax.Array:
    """The most attended patches hidden, but for a few of the very top shown as hints (AttMask-Hint, arXiv:2203.12719).

    attention: [B, N].
    show: int(show * ratio * N) of the int(show * N) most attended patches are revealed, drawn at random.

    Returns: [B, N] bool.
    """
    _check_ratio(show)
    hidden = attention_mask(attention, ratio=ratio)
    batch, patches = attention.shape
    noise = jax.vmap(lambda k: jax.random.uniform(k, (patches,)))(_keys(key, batch))
    top = attention_mask(attention, ratio=show)
    revealed = _ranks(jnp.where(top, noise, 2)) < int(show * ratio * patches)
    return hidden & ~revealed


def _rectangle(grid, top, left, height, width):
    """[..., rows * columns] bool: the patches inside rectangles of the leading shape."""
    rows, columns = (jnp.arange(side) for side in grid)
    vertical = (rows >= top[..., None]) & (rows < (top + height)[..., None])
    horizontal = (columns >= left[..., None]) & (columns < (left + width)[..., None])
    return (vertical[..., :, None] & horizontal[..., None, :]).reshape(*top.shape, rows.size * columns.size)


def block_mask(
    key: jax.Array,
    batch: int,
    grid: tuple[int, int],
    *,
    count: int | jax.Array,
    min_block: int = 16,
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    tries: int = 10,
    draws: int = 64,
) -> jax.Array:
    """Rectangles hidden until `count` patches are (BEiT, arXiv:2106.08254, algorithm 1).

    A rectangle has an area uniform in [min_block, what is left of count] and a log-uniform aspect; it is taken if its
    new patches fit what is left. `tries` refusals in a row end it, so the number hidden is usually a little below.

    count: patches to hide at most, one number or [batch], may be traced (iBOT draws one for each image; 0: none).
    draws: rectangles drawn at most, a static bound that is practically never reached.

    Returns: [batch, N] bool.
    """
    rows, columns = grid
    counts = jnp.broadcast_to(jnp.asarray(count, jnp.int32), (batch,))

    def draw(carry, key, count):
        mask, fails = carry
        left_over = count - mask.sum()
        area, shape, y, x = jax.random.uniform(key, (4,))
        area = min_block + area * (left_over - min_block)
        shape = jnp.exp(math.log(aspect[0]) + shape * (math.log(aspect[1]) - math.log(aspect[0])))
        height, width = jnp.round(jnp.sqrt(area * shape)), jnp.round(jnp.sqrt(area / shape))
        top, left = jnp.floor(y * (rows - height + 1)), jnp.floor(x * (columns - width + 1))
        block = _rectangle(grid, top, left, height, width)
        new = (block & ~mask).sum()
        open_ = (fails < tries) & (left_over > 0)
        taken = open_ & (height < rows) & (width < columns) & (new > 0) & (new <= left_over)
        return jnp.where(taken, mask | block, mask), jnp.where(taken, 0, fails + 1)

    def one(key, count):
        # A fixed number of draws, finished samples drawing in vain: a loop that waits for the slowest sample would
        # need a message between devices at every turn.
        keys = jax.random.split(key, draws)
        start = (jnp.zeros(rows * columns, bool), jnp.int32(0))
        return jax.lax.fori_loop(0, draws, lambda i, carry: draw(carry, keys[i], count), start)[0]

    return jax.vmap(one)(_keys(key, batch), counts)


def multiblock_masks(
    key: jax.Array,
    batch: int,
    grid: tuple[int, int],
    *,
    targets: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.2),
    target_aspect: tuple[float, float] = (0.75, 1.5),
    context_scale: tuple[float, float] = (0.85, 1.0),
    min_keep: int = 10,
    tries: int = 8,
) -> tuple[jax.Array, jax.Array]:
    """I-JEPA's blocks: several to predict, and one large context without them (arXiv:2301.08243).

    As the authors' collator: one size of target block and of context block per batch, places per image, no block in the
    last row or column; the contexts are cut to the smallest of the batch, keeping their first patches.

    targets: how many target blocks; *_scale: area in shares of the grid; target_aspect: height / width.
    min_keep: contexts smaller than this are drawn again, `tries` times at most, the largest being kept then.

    Returns: (context [batch, N], targets [targets, batch, N]) bool, True = hidden: the context is where context is
        False, a target block where its mask is True. No target patch is ever in its image's context.
    """
    rows, columns = grid
    if min(grid) < 2:
        raise ValueError(f"grid must have at least two rows and columns, got {grid}")
    # Sizes are the batch's: their key must not be a sample's.
    keys = _keys(key, batch)
    size_key = jax.random.fold_in(keys[0] if jnp.ndim(key) else key, 2**31 - 1)
    size_keys = jax.random.split(size_key)

    def block_size(key, scale, aspect):
        # One number drives both area and aspect, as in the authors' code.
        u = jax.random.uniform(key)
        area = jnp.floor(rows * columns * (scale[0] + u * (scale[1] - scale[0])))
        shape = aspect[0] + u * (aspect[1] - aspect[0])
        height, width = jnp.round(jnp.sqrt(area * shape)), jnp.round(jnp.sqrt(area / shape))
        return jnp.clip(height, 1, rows - 1), jnp.clip(width, 1, columns - 1)

    target_size = block_size(size_keys[0], target_scale, target_aspect)
    context_size = block_size(size_keys[1], context_scale, (1.0, 1.0))

    def place(key, size, number):
        y, x = jax.random.uniform(key, (2, number))
        height, width = size
        top, left = jnp.floor(y * (rows - height)), jnp.floor(x * (columns - width))
        return _rectangle(grid, top, left, jnp.full(number, height), jnp.full(number, width))

    def attempt(key):
        target_key, context_key = jax.random.split(key)
        hidden = place(target_key, target_size, targets)
        visible = place(context_key, context_size, 1)[0] & ~hidden.any(0)
        return visible, hidden

    def one(key):
        visible, hidden = jax.vmap(attempt)(jax.random.split(key, tries))
        kept = jnp.minimum(visible.sum(-1), min_keep)
        best = jnp.argmax(kept)  # the first that is large enough
        return visible[best], hidden[best]

    visible, hidden = jax.vmap(one)(fold_keys(keys, 0))
    smallest = visible.sum(-1).min()
    visible &= jnp.cumsum(visible, -1) <= smallest
    return ~visible, hidden.swapaxes(0, 1)


def visible_indices(mask: jax.Array, count: int) -> jax.Array:
    """The first `count` visible patches of each mask, in order: what an encoder that drops tokens is given.

    A mask with fewer visible patches has them repeated in turn: a hidden patch is never handed out.

    mask: [B, N] bool, True = hidden, at least one visible; count: a static number.

    Returns: [B, count] int32. To read a target block instead, hand in its complement: visible_indices(~target, n).

    >>> visible_indices(jnp.array([[True, False, False, True], [False, True, True, True]]), 2).tolist()
    [[1, 2], [0, 0]]
    """
    if mask.dtype != jnp.bool_ or mask.ndim != 2:
        raise ValueError(f"mask must be bool [B, N], True = hidden, got {mask.dtype} {mask.shape}")
    if not 1 <= count <= mask.shape[-1]:
        raise ValueError(f"count must lie between 1 and the {mask.shape[-1]} patches, got {count}")
    order = jnp.argsort(mask, axis=-1, stable=True)
    turn = jnp.arange(count) % jnp.maximum((~mask).sum(-1, keepdims=True), 1)
    return jnp.take_along_axis(order, turn, -1).astype(jnp.int32)


def multiblock_sizes(
    grid: tuple[int, int],
    *,
    target_scale: tuple[float, float] = (0.15, 0.2),
    target_aspect: tuple[float, float] = (0.75, 1.5),
    context_scale: tuple[float, float] = (0.85, 1.0),
) -> tuple[int, int]:
    """The most patches that a context and a target of `multiblock_masks` have: static sizes for their indices.

    The context's is that of its block less one target, which a block of the usual scale always loses.

    Returns: (context, target).

    >>> multiblock_sizes((14, 14))
    (139, 40)
    """

    def areas(scale, aspect):
        u = np.linspace(0, 1, 1001)
        area = np.floor(math.prod(grid) * (scale[0] + u * (scale[1] - scale[0])))
        shape = aspect[0] + u * (aspect[1] - aspect[0])
        height, width = np.round(np.sqrt(area * shape)), np.round(np.sqrt(area / shape))
        return np.clip(height, 1, grid[0] - 1) * np.clip(width, 1, grid[1] - 1)

    targets = areas(target_scale, target_aspect)
    return int(areas(context_scale, (1.0, 1.0)).max() - targets.min()), int(targets.max())
