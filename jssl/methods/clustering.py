"""Clustering methods: views agree on an assignment to prototypes."""

from jssl import objectives
from jssl.methods.base import Method
from jssl.methods.frames.siamese import siamese
from jssl.models.heads import Prototypes, swav_head
from jssl.models.network import with_heads


def swav(
    encoder,
    *,
    prototypes: int = 3000,
    head=None,
    temperature: float = 0.1,
    epsilon: float = 0.05,
    queue: int = 0,
    queue_start: int = 0,
) -> Method:
    """SwAV: each view's balanced assignment to prototypes is predicted from the other views.  arXiv:2006.09882

    prototypes: their number K; they are normalised in the forward pass. epsilon: Sinkhorn's temperature.
    queue: past embeddings that help small batches to balance, filled from step `queue_start` on.
    The prototypes are best frozen for the first epoch: `freeze_during`.

    Returns: a `Method`; views: two global ones, which are assigned, and, with multi-crop, local ones.
    """
    network = with_heads(
        encoder, projection=head or swav_head(), scores=("projection", Prototypes(prototypes))
    )
    objective = objectives.swapped_assignment(
        "scores", temperature=temperature, epsilon=epsilon, queue=queue, queue_start=queue_start
    )
    return siamese(network, objective, exposes=lambda params: {"prototypes": params["scores"]["kernel"].T})
