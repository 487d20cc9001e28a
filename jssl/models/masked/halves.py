"""Both halves of an image's patches through one network, neither seeing the other."""

import jax
import jax.numpy as jnp

from jssl.models.network import Network


def halves(net: Network) -> Network:
    """Makes a masked autoencoder run on what a mask shows and on what it hides, in one call.

    Args:
        net: of images and mask [B, N], such as `encode_decode` makes, which shows half of the patches.
    Returns:
        A `Network` with the same parameters, whose outputs hold what `net` makes of the patches shown and,
        under its name and `_rest`, of those hidden.
    Raises:
        ValueError: when called, for a mask of an odd number of patches.
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
