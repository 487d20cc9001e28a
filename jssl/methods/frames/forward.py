"""How a network sees several views: the ways in which batch statistics are shared between them."""

import jax
import jax.numpy as jnp

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
        outputs, statistics = net.apply(params, statistics, _flat(images), train=train, key=group_key, **named)
        each_size.append({name: _parted(x, len(images)) for name, x in as_outputs(outputs).items()})
    return _joined(each_size), statistics


def apart(net: Network, params, statistics, views, *, train=True, key=None, **inputs):
    """One call for every view, so that each has batch statistics of its own (BYOL, Barlow Twins, MoCo); else as `together`."""
    each_view = []
    for i, (group, v) in enumerate((name, v) for name in GROUPS if name in views for v in range(len(views[name]))):
        named = {name: x[v] for name, x in inputs.items()} if group == "global" else {}
        view_key = None if key is None else jax.random.fold_in(key, i)
        outputs, statistics = net.apply(params, statistics, views[group][v], train=train, key=view_key, **named)
        each_view.append({name: x[None] for name, x in as_outputs(outputs).items()})
    return _joined(each_view), statistics


def hide(masking, key, crops):
    """The masks [V, B, N] of the views [V, B, H, W, C]."""
    return _parted(masking(key, _flat(crops)), len(crops))


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
