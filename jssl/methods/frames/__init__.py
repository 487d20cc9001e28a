"""The engines: a method is data over one of these."""

from jssl.methods.frames.forward import apart, in_groups, key_view, query_view, together
from jssl.methods.frames.joint_predictive import joint_predictive
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.frames.pretext import pretext
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.frames.siamese import siamese
from jssl.methods.frames.towers import towers

__all__ = [
    "apart",
    "in_groups",
    "joint_predictive",
    "key_view",
    "masked_prediction",
    "pretext",
    "query_view",
    "self_distillation",
    "siamese",
    "together",
    "towers",
]
