"""I-JEPA's masks: several target blocks to predict, and one large context block without them."""

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
    """Draws I-JEPA's context and target blocks.

    As in the authors' collator, all target blocks of a batch have one size, and so have all context blocks;
    places are drawn for each image. No block reaches the last row or column. Contexts are cut to the size of
    the smallest one in their share of the batch, keeping their first patches.

    Args:
        keys: [B], one for each sample; sizes depend on the set of keys, not on their order.
        grid: (rows, columns).
        targets: the number M of target blocks.
        target_scale, context_scale: least and greatest area in shares of the grid.
        target_aspect: least and greatest height / width of a target block.
        min_keep: a context that does not have more patches than this is drawn again.
        tries: the most draws of a context; after these the largest one is kept.
        together: the most contexts that are cut to one size, a GPU's share of the authors' batch. A larger
            batch is divided at random, by the keys, into shares of about equal size.
    Returns:
        (context [B, N], targets [M, B, N]) bool, True = hidden: the patches of the context are those where
        its mask is False, the patches of a target block those where its mask is True. No target patch is ever
        in its image's context.
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
        """[..., 2] in [0, 1) -> [..., N], blocks of the size, placed by these shares of the free rows and
        columns.
        """
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
    share = ranks(uniform(fold_keys(keys, 1))) * shares // len(keys)  # by the keys, whatever their order
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
    """Computes the most patches that a context and a target of `multiblock_masks` can have, as static sizes
    of their index arrays.

    For the context it is the size of its block less that of one target, which a context of the usual scale
    always loses.

    Args:
        grid: (rows, columns).
        target_scale, target_aspect, context_scale: as for `multiblock_masks`.
    Returns:
        (context, target).
    Examples:
        >>> multiblock_sizes((14, 14))
        (139, 40)
    """

    def areas(scale, aspect):
        height, width = _block_size(np.linspace(0, 1, 1001), grid, scale, aspect, numpy=np)
        return height * width

    targets = areas(target_scale, target_aspect)
    return int(areas(context_scale, (1.0, 1.0)).max() - targets.min()), int(targets.max())


def _block_size(number, grid, scale, aspect, *, numpy=jnp):
    """Computes the (height, width) of a block from a number in [0, 1)."""
    area = numpy.floor(math.prod(grid) * (scale[0] + number * (scale[1] - scale[0])))
    shape = aspect[0] + number * (aspect[1] - aspect[0])
    height, width = numpy.round(numpy.sqrt(area * shape)), numpy.round(numpy.sqrt(area / shape))
    return numpy.clip(height, 1, grid[0] - 1), numpy.clip(width, 1, grid[1] - 1)
