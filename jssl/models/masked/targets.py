"""Targets that are computed from the outputs of a network's blocks."""

from collections.abc import Callable, Sequence

import jax

from jssl.models.network import Network, collecting


def block_targets(encoder, make: Callable[[Sequence[jax.Array]], jax.Array]) -> Network:
    """Makes an encoder that also returns a target, as an output named `patch`.

    With a head of the same name, `with_heads(block_targets(...), patch=head)`, a network that has the head's
    parameters returns the head's output instead. So the student returns its prediction, and the teacher,
    which lacks the head, returns the target.

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
