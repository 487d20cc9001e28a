"""Contrastive methods: an image's views are told apart from other images."""

from jssl.methods.base import Method
from jssl.methods.frames import siamese
from jssl.models.heads import simclr_head
from jssl.models.network import with_heads
from jssl.objectives import nt_xent, stateless


def simclr(encoder, *, head=None, temperature: float = 0.1, block_size: int | None = None) -> Method:
    """SimCLR: two views of an image find each other among all views of the batch.  arXiv:2002.05709

    encoder: anything `network` takes. head: the projection MLP, 2 layers to 128 by default.
    temperature: 0.1 on ImageNet, 0.5 on CIFAR. block_size: for large batches, as in `nt_xent`.

    Returns: a `Method`; views: two global ones.
    """
    network = with_heads(encoder, cls=head or simclr_head())
    objective = stateless(lambda outputs: nt_xent(*outputs.student["cls"], temperature=temperature, block_size=block_size))
    return siamese(network, objective)
