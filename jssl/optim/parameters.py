"""Which leaves of a parameter tree are weights, by their name and rank as Flax models have them."""

import re

import jax

from jssl.arrays.trees import names

_BIAS_OR_NORM = {"bias", "scale"}  # Flax's names in Dense, Conv, LayerNorm, BatchNorm, GroupNorm, RMSNorm
TOKEN = re.compile(r"tokens?$|^registers?$")
POSITION = re.compile(r"(^|_)pos(ition)?(_|s|$)")
RELATIVE = re.compile(r"relative|rel_pos|attention_bias")


def biases_and_norms(params):
    """True for the leaves that LARS leaves alone: named `bias` or `scale`, or of at most one axis.

    The name matters where a bias has two axes, as in attention layers ([heads, D]) and in scanned blocks ([layers, D]).

    params: a pytree of arrays.

    Returns: a pytree of bool of the same structure.

    >>> import jax.numpy as jnp
    >>> biases_and_norms({"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}})
    {'dense': {'bias': True, 'kernel': False}}
    """

    def exempt(path, leaf):
        return leaf.ndim <= 1 or names(path)[-1:] in {(name,) for name in _BIAS_OR_NORM}

    return jax.tree_util.tree_map_with_path(exempt, params)


def weights(params):
    """True for the leaves that weight decay is for: all but biases, norms, learned tokens and position tables.

    Tokens are known by the leaf's own name (`class_token`, `mask_token`, `registers`), tables by any name along the
    path (`positions/table`, `pos_embed`, `relative_bias`, `attention_bias/table`); a `kernel` is always a weight.

    params: a pytree of arrays.

    Returns: a pytree of bool of the same structure.
    Source:  `no_weight_decay` in the authors' ViTs (DeiT, MAE, BEiT).

    >>> import jax.numpy as jnp
    >>> weights({"pos_embed": jnp.ones((1, 4, 3)), "dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}})
    {'dense': {'bias': False, 'kernel': True}, 'pos_embed': False}
    """

    def is_weight(path, exempt):
        path = names(path)
        token = bool(path) and TOKEN.search(path[-1])
        table = path[-1:] != ("kernel",) and any(
            POSITION.search(name) or RELATIVE.search(name) for name in path
        )
        return not (exempt or token or table)

    return jax.tree_util.tree_map_with_path(is_weight, biases_and_norms(params))
