"""Protocols: named evaluations of a representation, and the registry of their names."""

import inspect
from collections.abc import Callable

from jssl.evaluate.protocols.attention_segments import attention_segments_protocol
from jssl.evaluate.protocols.base import Protocol, settings_of
from jssl.evaluate.protocols.copies import copies_protocol
from jssl.evaluate.protocols.depth import depth_protocol
from jssl.evaluate.protocols.detection import detection_protocol
from jssl.evaluate.protocols.few_labels import k_shot, low_shot
from jssl.evaluate.protocols.fine_tuned import fine_tune_beit, fine_tune_mae
from jssl.evaluate.protocols.knn import knn_protocol
from jssl.evaluate.protocols.linear import linear_protocol
from jssl.evaluate.protocols.linear_published import linear_dino, linear_dinov2, linear_mae, linear_moco
from jssl.evaluate.protocols.logistic import logistic_protocol
from jssl.evaluate.protocols.propagation import propagation_protocol
from jssl.evaluate.protocols.retrieval import cross_retrieval_protocol, retrieval_protocol
from jssl.evaluate.protocols.rotated import self_augment
from jssl.evaluate.protocols.segmentation import segmentation_protocol
from jssl.evaluate.protocols.suite import transfer
from jssl.evaluate.protocols.unlabelled import label_free, label_free_views
from jssl.evaluate.protocols.zero_shot import zero_shot_protocol

PROTOCOLS: dict[str, Callable[..., Protocol]] = {
    "knn": knn_protocol,
    "linear": linear_protocol,
    "linear_dino": linear_dino,
    "linear_dinov2": linear_dinov2,
    "linear_moco": linear_moco,
    "linear_mae": linear_mae,
    "logistic": logistic_protocol,
    "low_shot": low_shot,
    "k_shot": k_shot,
    "zero_shot": zero_shot_protocol,
    "linear_segmentation": segmentation_protocol,
    "linear_depth": depth_protocol,
    "detection": detection_protocol,
    "attention_segments": attention_segments_protocol,
    "propagate": propagation_protocol,
    "retrieval": retrieval_protocol,
    "cross_retrieval": cross_retrieval_protocol,
    "copies": copies_protocol,
    "fine_tune_mae": fine_tune_mae,
    "fine_tune_beit": fine_tune_beit,
    "transfer": transfer,
    "self_augment": self_augment,
    "label_free": label_free,
    "label_free_views": label_free_views,
}
"""The function that makes each protocol, by its name; its keyword arguments are the protocol's settings."""


def protocol(name: str, **settings) -> Protocol:
    """Makes a protocol by its name.

    Args:
        name: One of `PROTOCOLS`.
        **settings: Keyword arguments of the function that makes it.
    Returns:
        The `Protocol`.
    Raises:
        ValueError: for an unknown name, or settings that it does not have.
    Examples:
        >>> protocol("knn", k=5).name
        'knn'
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}: expected one of {', '.join(PROTOCOLS)}")
    make = PROTOCOLS[name]
    if all(one.kind != one.VAR_KEYWORD for one in inspect.signature(make).parameters.values()):
        settings_of(make, settings, of=name)
    return make(**settings)
