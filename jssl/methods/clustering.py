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
    """Predicts each view's balanced assignment to prototypes from the other views.

    The prototypes are best frozen for the first epoch: `freeze_during`.

    Args:
        encoder: anything `network` takes.
        prototypes: their number K; they are normalised in the forward pass.
        head: the projection MLP.
        temperature: of the prediction.
        epsilon: Sinkhorn's temperature.
        queue: past embeddings that help small batches to balance.
        queue_start: the step from which on the queue is filled.
    Returns:
        A `Method`; views: two global ones, which are assigned, and, with multi-crop, local ones.
    References:
        SwAV, arXiv:2006.09882
    """
    network = with_heads(
        encoder, projection=head or swav_head(), scores=("projection", Prototypes(prototypes))
    )
    objective = objectives.swapped_assignment(
        "scores", temperature=temperature, epsilon=epsilon, queue=queue, queue_start=queue_start
    )
    return siamese(network, objective, exposes=lambda params: {"prototypes": params["scores"]["kernel"].T})
