"""The engines: a method is data over one of these."""

from jssl.methods.frames.forward import apart, together
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.frames.siamese import siamese

__all__ = ["apart", "masked_prediction", "self_distillation", "siamese", "together"]
