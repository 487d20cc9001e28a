"""Runs experiments, from a command line, a notebook or a test.

The package can be called: `jssl.run(experiment, out=..., seed=...)`.
"""

import sys
from types import ModuleType

from jssl.run.command import main
from jssl.run.directory.lock import Occupied
from jssl.run.interrupt import Interrupted
from jssl.run.saved import SavedRun, open_run
from jssl.run.settings.balanced import AnchoredDistillation, BalancedDistillation
from jssl.run.settings.base import Training
from jssl.run.settings.experiment import Data, DataInfo, Experiment, Settings, Weights
from jssl.run.settings.families import MomentumContrast, SelfDistillation, Texts
from jssl.run.settings.numbers import Count, Share
from jssl.run.settings.options import Options
from jssl.run.settings.pictures import (
    attention_figure,
    caption_figure,
    color_figure,
    hole_figure,
    masks_figure,
    reconstruction_figure,
    rotation_figure,
)
from jssl.run.starting import start
from jssl.run.training import Run
from jssl.run.watch import NonFinite
from jssl.run.weights.frozen_teacher import Taught, Words

__all__ = [
    "AnchoredDistillation",
    "BalancedDistillation",
    "Count",
    "Data",
    "DataInfo",
    "Experiment",
    "Interrupted",
    "MomentumContrast",
    "NonFinite",
    "Occupied",
    "Options",
    "Run",
    "SavedRun",
    "SelfDistillation",
    "Texts",
    "Settings",
    "Share",
    "Taught",
    "Training",
    "Weights",
    "Words",
    "attention_figure",
    "caption_figure",
    "color_figure",
    "hole_figure",
    "main",
    "masks_figure",
    "open_run",
    "reconstruction_figure",
    "rotation_figure",
    "start",
]


class _Callable(ModuleType):
    """A package that can be called.

    `jssl.run(...)` starts a run, and `jssl.run` is also the package with modules such as `jssl.run.plan`. A
    function of that name would hide the package from `import jssl.run.plan`.
    """

    def __call__(self, experiment, **settings) -> Run:
        """Runs an experiment, see `start`."""
        return start(experiment, **settings)


sys.modules[__name__].__class__ = _Callable
