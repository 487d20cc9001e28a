"""Contrastive methods: the views of an image are compared with those of other images."""

from functools import partial

from jssl.methods.base import Method
from jssl.methods.frames.forward import apart
from jssl.methods.frames.siamese import siamese
from jssl.methods.pairs import over_views
from jssl.models.headed import with_heads
from jssl.models.heads import moco_head, nnclr_head, nnclr_predictor, simclr_head
from jssl.objectives import (
    decoupled_nt_xent,
    instance_memory,
    neighbour_contrast,
    nt_xent,
)
from jssl.objectives import invariant_spreading as spread


def simclr(encoder, *, head=None, temperature: float = 0.1, block_size: int | None = None) -> Method:
    """Finds the other view of an image among all views of the batch.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP, 2 layers to 128 by default.
        temperature: 0.1 on ImageNet, 0.5 on CIFAR.
        block_size: for large batches, as in `nt_xent`.
    Returns:
        A `Method`; views: two global ones. The loss adds up both directions' means, as in the authors' code.
    References:
        SimCLR, arXiv:2002.05709
    """
    network = with_heads(encoder, cls=head or simclr_head())

    def both_directions(a, b):
        return 2 * nt_xent(a, b, temperature=temperature, block_size=block_size)

    return siamese(network, over_views(both_directions))


def simclr_v2(encoder, *, head=None, temperature: float = 0.1, block_size: int | None = None) -> Method:
    """Contrasts views as SimCLR does, with a head of three layers of which fine-tuning keeps the first.

    Fine-tuning begins at the output of the head's first layer (`cut`), not at the encoder's.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP, 3 layers to 128 by default.
        temperature, block_size: as for `simclr`.
    Returns:
        A `Method`; views: two global ones.
    References:
        SimCLR v2, arXiv:2006.10029
    """
    head = head or simclr_head(layers=3)
    return simclr(encoder, head=head, temperature=temperature, block_size=block_size)


def dcl(encoder, *, head=None, temperature: float = 0.1, sigma: float | None = None) -> Method:
    """Contrasts views as SimCLR does, without the positive pair in the denominator.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP, SimCLR's by default.
        temperature: T.
        sigma: the width of DCLW's weights, 0.5 in the paper; None for no weights.
    Returns:
        A `Method`; views: two global ones. The loss adds up both directions' means and may be negative.
    References:
        DCL, arXiv:2110.06848
    """
    network = with_heads(encoder, cls=head or simclr_head())

    def both_directions(a, b):
        return 2 * decoupled_nt_xent(a, b, temperature=temperature, sigma=sigma)

    return siamese(network, over_views(both_directions), across=apart)


def nnclr(encoder, *, head=None, predictor=None, queue: int = 98304, temperature: float = 0.1) -> Method:
    """Contrasts a view's nearest neighbour among past embeddings with the predictions of other views.

    Args:
        encoder: anything `network` takes.
        head: the projection MLP.
        predictor: the prediction MLP.
        queue: past projections kept, a multiple of the batch.
        temperature: of the contrast.
    Returns:
        A `Method`; views: two global ones. The loss is the mean of both directions.
    References:
        NNCLR, arXiv:2104.14548
    """
    network = with_heads(
        encoder, cls=head or nnclr_head(), prediction=("cls", predictor or nnclr_predictor())
    )
    objective = neighbour_contrast("prediction", "cls", size=queue, temperature=temperature)
    return siamese(network, objective, across=apart)


def npid(
    encoder,
    *,
    examples: int,
    head=None,
    temperature: float = 0.07,
    momentum: float = 0.5,
    negatives: int = 4096,
    proximal: float = 0.0,
) -> Method:
    """Treats every image as a class of its own, compared with a bank of all images' last embeddings.

    Args:
        encoder: anything `network` takes.
        examples: how many images the data has: each is remembered by its index.
        head: the projection, one linear layer to 128 by default.
        temperature: 0.07 on ImageNet, 0.1 on CIFAR.
        momentum: the share of its old value that an image's row keeps.
        negatives: the number of rows drawn for each image; 0 for the exact softmax over all rows.
        proximal: the weight of the squared distance to the image's own row.
    Returns:
        A `Method`; views: one global one, and "index" [B], in which no image occurs twice.
    References:
        NPID, arXiv:1805.01978
    """
    objective = instance_memory(
        "cls",
        examples=examples,
        temperature=temperature,
        momentum=momentum,
        negatives=negatives,
        proximal=proximal,
    )
    return siamese(with_heads(encoder, cls=head or moco_head(hidden=None)), objective)


def invariant_spreading(encoder, *, head=None, temperature: float = 0.1) -> Method:
    """Pulls an image's two views together and spreads all other images of the batch, anchor by anchor.

    Args:
        encoder: anything `network` takes.
        head: the projection, one linear layer to 128 by default.
        temperature: of the softmax over the batch.
    Returns:
        A `Method`; views: two global ones.
    References:
        Invariant and spreading instances, arXiv:1904.03436
    """
    network = with_heads(encoder, cls=head or moco_head(hidden=None))
    return siamese(network, over_views(partial(spread, temperature=temperature)))
