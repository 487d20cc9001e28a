"""Contrastive prediction of some of an image's patches from others."""

from collections.abc import Sequence

from jssl.methods.base import Method
from jssl.methods.frames.siamese import siamese
from jssl.models.headed import with_heads
from jssl.models.heads import dense
from jssl.models.masked.context import RowPredictions
from jssl.objectives import contrastive_prediction

DOWN = {"down": 0}
EVERYWHERE = {"down": 0, "left": 1, "up": 2, "right": 3}  # quarter turns after which the direction is down


def cpc(
    encoder,
    *,
    offsets: Sequence[int] = (2, 3, 4, 5),
    directions: dict[str, int] = DOWN,
    dim: int = 64,
    hidden: int = 256,
    blocks: int = 5,
    scale: float = 0.1,
) -> Method:
    """Predicts patches some rows further down from a context that has seen only the rows above.

    Args:
        encoder: an encoder whose tokens form a square grid of independently encoded patches, such as
            `Patchwise`.
        offsets: how many rows further on each prediction is.
        directions: by name, the number of quarter turns after which the direction is down.
        dim: width of predictions and targets.
        hidden, blocks: of the contexts, as `MaskedContext`.
        scale: of the inner products.
    Returns:
        A `Method`; views: one global one.
    References:
        CPC, arXiv:1807.03748
    """
    heads = {
        direction: ("tokens", RowPredictions(tuple(offsets), turns, dim, hidden, blocks))
        for direction, turns in directions.items()
    }
    network = with_heads(encoder, **heads, target=("tokens", dense(dim)))
    return siamese(network, contrastive_prediction(directions, "target", offsets=offsets, scale=scale))


def cpc_v2(encoder, *, offsets: Sequence[int] = (2, 3, 4, 5), **settings) -> Method:
    """Predicts patches in all four directions, each from a context of its own.

    Args:
        encoder: as for `cpc`; the paper's has layer norm, and augments every patch by itself.
        offsets: how many rows, or columns, further on each prediction is.
        settings: further ones of `cpc`.
    Returns:
        A `Method`; views: one global one.
    References:
        CPC v2, arXiv:1905.09272
    """
    return cpc(encoder, offsets=offsets, directions=EVERYWHERE, **settings)
