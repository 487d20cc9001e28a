"""jssl: functional self-supervised representation learning in JAX and Flax.

    from jssl import encoder, init_state, make_step, methods, objectives, views

Packages: `objectives` (pure losses), `models`, `data` (sources, views, masks), `methods` (recipes), `optim`, `evaluate`,
`experiment` (what the command lines in `experiments/` are made of).
"""

from jssl import arrays, data, evaluate, masks, methods, models, objectives, optim, sharding, weights
from jssl.citations import citation
from jssl.data import load, views
from jssl.methods import Method, weighted_methods
from jssl.methods.frames import (
    apart,
    joint_predictive,
    masked_prediction,
    pretext,
    self_distillation,
    siamese,
    together,
    towers,
)
from jssl.models import Features, encoder
from jssl.models.network import Network, network, with_heads
from jssl.objectives import Objective, Outputs, stateless, weighted_sum
from jssl.train import Event, TrainState, feed, fit, init_state, make_step, scanned, train_step

__all__ = [
    "Event",
    "Features",
    "Method",
    "Network",
    "Objective",
    "Outputs",
    "TrainState",
    "apart",
    "arrays",
    "citation",
    "data",
    "encoder",
    "evaluate",
    "feed",
    "fit",
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
    "weights",
    "with_heads",
]
