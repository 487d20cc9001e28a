"""Functions that choose leaves of a parameter tree, such as its weights, by their names and ranks in Flax
models.
"""

import re
from collections.abc import Callable

import jax

from jssl.arrays.trees import by_path, names

# Flax's names in Dense, Conv, LayerNorm, BatchNorm, GroupNorm, RMSNorm, and a transformer's layer scales
_BIAS_OR_NORM = re.compile(r"bias|scale\d*|gamma")
TOKEN = re.compile(r"tokens?$|^registers?$")
POSITION = re.compile(r"(^|_)pos(ition)?(_|s|$)")
RELATIVE = re.compile(r"relative|rel_pos|attention_bias")


def everything(params):
    """Chooses all leaves: SGD's weight decay in MoCo, PCL, SimSiam and rotation; LARC in SwAV.

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of True of the same structure.
    Examples:
        >>> everything({"kernel": 1.0, "bias": 2.0})
        {'bias': True, 'kernel': True}
    """
    return jax.tree.map(lambda leaf: True, params)


def kernels(params):
    """Chooses the kernels of linear layers and convolutions alone, as big_vision's weight decay, which also
    leaves out word embeddings and the query of attention pooling.

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of bool of the same structure.
    References:
        google-research/big_vision, big_vision/optax.py, `wd_mults`
    Examples:
        >>> kernels({"dense": {"bias": 1.0, "kernel": 2.0}, "embed": {"embedding": 3.0}})
        {'dense': {'bias': False, 'kernel': True}, 'embed': {'embedding': False}}
    """
    return jax.tree_util.tree_map_with_path(lambda path, leaf: names(path)[-1] == "kernel", params)


def all_but(part: str, choose: Callable = everything) -> Callable:
    """Makes a function that chooses parameters but leaves out one part, such as MSN's prototypes.

    Args:
        part: the name of the part, at the top of the tree.
        choose: params -> a pytree of bool, which chooses among the others.
    Returns:
        A function, params -> a pytree of bool of the same structure.
    Examples:
        >>> all_but("scores")({"encoder": {"kernel": 1.0}, "scores": {"kernel": 2.0}})
        {'encoder': {'kernel': True}, 'scores': {'kernel': False}}
    """

    def chosen(params):
        return choose(params) | {part: jax.tree.map(lambda leaf: False, params[part])}

    return chosen


def biases_and_norms(params):
    """Chooses biases, norms and layer scales: leaves with such a name, or with at most one axis.

    The name matters where a bias has two axes, as in attention layers ([heads, D]) and in stacked blocks
    ([layers, D]).

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of bool of the same structure.
    Examples:
        >>> import jax.numpy as jnp
        >>> biases_and_norms({"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}})
        {'dense': {'bias': True, 'kernel': False}}
    """

    def chosen(path, leaf):
        path = names(path)
        return leaf.ndim <= 1 or bool(path and _BIAS_OR_NORM.fullmatch(path[-1]))

    return jax.tree_util.tree_map_with_path(chosen, params)


def weights(params):
    """Chooses all but biases, norms, learned tokens and position tables: the usual weight decay of vision
    transformers.

    Tokens are recognised by the leaf's own name (`class_token`, `mask_token`, `registers`), tables by any
    name along the path (`positions/table`, `pos_embed`, `relative_bias`, `attention_bias/table`); a `kernel`
    is always a weight.

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of bool of the same structure.
    References:
        `no_weight_decay` in the authors' ViTs: DeiT, MAE, BEiT, SimMIM
    Examples:
        >>> import jax.numpy as jnp
        >>> dense = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
        >>> weights({"pos_embed": jnp.ones((1, 4, 3)), "dense": dense})
        {'dense': {'bias': False, 'kernel': True}, 'pos_embed': False}
    """

    def chosen(path, exempt):
        return not (exempt or _token_or_table(names(path)))

    return jax.tree_util.tree_map_with_path(chosen, biases_and_norms(params))


def weights_and_tokens(params):
    """Chooses all but biases and norms, so also learned tokens and position tables.

    I-JEPA and SLIP decay these parameters, and LARS adapts them. The authors' code leaves out biases and
    leaves with one axis, and their tokens have more than one; here tokens and tables are recognised by their
    names, as in `weights`.

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of bool of the same structure.
    Examples:
        >>> import jax.numpy as jnp
        >>> dense = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
        >>> weights_and_tokens({"mask_token": jnp.ones(3), "dense": dense})
        {'dense': {'bias': False, 'kernel': True}, 'mask_token': True}
    """

    def chosen(path, exempt):
        return not exempt or _token_or_table(names(path))

    return jax.tree_util.tree_map_with_path(chosen, biases_and_norms(params))


