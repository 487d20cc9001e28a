"""Ways to run a network on several views, which differ in the views that share batch statistics."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, sample_keys
from jssl.methods.base import EXACT
from jssl.models.network import Network, as_outputs

GROUPS = ("global", "local")  # views of one size each: [V, B, H, W, C]


class Keys(NamedTuple):
    """The random keys of a forward pass.

    Args:
        samples: the key for draws of single samples, such as masks and tasks; it is folded with their
            indices.
        network: the key for the draws of a network in one call, such as stochastic depth.
    """

    samples: jax.Array
    network: jax.Array


def keys_of(key) -> Keys:
    """Makes the keys of a forward pass of one key."""
    return Keys(*jax.random.split(key))


def together(net: Network, params, statistics, views, *, train=True, key=None, places=None, **inputs):
    """Runs all views of one size in one call, and heads over images on all views in one call (SimCLR, SwAV,
    DINO).

    So views share batch statistics. Outputs with more than one vector for each image, such as patch tokens
    and the outputs of heads on them, contain only the global views; those of local views are named
    "tokens/local" and so on.

    Args:
        net: a network; its heads run separately if it has `heads`.
        params, statistics: the network's.
        views: {"global": [G, B, H, W, C], "local": [L, B, h, w, C] or absent}.
        train, key: as for `Network.apply`.
        places: [G, B, n], the only tokens that heads over tokens run on, for a network with heads; None: all.
        inputs: further arrays [G, B, ...] for the global views, such as `mask`.
    Returns:
        (outputs by name [V, B, ...], global views first, statistics).
    """
    each_size, encode = [], net.encode or net.apply
    for i, group in enumerate(name for name in GROUPS if name in views):
        named = {name: _flat(x) for name, x in inputs.items()} if group == "global" else {}
        outputs, statistics = encode(
            params, statistics, _flat(views[group]), train=train, key=_folded(key, i), **named
        )
        number = len(views[group])
        each_size.append({name: _parted(x, number) for name, x in as_outputs(outputs).items()})
    outputs = _joined(each_size)
    if net.heads is not None:
        how = dict(train=train, key=_folded(key, len(GROUPS)), places=_flat(places))
        outputs, statistics = net.heads(params, statistics, _flat(outputs), **how)
        batch = views["global"].shape[1]
        outputs = jax.tree.map(lambda x: _parted(x, len(x) // batch), outputs)
    return outputs, statistics


def apart(net: Network, params, statistics, views, *, train=True, key=None, places=None, **inputs):
    """Calls the network once per view, each with its own batch statistics (BYOL, Barlow Twins, MoCo).

    Arguments and result are those of `together`.
    """
    inputs = inputs | ({} if places is None else {"places": places})
    each_view = []
    for i, (group, v) in enumerate(
        (name, v) for name in GROUPS if name in views for v in range(len(views[name]))
    ):
        named = {name: x[v] for name, x in inputs.items()} if group == "global" else {}
        outputs, statistics = net.apply(
            params, statistics, views[group][v], train=train, key=_folded(key, i), **named
        )
        each_view.append(jax.tree.map(lambda x: x[None], as_outputs(outputs)))
    return _joined(each_view, globals_=len(views["global"])), statistics


def in_groups(groups: int):
    """Makes a function like `apart` in which consecutive groups of images have batch statistics of their own.

    Args:
        groups: the number of groups, as on so many GPUs.
    Returns:
        A function with the arguments and result of `together`.
    Raises:
        ValueError: when called, where the groups do not divide the batch.
    """

    def across(net: Network, params, statistics, views, **how):
        return apart(net._replace(apply=_each_group(net.apply, groups)), params, statistics, views, **how)

    return across


def _each_group(apply, groups):
    def in_each(params, statistics, images, *, train=False, key=None, **inputs):
        if len(images) % groups:
            raise ValueError(f"groups must divide the batch, got {groups} groups and {len(images)} images")

        def one(images, inputs, key):
            outputs, after = apply(params, statistics, images, train=train, key=key, **inputs)
            return outputs, moved(statistics, after)

        parts = jax.tree.map(lambda x: x.reshape(groups, -1, *x.shape[1:]), (images, inputs))
        outputs, after = jax.vmap(one)(*parts, None if key is None else jax.random.split(key, groups))
        outputs = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs)
        return outputs, averaged(statistics, after)

    return in_each


def moved(before, after) -> dict[int, jax.Array]:
    """Picks the leaves of statistics that a call has changed, by number. Unchanged leaves are the same array
    objects.
    """
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return {i: new for i, (old, new) in enumerate(pairs) if new is not old}


def averaged(before, moved):
    """Puts changed statistics, [P, ...] from P parts, back as their mean over the parts; for integers, as the
    last part's value.
    """
    leaves, structure = jax.tree.flatten(before)
    for i, x in moved.items():
        leaves[i] = x.mean(0) if jnp.issubdtype(x.dtype, jnp.floating) else x[-1]
    return structure.unflatten(leaves)


def masking_keys(key, views):
    """Makes the keys [B] that masks and pretext tasks are drawn from, one for each sample of the views,
    folded from its index.
    """
    if "index" not in views:
        raise ValueError(
            f"masks and tasks are drawn by the samples' indices: views need 'index' [B], they have "
            f"{sorted(views)}"
        )
    return sample_keys(key, views["index"])


def hide(masking, keys, crops, *more):
    """Draws a mask for every view of every sample.

    Args:
        masking: (keys [B], images [B, H, W, C], *more) -> mask [B, N], True = hidden.
        keys: [B], of the samples.
        crops: [V, B, H, W, C].
        more: pytrees of further arrays [V, B, ...] that are passed to the masking.
    Returns:
        [V, B, N] bool.
    """
    keys = jnp.stack([fold_keys(keys, number) for number in range(len(crops))])
    return _parted(masking(*map(_flat, (keys, crops, *more))), len(crops))


def first_view(views):
    """Selects the first view [B, H, W, C], for methods that need only one."""
    if "global" not in views:
        raise ValueError(f"the method needs views['global'] [V, B, H, W, C], the views have {sorted(views)}")
    return views["global"][0]


def exact(views):
    """Selects the views in their original precision, from which targets are made."""
    return views.get(EXACT, views)


def all_views(views):
    """Selects every view, the local crops too."""
    return views


def query_view(views):
    """Selects the first of two global views."""
    return {"global": _two(views)[:1]}


def anchor_views(views):
    """Selects the first of two global views and all local ones."""
    return views | query_view(views)


def key_view(views):
    """Selects the last of two global views."""
    return {"global": _two(views)[-1:]}


def _two(views):
    if len(views["global"]) < 2:
        raise ValueError(
            "the method compares two views of an image, the views are one: query and key are to differ"
        )
    return views["global"]


def global_views(views):
    """Selects what a teacher sees: everything but the local crops."""
    return {name: value for name, value in views.items() if name != "local"}


def _flat(x):
    """[V, B, ...] -> [B V, ...], with the views of an image next to each other, so that rows stay on their
    devices.
    """
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), x)


def _parted(x, views):
    """[B V, ...] -> [V, B, ...], of every array of a pytree."""
    return jax.tree.map(lambda x: x.reshape(-1, views, *x.shape[1:]).swapaxes(0, 1), x)


def _joined(parts, globals_: int = 1):
    """Joins views [V, B, ...] of several parts. Arrays with more than one vector for each image are joined
    from the first parts alone; those of the others are named name/local.
    """

    def join(name, chosen):
        first = chosen[0][name]
        alike = [
            part[name]
            for part in chosen
            if jax.tree.map(_of_view, part[name]) == jax.tree.map(_of_view, first)
        ]
        return jax.tree.map(lambda *xs: jnp.concatenate(xs) if len(xs) > 1 else xs[0], *alike)

    def vectors(name):
        return all(x.ndim <= 3 for x in jax.tree.leaves(parts[0][name]))

    joined = {name: join(name, parts if vectors(name) else parts[:globals_]) for name in parts[0]}
    local = parts[globals_:]
    return joined | {f"{name}/local": join(name, local) for name in parts[0] if local and not vectors(name)}


def _of_view(x):
    return x.shape[1:]


def _folded(key, number):
    return None if key is None else jax.random.fold_in(key, number)
