"""Runs one network on both halves of an image's patches, each without the other."""

import jax
import jax.numpy as jnp

from jssl.models.network import Network


def halves(net: Network) -> Network:
    """Makes a network that runs a masked autoencoder on the visible and on the hidden patches, in one call.

    Args:
        net: a network of images and mask [B, N], such as `encode_decode` makes; its masks show half of the
            patches.
    Returns:
        A `Network` with the same parameters. Its outputs are those of `net` for the visible patches and, with
        `_rest` after their names, those for the hidden patches.
    Raises:
        ValueError: when called, for an odd number of patches.
    References:
        SplitMask, arXiv:2112.10740
    """

    def both(images, mask):
        if mask.shape[-1] % 2:
            raise ValueError(
                f"an image has {mask.shape[-1]} patches, which cannot be halved; choose another size or patch"
            )
        return jnp.repeat(images, 2, axis=0), jnp.stack([mask, ~mask], axis=1).reshape(-1, mask.shape[-1])

    def init(key, images, *, mask):
        images, mask = both(images, mask)
        return net.init(key, images, mask=mask)

    def apply(params, statistics, images, *, mask, **how):
        images, mask = both(images, mask)
        outputs, statistics = net.apply(params, statistics, images, mask=mask, **how)
        shown, hidden = (jax.tree.map(lambda x, i=i: x[i::2], outputs) for i in (0, 1))
        return shown | {f"{name}_rest": value for name, value in hidden.items()}, statistics

    return net._replace(init=init, apply=apply)
