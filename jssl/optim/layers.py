"""Layer-wise learning rates: the closer a layer is to the image, the smaller its rate."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl.arrays.stacks import BY_BLOCK, STACKED, is_stacked
from jssl.arrays.trees import by_path, names
from jssl.optim.parameters import POSITION, RELATIVE, TOKEN

# block_3, EncoderBlock_3, stage1_0
_BLOCK = re.compile(r"\w*blocks?_?\d+|(stage|layer)\d+_\d+", re.IGNORECASE)
_MERGE = re.compile(r"merge(\d+)")  # Swin's, before the first block of a stage
_FIRST = re.compile(r"embed|stem|input$|^(conv|bn)1$", re.IGNORECASE)


def layer_decay(params, rate: float):
    """Computes the scale of each parameter's learning rate when fine-tuning: rate ** (depth + 1 - layer).

    Layers are known by the names along a parameter's path:
      layer 0          outside any block: a token, positions, or a name holding `embed`, `stem` or `input`
      layer i + 1      the i-th block, in natural order of the paths down to `block_3`, `EncoderBlock_3`,
                       `blocks/3`, or `stage1_0` of a hierarchical network, whose `merge1` goes with the block
                       before it
      layer depth + 1  all the rest, relative positions shared by the blocks, the final norm and the head:
                       scale 1; relative positions of each block's own, side by side in `tables` and
                       `classes`, go with their blocks
    Pass the encoder and its new head alone: a decoder's blocks would count as deeper layers.

    Args:
        params: a pytree of arrays.
        rate: in (0, 1]; MAE has 0.65 for ViT-B and 0.75 for ViT-L.
    Returns:
        A pytree of floats of the same structure, for `scale_updates`.
    Raises:
        ValueError: if rate lies outside (0, 1], or if no path names a block.
    References:
        BEiT, arXiv:2106.08254
        MAE, arXiv:2111.06377, `util/lr_decay.py`
    Examples:
        >>> params = {name: jnp.ones(2) for name in ("pos_embed", "block_0", "block_1", "head")}
        >>> layer_decay(params, 0.5)
        {'block_0': 0.25, 'block_1': 0.5, 'head': 1.0, 'pos_embed': 0.125}
    """
    if not 0.0 < rate <= 1.0:
        raise ValueError(f"layer_decay: rate must lie in (0, 1], got {rate}")
    layers, last = layer_numbers(params)
    return jax.tree.map(lambda layer: float(rate) ** (last - layer), layers)


def layer_numbers(params):
    """Numbers the layer of each parameter, by the rules of `layer_decay`.

    Args:
        params: a pytree of arrays.
    Returns:
        (a pytree of integers of the same structure, with an array that broadcasts for a leaf that holds the
        parameters of all blocks; the number of the last layer).
    Raises:
        ValueError: if no path names a block.
    Examples:
        >>> layer_numbers({name: jnp.ones(2) for name in ("pos_embed", "block_0", "block_1", "head")})
        ({'block_0': 1, 'block_1': 2, 'head': 3, 'pos_embed': 0}, 3)
    """
    leaves = by_path(params)
    blocks = sorted({block for item in leaves.items() for block in _blocks(*item)}, key=_natural)
    if not blocks:
        found = ", ".join(sorted(map("/".join, leaves))[:8])
        raise ValueError(f"layer_decay: no path names a block, such as block_0 or blocks/0; found {found}")
    last = len(blocks) + 1

    def layer(path):
        if block := _block(path):
            return 1 + blocks.index(block)
        for i, name in enumerate(path):
            if merge := _MERGE.fullmatch(name):
                return sum(_natural(block) < _natural((*path[:i], f"stage{merge[1]}")) for block in blocks)
        if any(map(RELATIVE.search, path)):
            return last
        first = any(TOKEN.search(name) or POSITION.search(name) or _FIRST.search(name) for name in path)
        return 0 if first else last

    def number(path, leaf):
        path = names(path)
        if path[-1] in BY_BLOCK:
            return 1 + np.repeat(np.arange(len(blocks)), leaf.shape[-1] // len(blocks))
        if not is_stacked(path):
            return layer(path)
        return np.reshape([layer(block) for block in _blocks(path, leaf)], (-1,) + (1,) * (leaf.ndim - 1))

    return jax.tree_util.tree_map_with_path(number, params), last


def scale_updates(scales) -> optax.GradientTransformation:
    """Multiplies each parameter's update by a scale; as the last of a chain, it scales learning rate and
    decay alike.

    Args:
        scales: a pytree of numbers or broadcastable arrays with the parameters' structure, such as
            `layer_decay` gives.
    Returns:
        A stateless `optax.GradientTransformation`.
    Examples:
        >>> transform = scale_updates({"a": 0.5})
        >>> updates, _ = transform.update({"a": jnp.ones(2)}, transform.init(None))
        >>> [float(x) for x in updates["a"]]
        [0.5, 0.5]
    """

    return optax.stateless(lambda updates, params: jax.tree.map(_scaled, updates, scales))


def _scaled(update: jax.Array, scale) -> jax.Array:
    return update * jnp.asarray(scale, update.dtype)


def decay_encoder_layers(rate: float, part: str = "encoder") -> optax.GradientTransformation:
    """Scales the updates of an encoder by `layer_decay`; the updates of other parts, such as heads, stay as
    they are.

    Put it last in a chain.

    Args:
        rate: as `layer_decay`.
        part: of the parameters that the encoder is.
    Returns:
        A stateless `optax.GradientTransformation`.
    Examples:
        >>> params = {"encoder": {"block_0": jnp.ones(1), "norm": jnp.ones(1)}, "head": jnp.ones(1)}
        >>> updates, _ = decay_encoder_layers(0.5).update(params, optax.EmptyState(), params)
        >>> jax.tree.map(lambda x: x.item(), updates)
        {'encoder': {'block_0': 0.5, 'norm': 1.0}, 'head': 1.0}
    """

    def scaled(updates, params):
        scales = layer_decay(updates[part], rate)
        return {**updates, part: jax.tree.map(_scaled, updates[part], scales)}

    return optax.stateless(scaled)


def scale_some(factor: float, predicate: Callable[[tuple[str, ...]], bool]) -> optax.GradientTransformation:
    """Multiplies the updates of some parameters by one factor, such as DINOv2's patch projection by 0.2.

    Args:
        factor: the factor; as the last of a chain, it scales learning rate and decay alike.
        predicate: (names along the path to a leaf) -> whether to scale it.
    Returns:
        A stateless `optax.GradientTransformation`.
    Examples:
        >>> transform = scale_some(0.5, lambda path: "stem" in path)
        >>> updates, _ = transform.update({"stem": jnp.ones(1), "norm": jnp.ones(1)}, optax.EmptyState())
        >>> jax.tree.map(lambda x: x.item(), updates)
        {'norm': 1.0, 'stem': 0.5}
    """

    def scaled(path, update):
        return factor * update if predicate(names(path)) else update

    return optax.stateless(lambda updates, params: jax.tree_util.tree_map_with_path(scaled, updates))


def hold_lower_blocks(number: int, part: str = "encoder") -> optax.GradientTransformation:
    """Freezes the stem, tokens, positions and lowest blocks of an encoder for the whole run.

    Put it last in a chain, so that it stops decay too. Relative positions that frozen blocks share with other
    blocks are frozen as well.

    Args:
        number: how many blocks are frozen, counted from the input; 0 freezes nothing.
        part: of the parameters that the encoder is.
    Returns:
        A stateless `optax.GradientTransformation`.
    Raises:
        ValueError: when traced, if there are fewer blocks.
    Examples:
        >>> params = {"encoder": {"block_0": jnp.ones(1), "block_1": jnp.ones(1), "stem": jnp.ones(1)}}
        >>> updates, _ = hold_lower_blocks(1).update(params, optax.EmptyState(), params)
        >>> jax.tree.map(lambda x: x.item(), updates)
        {'encoder': {'block_0': 0.0, 'block_1': 1.0, 'stem': 0.0}}
    """
    if not number:
        return optax.identity()

    def held(updates, params):
        if part not in updates:
            raise ValueError(f"hold_lower_blocks: there is no part {part!r}, only {', '.join(updates)}")
        layers, last = layer_numbers(updates[part])
        if number >= last:
            raise ValueError(
                f"hold_lower_blocks: {number} blocks are to stand still, {part!r} has {last - 1}; hold fewer"
            )

        def hold(path, update, layer):
            shared = np.ndim(layer) == 0 and layer == last and any(map(RELATIVE.search, names(path)))
            return jnp.where((np.asarray(layer) > number) & (not shared), update, 0)

        return {**updates, part: jax.tree_util.tree_map_with_path(hold, updates[part], layers)}

    return optax.stateless(held)


def _block(path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path down to the block that holds a leaf, or None."""
    for i, name in enumerate(path):
        if _BLOCK.fullmatch(name) or (name.isdigit() and path[i - 1].lower().endswith("blocks")):
            return path[: i + 1]
    return None


def _blocks(path: tuple[str, ...], leaf: jax.Array) -> list[tuple[str, ...]]:
    """The paths down to the blocks that a leaf belongs to: none, one, or each block of a stack."""
    if is_stacked(path):
        return [(*path[: path.index(STACKED)], f"block_{i}") for i in range(len(leaf))]
    return [block] if (block := _block(path)) else []


def _natural(path: tuple[str, ...]) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", "/".join(path))]
