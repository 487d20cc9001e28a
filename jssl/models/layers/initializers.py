"""Initial weights, as in the published code."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jssl.arrays.trees import names

xavier = nn.initializers.xavier_uniform()
fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
torch_linear = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # torch's default


def truncated_normal(deviation: float) -> Callable:
    """Makes an initialiser: a normal distribution, cut at the values -2 and 2, as `trunc_normal_` of torch
    and timm.

    `flax.linen.initializers.truncated_normal` cuts at two standard deviations, which leaves 0.88 of the given
    deviation.

    Args:
        deviation: of the weights.
    Returns:
        (key, shape, dtype) -> array
    """
    return nn.initializers.truncated_normal(deviation, lower=-2 / deviation, upper=2 / deviation)


kernel_init = truncated_normal(0.02)  # for the published sizes; too small for a width of 100


def xavier_apart(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Draws a kernel by Xavier's uniform rule; the joint kernel [D, 3 D] of queries, keys and values counts
    as three of [D, D].

    Args:
        key: of the draw.
        shape: (rows, columns).
        dtype: of the kernel.
    Returns:
        [rows, columns]
    References:
        MoCo v3, arXiv:2104.02057; facebookresearch/moco-v3, vits.py
    Examples:
        >>> round(float(xavier_apart(jax.random.key(0), (100, 300)).max()), 2)  # sqrt(6 / 200)
        0.17
    """
    rows, columns = shape
    limit = (6 / (rows + (rows if columns == 3 * rows else columns))) ** 0.5
    return jax.random.uniform(key, shape, dtype, -limit, limit)


def clip_text_init(depth: int) -> Callable:
    """Makes the initialiser of the blocks of CLIP's text transformer.

    The shape of a kernel shows which of a block's four it is, for a width D: queries, keys and values
    [D, 3 D], the attention's output [D, D], and the mlp's [D, 4 D] and [4 D, D].

    Args:
        depth: blocks of the transformer; kernels whose output is added to the residual stream are smaller by
            sqrt(2 depth).
    Returns:
        (key, shape, dtype) -> array
    References:
        arXiv:2103.00020; openai/CLIP, `CLIP.initialize_parameters`
    Examples:
        >>> round(float(clip_text_init(12)(jax.random.key(0), (100, 300)).std()), 2)
        0.1
    """

    def init(key, shape, dtype=jnp.float32):
        rows, columns = shape
        dim = min(shape)
        wider = 1 if columns == 3 * rows else 2 if columns > rows else 2 * depth
        return (dim * wider) ** -0.5 * jax.random.normal(key, shape, dtype)

    return init


def clip_image_init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Draws a kernel of CLIP's image transformer, by torch's defaults: [D, 3 D] by Xavier, the rest uniform.

    Args:
        key: of the draw.
        shape: (rows, columns).
        dtype: of the kernel.
    Returns:
        [rows, columns]
    References:
        arXiv:2103.00020; openai/CLIP, `VisionTransformer`
    """
    rows, columns = shape
    return (xavier if columns == 3 * rows else torch_linear)(key, shape, dtype)


def depth_scaled(blocks: dict[str, Any]) -> dict[str, Any]:
    """Divides the kernels whose output is added to the residual stream by sqrt(2 n) in the n-th block, as
    BEiT and SimMIM do.

    Args:
        blocks: first parameters, {"block_0": ..., "block_1": ...}.
    Returns:
        The same with smaller kernels of `attn/proj` and `mlp/fc2`.
    References:
        BEiT, arXiv:2106.08254, and SimMIM, arXiv:2111.09886, `fix_init_weight`
    """

    def scaled(path, leaf):
        block, *inner = names(path)
        leads_back = tuple(inner) in (("attn", "proj", "kernel"), ("mlp", "fc2", "kernel"))
        return leaf / (2 * (int(block.removeprefix("block_")) + 1)) ** 0.5 if leads_back else leaf

    return jax.tree_util.tree_map_with_path(scaled, blocks)
