"""How a network sees several views: the ways in which batch statistics are shared between them."""

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, sample_keys
from jssl.models.network import Network, as_outputs

GROUPS = ("global", "local")  # views of one size each: [V, B, H, W, C]


def together(net: Network, params, statistics, views, *, train=True, key=None, **inputs):
    """All views of one size in one call, so that they share batch statistics (SimCLR, SwAV, DINO).

    views: {"global": [G, B, H, W, C], "local": [L, B, h, w, C] or absent}. inputs: further arrays [G, B, ...] for the global
    views, such as `mask`.

    Returns: (outputs by name [V, B, ...], global views first, statistics). What differs in shape between the sizes, such as
    patch tokens, is the global views' alone.
    """
    each_size = []
    for i, group in enumerate(name for name in GROUPS if name in views):
        images = views[group]
        named = {name: _flat(x) for name, x in inputs.items()} if group == "global" else {}
        group_key = None if key is None else jax.random.fold_in(key, i)
        outputs, statistics = net.apply(
            params, statistics, _flat(images), train=train, key=group_key, **named
        )
        each_size.append({name: _parted(x, len(images)) for name, x in as_outputs(outputs).items()})
    return _joined(each_size), statistics


def apart(net: Network, params, statistics, views, *, train=True, key=None, **inputs):
    """One call for every view, so that each has batch statistics of its own (BYOL, Barlow Twins, MoCo); else as `together`."""
    each_view = []
    for i, (group, v) in enumerate(
        (name, v) for name in GROUPS if name in views for v in range(len(views[name]))
    ):
        named = {name: x[v] for name, x in inputs.items()} if group == "global" else {}
        view_key = None if key is None else jax.random.fold_in(key, i)
        outputs, statistics = net.apply(
            params, statistics, views[group][v], train=train, key=view_key, **named
        )
        each_view.append({name: x[None] for name, x in as_outputs(outputs).items()})
    return _joined(each_view), statistics


def in_groups(groups: int):
    """As `apart`, with consecutive groups of images that each have batch statistics of their own, as on so many GPUs.

    Returns: a function like `apart`.

    Raises (when called): ValueError where the groups do not divide the batch.
    """

    def across(net: Network, params, statistics, views, **how):
        return apart(net._replace(apply=_each_group(net.apply, groups)), params, statistics, views, **how)

    return across


def _each_group(apply, groups):
    def in_each(params, statistics, images, *, train=False, key=None, **inputs):
        if len(images) % groups:
            raise ValueError(f"groups must divide the batch, got {groups} groups and {len(images)} images")

        def one(images, inputs, key):
            return apply(params, statistics, images, train=train, key=key, **inputs)

        parts = jax.tree.map(lambda x: x.reshape(groups, -1, *x.shape[1:]), (images, inputs))
        outputs, statistics = jax.vmap(one)(*parts, None if key is None else jax.random.split(key, groups))
        outputs = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs)
        return outputs, jax.tree.map(lambda x: x.mean(0), statistics)

    return in_each


def masking_keys(key, views):
    """Makes the keys [B] that masks are drawn from, one for each sample of the views, folded from its index."""
    if "index" not in views:
        raise ValueError(
            f"masks are drawn by the samples' indices: views need 'index' [B], they have {sorted(views)}"
        )
    return sample_keys(key, views["index"])


def hide(masking, key, views, *more):
    """Draws a mask for every global view of every sample.

    Args:
        masking: (keys [B], images [B, H, W, C], *more) -> mask [B, N], True = hidden.
        key: of the step.
        views: {"global": [V, B, H, W, C], "index": [B], ...}.
        more: further arrays [V, B, ...] that the masking sees, in pytrees.
    Returns:
        [V, B, N] bool.
    """
    crops, keys = views["global"], masking_keys(key, views)
    keys = jnp.stack([fold_keys(keys, number) for number in range(len(crops))])
    return _parted(masking(_flat(keys), _flat(crops), *jax.tree.map(_flat, more)), len(crops))


def all_views(views):
    """Every view, the local crops too."""
    return views


def query_view(views):
    """The first global view alone."""
    return {"global": views["global"][:1]}


def key_view(views):
    """The last global view alone."""
    return {"global": views["global"][-1:]}


def global_views(views):
    """What a teacher sees: everything but the local crops."""
    return {name: value for name, value in views.items() if name != "local"}


def _flat(x):
    """[V, B, ...] -> [B V, ...], an image's views side by side: so that rows spread over devices stay where they are."""
    return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])


def _parted(x, views):
    """[B V, ...] -> [V, B, ...]."""
    return x.reshape(-1, views, *x.shape[1:]).swapaxes(0, 1)


def _joined(parts):
    def join(name):
        same = [part[name] for part in parts if part[name].shape[1:] == parts[0][name].shape[1:]]
        return jnp.concatenate(same) if len(same) > 1 else same[0]

    return {name: join(name) for name in parts[0]}
