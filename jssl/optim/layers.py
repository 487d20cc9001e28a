"""Layer-wise learning rates: the closer to the image, the smaller the step."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl.optim.parameters import names

_NUMBERED = re.compile(r"\w*blocks?_?\d+", re.IGNORECASE)  # block_3, blocks_3, EncoderBlock_3
_STACK = re.compile(r"\w*blocks", re.IGNORECASE)  # blocks/3, or blocks scanned over
_FIRST = re.compile(r"embed|tokens?$|pos(ition)?(_|s|$)|^stem", re.IGNORECASE)


def layer_decay(params, rate: float):
    """The scale of each parameter's learning rate when fine-tuning: rate ** (depth + 1 - layer).

    Layers are known by the names along a parameter's path:
      layer 0          outside any block, a name holding `embed`, `token`, `pos` or `stem`
      layer i + 1      the i-th block, in natural order of the paths down to `block_3`, `EncoderBlock_3` or `blocks/3`;
                       leaves under `blocks` with no number are a stack scanned over: their first axis is the layers
      layer depth + 1  all the rest, the final norm and the head: scale 1
    Pass the encoder and its new head alone: a decoder's blocks would count as deeper layers.

    params: a pytree of arrays.
    rate:   in (0, 1]; MAE has 0.65 for ViT-B and 0.75 for ViT-L.

    Returns: a pytree of the same structure for `scale_updates`: floats, and arrays [L, 1, ...] for a stack of L layers.
    Raises:  ValueError if rate lies outside (0, 1], or if no path names a block.
    Source:  BEiT, arXiv:2106.08254; MAE, arXiv:2111.06377, `util/lr_decay.py`.

    >>> params = {"pos_embed": jnp.ones(2), "block_0": jnp.ones(2), "block_1": jnp.ones(2), "head": jnp.ones(2)}
    >>> layer_decay(params, 0.5)
    {'block_0': 0.25, 'block_1': 0.5, 'head': 1.0, 'pos_embed': 0.125}
    """
    if not 0.0 < rate <= 1.0:
        raise ValueError(f"layer_decay: rate must lie in (0, 1], got {rate}")
    leaves = [(names(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]
    lengths = {_block(path): len(leaf) if _is_stack(path) else 1 for path, leaf in leaves if _block(path)}
    if not lengths:
        raise ValueError(
            "layer_decay: no path names a block, such as block_0 or blocks/0; found "
            + ", ".join(sorted({"/".join(path) for path, _ in leaves})[:8])
        )
    ordered = sorted(lengths, key=_natural)
    layer_of = {block: 1 + sum(lengths[earlier] for earlier in ordered[:i]) for i, block in enumerate(ordered)}
    last = 1 + sum(lengths.values())

    def scale(path, leaf):
        path = names(path)
        block = _block(path)
        if block is None:
            return float(rate) ** last if any(map(_FIRST.search, path)) else 1.0
        if not _is_stack(path):
            return float(rate) ** (last - layer_of[block])
        layers = layer_of[block] + np.arange(len(leaf))
        return (float(rate) ** (last - layers)).reshape(-1, *[1] * (leaf.ndim - 1))

    return jax.tree_util.tree_map_with_path(scale, params)


def scale_updates(scales) -> optax.GradientTransformation:
    """Each parameter's update times its scale; last in a chain, it scales learning rate and decay alike.

    scales: a pytree of numbers or broadcastable arrays with the structure of the parameters, as `layer_decay` gives.

    Returns: a stateless `optax.GradientTransformation`.

    >>> transform = scale_updates({"a": 0.5})
    >>> updates, _ = transform.update({"a": jnp.ones(2)}, transform.init(None))
    >>> [float(x) for x in updates["a"]]
    [0.5, 0.5]
    """

    def scaled(update, scale):
        return update * jnp.asarray(scale, update.dtype)

    return optax.stateless(lambda updates, params: jax.tree.map(scaled, updates, scales))


def _block(path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path down to the block it lies in, or None."""
    for i, name in enumerate(path):
        if _NUMBERED.fullmatch(name):
            return path[: i + 1]
        if _STACK.fullmatch(name):
            return path[: i + 2] if path[i + 1 : i + 2] and path[i + 1].isdigit() else path[: i + 1]
    return None


def _is_stack(path: tuple[str, ...]) -> bool:
    block = _block(path)
    return block is not None and _STACK.fullmatch(block[-1]) is not None


def _natural(path: tuple[str, ...]) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", "/".join(path))]
