"""Which patches are hidden: boolean masks [B, N], True = hidden, with static shapes.

`keys` are [B] keys, one for each sample: `jssl.arrays.keys.sample_keys` folds them from the samples' indices,
so that permuting a batch permutes its masks. `grid` is (rows, columns) of patches, row-major, N = rows *
columns.
"""

from jssl.masks.attention import attention_mask, hint_attention_mask, low_attention_mask
from jssl.masks.block import block_mask, exact_block_mask
from jssl.masks.multiblock import multiblock_masks, multiblock_sizes
from jssl.masks.places import Masking, hidden_indices, visible_indices
from jssl.masks.random import random_mask, unit_mask

__all__ = [
    "Masking",
    "attention_mask",
    "block_mask",
    "exact_block_mask",
    "hidden_indices",
    "hint_attention_mask",
    "low_attention_mask",
    "multiblock_masks",
    "multiblock_sizes",
    "random_mask",
    "unit_mask",
    "visible_indices",
]
