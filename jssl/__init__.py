"""jssl: functional self-supervised representation learning in JAX and Flax.

    from jssl import encoder, init_state, make_step, methods, objectives, views

Packages: `objectives` (pure losses), `masks`, `models`, `data` (sources and views), `methods`, `optim`,
`evaluate`, `weights` (published weights, read and written), `run` (runs experiments; `jssl.run(...)` starts
one) and `experiments` (one file for each system).
"""

import importlib
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

from jssl import arrays, data, evaluate, masks, methods, models, objectives, optim, sharding, weights
from jssl.citations import citation
from jssl.data import load, views
from jssl.methods import Method, weighted_methods
from jssl.methods.base import Refresh, Teacher, ema
from jssl.methods.frames.distillation import distillation
from jssl.methods.frames.forward import apart, together
from jssl.methods.frames.joint_predictive import joint_predictive
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.frames.pretext import pretext
from jssl.methods.frames.self_distillation import self_distillation
from jssl.methods.frames.siamese import siamese
from jssl.methods.frames.towers import towers
from jssl.models import Features, encoder
from jssl.models.freezing import frozen
from jssl.models.headed import with_heads
from jssl.models.network import Network, collecting, network
from jssl.objectives import Objective, Outputs, stateless, weighted_sum
from jssl.train import Event, TrainState, feed, fit, init_state, make_step, scanned, train_step

__version__ = "0.1.0"
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
    "distillation",
    "ema",
    "encoder",
    "evaluate",
    "experiments",
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
    "open_run",
    "optim",
    "pretext",
    "run",
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


class _Beside:
    """Finds jssl.experiments in a checkout, where its folder is beside jssl/; in an installed package it is
    inside.
    """

    folder = Path(__file__).parent.parent / "experiments"

    @classmethod
    def find_spec(cls, name: str, path=None, target=None):
        return (
            spec_from_file_location(name, cls.folder / "__init__.py")
            if name == f"{__name__}.experiments"
            else None
        )


if not Path(__file__).with_name("experiments").exists() and (_Beside.folder / "__init__.py").exists():
    sys.meta_path.insert(0, _Beside)  # before the finder of another, installed checkout


def __getattr__(name: str):
    """Imports `run` and `experiments` on first use, since composing losses does not need them."""
    if name in ("run", "experiments"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "open_run":
        return importlib.import_module(f"{__name__}.run").open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
