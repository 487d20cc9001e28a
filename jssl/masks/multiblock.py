"""Several blocks to predict, and one large context without them."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.grids import rectangles
from jssl.arrays.keys import batch_key, check_keys, fold_keys, uniform
from jssl.masks.random import check_grid, ranks


def multiblock_masks(
    keys: jax.Array,
    grid: tuple[int, int],
    *,
    targets: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.2),
    target_aspect: tuple[float, float] = (0.75, 1.5),
    context_scale: tuple[float, float] = (0.85, 1.0),
    min_keep: int = 10,
    tries: int = 8,
    together: int = 128,
) -> tuple[jax.Array, jax.Array]:
    """Draws I-JEPA's blocks.

    As the authors' collator: one size of target block and of context block per batch, places per image, no
    block in the last row or column; contexts are cut to the smallest of a share of the batch, keeping their
    first patches.

    Args:
        keys: [B], one for each sample; the sizes follow the set of them, whatever its order.
        grid: (rows, columns).
        targets: how many target blocks M.
        target_scale, context_scale: least and greatest area in shares of the grid.
        target_aspect: least and greatest height / width of a target block.
        min_keep: a context has more patches than this, or is drawn again.
        tries: how often at most, the largest being kept then.
        together: how many contexts have one size at most, a GPU's share of the authors' batch. A larger
            batch falls into shares of like size, drawn from the keys.
    Returns:
        (context [B, N], targets [M, B, N]) bool, True = hidden: the context is where context is False, a
        target block where its mask is True. No target patch is ever in its image's context.
    Raises:
        ValueError: for a grid of less than two rows or columns.
    References:
        I-JEPA, arXiv:2301.08243
    """
    check_keys(keys)
    check_grid(grid)
    # One number drives both area and aspect, as in the authors' code.
    target_number, context_number = jax.random.uniform(batch_key(keys), (2,))
    target_size = _block_size(target_number, grid, target_scale, target_aspect)
    context_size = _block_size(context_number, grid, context_scale, (1.0, 1.0))

    def place(numbers, size):
        """[..., 2] -> [..., N], blocks of the size at these shares of the room."""
        height, width = size
        top = jnp.floor(numbers[..., 0] * (grid[0] - height))
        left = jnp.floor(numbers[..., 1] * (grid[1] - width))
        return rectangles(grid, top, left, height, width).reshape(*top.shape, -1)

    numbers = uniform(fold_keys(keys, 0), shape=(tries, targets + 1, 2))
    hidden = place(numbers[:, :, :targets], target_size)  # [B, tries, M, N]
    visible = place(numbers[:, :, targets], context_size) & ~hidden.any(2)  # [B, tries, N]
    best = jnp.argmax(jnp.minimum(visible.sum(-1), min_keep + 1), axis=1)  # the first that is large enough
    hidden, visible = (jax.vmap(lambda x, i: x[i])(x, best) for x in (hidden, visible))
    shares = -(-len(keys) // together)
    share = ranks(uniform(fold_keys(keys, 1))) * shares // len(keys)  # of the keys, whatever their order
    smallest = jax.ops.segment_min(visible.sum(-1), share, shares)
    visible &= jnp.cumsum(visible, -1) <= smallest[share][:, None]
    return ~visible, hidden.swapaxes(0, 1)


def multiblock_sizes(
    grid: tuple[int, int],
    *,
    target_scale: tuple[float, float] = (0.15, 0.2),
    target_aspect: tuple[float, float] = (0.75, 1.5),
    context_scale: tuple[float, float] = (0.85, 1.0),
) -> tuple[int, int]:
    """Counts the most patches that a context and a target of `multiblock_masks` have: static sizes for their
    indices.

    The context's is that of its block less one target, which a block of the usual scale always loses.

    Args:
        grid: (rows, columns).
        target_scale, target_aspect, context_scale: as for `multiblock_masks`.
    Returns:
        (context, target).

    >>> multiblock_sizes((14, 14))
    (139, 40)
    """

    def areas(scale, aspect):
        height, width = _block_size(np.linspace(0, 1, 1001), grid, scale, aspect, numpy=np)
        return height * width

    targets = areas(target_scale, target_aspect)
    return int(areas(context_scale, (1.0, 1.0)).max() - targets.min()), int(targets.max())


def _block_size(number, grid, scale, aspect, *, numpy=jnp):
    """(height, width) of the block that a number in [0, 1) stands for."""
    area = numpy.floor(math.prod(grid) * (scale[0] + number * (scale[1] - scale[0])))
    shape = aspect[0] + number * (aspect[1] - aspect[0])
    height, width = numpy.round(numpy.sqrt(area * shape)), numpy.round(numpy.sqrt(area / shape))
    return numpy.clip(height, 1, grid[0] - 1), numpy.clip(width, 1, grid[1] - 1)
