"""Targets that a network makes of its own blocks, for a student that predicts them."""

from collections.abc import Callable, Sequence

import jax

from jssl.models.network import Network, collecting


def block_targets(encoder, make: Callable[[Sequence[jax.Array]], jax.Array]) -> Network:
    """Makes an encoder hand out a target beside its features, as an output named `patch`.

    A head of the same name, `with_heads(block_targets(...), patch=head)`, takes the place of the target
    wherever its parameters are: so a student predicts, and a teacher that lacks the head is what is
    predicted.

    Args:
        encoder: a Linen module whose blocks sow "blocks", such as `ViT`.
        make: (each block's patch tokens [B, N, D], the last block's last) -> [B, N, D].
    Returns:
        A `Network` with the encoder's own parameters.
    References:
        data2vec, arXiv:2202.03555
    """
    net = collecting(encoder, "blocks")

    def apply(params, statistics, images, **how):
        features, statistics = net.apply(params, statistics, images, **how)
        patches = features.tokens.shape[1]
        target = make([tokens[:, -patches:] for tokens in features.inner["blocks"]])
        return features._replace(inner={"patch": target}), statistics

    return net._replace(apply=apply)
