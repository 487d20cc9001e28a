"""Protocols: named evaluations of a representation, and the registry of their names."""

from collections.abc import Callable

from jssl.evaluate.protocols.attention_segments import attention_segments_protocol
from jssl.evaluate.protocols.base import Protocol
from jssl.evaluate.protocols.copies import copies_protocol
from jssl.evaluate.protocols.depth import depth_protocol
from jssl.evaluate.protocols.detection import detection_protocol
from jssl.evaluate.protocols.knn import knn_protocol
from jssl.evaluate.protocols.linear import linear_protocol
from jssl.evaluate.protocols.logistic import logistic_protocol
from jssl.evaluate.protocols.propagation import propagation_protocol
from jssl.evaluate.protocols.retrieval import cross_retrieval_protocol, retrieval_protocol
from jssl.evaluate.protocols.segmentation import segmentation_protocol
from jssl.evaluate.protocols.zero_shot import zero_shot_protocol

PROTOCOLS: dict[str, Callable[..., Protocol]] = {
    "knn": knn_protocol,
    "linear": linear_protocol,
    "logistic": logistic_protocol,
    "zero_shot": zero_shot_protocol,
    "linear_segmentation": segmentation_protocol,
    "linear_depth": depth_protocol,
    "detection": detection_protocol,
    "attention_segments": attention_segments_protocol,
    "propagate": propagation_protocol,
    "retrieval": retrieval_protocol,
    "cross_retrieval": cross_retrieval_protocol,
    "copies": copies_protocol,
}
"""What makes each protocol, by its name; keyword arguments are the protocol's settings."""


def protocol(name: str, **settings) -> Protocol:
    """Makes a protocol by its name.

    Args:
        name: One of `PROTOCOLS`.
        **settings: Keyword arguments of what makes it.
    Returns:
        The `Protocol`.
    Raises:
        ValueError: for an unknown name.
    Examples:
        >>> protocol("knn", k=5).name
        'knn'
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}: expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name](**settings)