def weights_tokens_and_lengths(params):
    """Chooses `weights_and_tokens` and the lengths of weight-normed layers, a `scale` beside a `kernel`.

    DINO, iBOT, EsViT and DINOv2 decay these parameters: in the authors' code the prototypes' lengths have two
    axes (`weight_g`, [K, 1]), and their name is not one of a bias or norm.

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of bool of the same structure.
    References:
        `get_params_groups` in the authors' code of DINO, arXiv:2104.14294, and iBOT, arXiv:2111.07832
    Examples:
        >>> import jax.numpy as jnp
        >>> last = {"kernel": jnp.ones((2, 3)), "scale": jnp.ones(3)}
        >>> weights_tokens_and_lengths({"norm": {"scale": jnp.ones(3)}, "last": last})
        {'last': {'kernel': True, 'scale': True}, 'norm': {'scale': False}}
    """
    found = by_path(params)

    def chosen(path, decays):
        path = names(path)
        return decays or (path[-1:] == ("scale",) and (*path[:-1], "kernel") in found)

    return jax.tree_util.tree_map_with_path(chosen, weights_and_tokens(params))


def all_but_class_token(params):
    """Chooses all but biases, norms and the class token: the weight decay of SimMIM's vision transformer.

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of bool of the same structure.
    References:
        microsoft/SimMIM, optimizer.py and `no_weight_decay` of models/vision_transformer.py
    Examples:
        >>> import jax.numpy as jnp
        >>> params = {"class_token": jnp.ones((1, 3)), "mask_token": jnp.ones(3), "bias": jnp.ones(3)}
        >>> all_but_class_token(params)
        {'bias': False, 'class_token': False, 'mask_token': True}
    """

    def chosen(path, decays):
        return decays and names(path)[-1] != "class_token"

    return jax.tree_util.tree_map_with_path(chosen, weights_and_tokens(params))


def weights_and_mask_token(params):
    """Chooses `weights` and the mask token, as EVA's weight decay, which leaves out the class token and the
    position table.

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of bool of the same structure.
    References:
        baaivision/EVA, `no_weight_decay` of EVA-01/eva/modeling_pretrain.py
    Examples:
        >>> import jax.numpy as jnp
        >>> weights_and_mask_token({"class_token": jnp.ones((1, 3)), "mask_token": jnp.ones(3)})
        {'class_token': False, 'mask_token': True}
    """

    def chosen(path, decays):
        return decays or names(path)[-1] == "mask_token"

    return jax.tree_util.tree_map_with_path(chosen, weights(params))


def all_but_positions(params):
    """Chooses all but biases, norms and position tables: FLIP's weight decay applies to the class token too,
    and to the logarithm of the logit scale, which it moves towards 0.

    Args:
        params: a pytree of arrays.
    Returns:
        A pytree of bool of the same structure.
    References:
        facebookresearch/flip, `create_optimizer` of t5x/train_state_initializer.py and utils/opt_util.py
    Examples:
        >>> import jax.numpy as jnp
        >>> leaves = {name: jnp.ones((2, 3)) for name in ("bias", "class_token", "log_scale", "positions")}
        >>> [name for name, decays in all_but_positions(leaves).items() if decays]
        ['class_token', 'log_scale']
    """

    def chosen(path, decays):
        path = names(path)
        return path[-1] == "log_scale" or (decays and not any(map(POSITION.search, path)))

    return jax.tree_util.tree_map_with_path(chosen, weights_and_tokens(params))


def and_scales_of(*parts: str, choose: Callable = weights) -> Callable:
    """Makes a function that also chooses the norms' scales in some parts, such as CMAE's heads.

    Args:
        parts: the names of these parts, at the top of the tree.
        choose: params -> a pytree of bool, the choice for everything else.
    Returns:
        A function, params -> a pytree of bool of the same structure.
    Examples:
        >>> import jax.numpy as jnp
        >>> and_scales_of("cls")({"cls": {"scale": jnp.ones(3)}, "encoder": {"scale": jnp.ones(3)}})
        {'cls': {'scale': True}, 'encoder': {'scale': False}}
    """

    def chosen(path, decays):
        path = names(path)
        return decays or (path[0] in parts and path[-1] == "scale")

    return lambda params: jax.tree_util.tree_map_with_path(chosen, choose(params))


def _token_or_table(path: tuple[str, ...]) -> bool:
    if not path or path[-1] == "kernel" or _BIAS_OR_NORM.fullmatch(path[-1]):
        return False
    return bool(TOKEN.search(path[-1])) or any(
        POSITION.search(name) or RELATIVE.search(name) for name in path
    )
