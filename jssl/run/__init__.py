"""Experiments: a method and all it is trained with, run from a command line, a notebook or a test."""

from jssl.run.command import main
from jssl.run.experiment import Experiment
from jssl.run.families import MomentumContrast, SelfDistillation
from jssl.run.interrupt import Interrupted
from jssl.run.pictures import attention_figure, caption_figure, reconstruction_figure, rotation_figure
from jssl.run.plan import Options
from jssl.run.run import Run, run
from jssl.run.settings import Training, recipe
from jssl.run.watch import NonFinite

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
