"""Experiments: a method and all it is trained with, run from a command line, a notebook or a test."""

from jssl.experiment.base import Experiment
from jssl.experiment.captions import caption_figure
from jssl.experiment.command import main
from jssl.experiment.families import MomentumContrast, SelfDistillation
from jssl.experiment.interrupt import Interrupted
from jssl.experiment.pictures import attention_figure, reconstruction_figure
from jssl.experiment.plan import Options
from jssl.experiment.recipe import Training, recipe
from jssl.experiment.run import Run, run
from jssl.experiment.turns import rotation_figure
from jssl.experiment.watch import NonFinite

__all__ = [
    "Experiment",
    "Interrupted",
    "MomentumContrast",
    "NonFinite",
    "Options",
    "Run",
    "SelfDistillation",
    "Training",
    "attention_figure",
    "caption_figure",
    "main",
    "recipe",
    "reconstruction_figure",
    "rotation_figure",
    "run",
]
