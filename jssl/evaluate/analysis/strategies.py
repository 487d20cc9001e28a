"""The masks of every masking strategy for the same images."""

from collections import OrderedDict
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.keys import sample_keys
from jssl.arrays.programs import used_seldom
from jssl.masks import (
    attention_mask,
    block_mask,
    exact_block_mask,
    hint_attention_mask,
    low_attention_mask,
    multiblock_masks,
    random_mask,
    unit_mask,
)


def masks_of_all(attention, grid: tuple[int, int]) -> dict[str, np.ndarray]:
    """Draws one mask of every strategy for each image, at the papers' shares.

    Args:
        attention: [B, N] of the class token, which masks by attention follow.
        grid: (rows, columns) of patches.
    Returns:
        {name: [B, N] bool}, True = hidden, as `jssl.evaluate.figures.mask_gallery` takes it.
    """
    drawn = used_seldom(partial(_drawn, grid=grid))(jnp.asarray(attention))
    return {name: np.asarray(mask) for name, mask in drawn.items()}


def _drawn(attention: jax.Array, grid: tuple[int, int]) -> OrderedDict[str, jax.Array]:
    """The same on the device, as an `OrderedDict`: a compiled function would sort the names of a dict."""
    keys = sample_keys(jax.random.key(0), jnp.arange(len(attention)))
    context, targets = multiblock_masks(keys, grid)
    patches = grid[0] * grid[1]
    smallest = max(1, min(16, patches // 12))
    masks = {
        "random (MAE)": random_mask(keys, grid, ratio=0.75),
        "units (SimMIM)": unit_mask(keys, grid, ratio=0.6, unit=2),
        "blocks (BEiT)": block_mask(keys, grid, count=int(0.4 * patches), min_block=smallest),
        "exact blocks (CAE)": exact_block_mask(keys, grid, count=patches // 2, min_block=smallest),
        "one half (SplitMask)": random_mask(keys, grid, ratio=0.5),
        "context (I-JEPA)": context,
        "all but targets (I-JEPA)": ~targets.any(0),
        "most attended (AttMask)": attention_mask(attention, ratio=0.4),
        "all but hints (AttMask)": hint_attention_mask(keys, attention, ratio=0.4, show=0.2),
        "least attended": low_attention_mask(attention, ratio=0.4),
    }
    return OrderedDict(masks)
