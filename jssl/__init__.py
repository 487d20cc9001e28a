"""jssl: functional self-supervised representation learning in JAX and Flax.

    from jssl import encoder, init_state, make_step, methods, objectives, views

Packages: `objectives` (pure losses), `models`, `data` (sources, views, masks), `methods` (recipes), `optim`, `evaluate`,
`experiment` (what the command lines in `experiments/` are made of).
"""

from jssl import arrays, data, evaluate, masks, methods, models, objectives, optim, sharding
from jssl.citations import citation
from jssl.data import load, views
from jssl.methods import Method, weighted_methods
from jssl.methods.base import Refresh, Teacher, ema
from jssl.methods.frames.forward import apart, together
from jssl.methods.frames.joint_predictive import joint_predictive
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.frames.pretext import pretext
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.frames.siamese import siamese
from jssl.methods.frames.towers import towers
from jssl.models import Features, encoder
from jssl.models.network import Network, collecting, frozen, network, with_heads
from jssl.objectives import Objective, Outputs, stateless, weighted_sum
from jssl.train import Event, TrainState, feed, fit, init_state, make_step, scanned, train_step

__all__ = [
    "Event",
    "Features",
    "Method",
    "Network",
    "Objective",
    "Outputs",
    "Refresh",
    "Teacher",
    "TrainState",
    "apart",
    "arrays",
    "citation",
    "collecting",
    "data",
    "ema",
    "encoder",
    "evaluate",
    "feed",
    "fit",
    "frozen",
    "init_state",
    "joint_predictive",
    "load",
    "make_step",
    "masked_prediction",
    "masks",
    "methods",
    "models",
    "network",
    "objectives",
    "optim",
    "pretext",
    "scanned",
    "self_distillation",
    "sharding",
    "siamese",
    "stateless",
    "together",
    "towers",
    "train_step",
    "views",
    "weighted_methods",
    "weighted_sum",
    "with_heads",
]
