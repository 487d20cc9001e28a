"""Figures of a run: data in, a matplotlib figure out, which `png` turns into bytes."""

from jssl.evaluate.figures.curves import health_curves, loss_curve, probe_curve
from jssl.evaluate.figures.galleries import (
    attention_maps,
    neighbour_gallery,
    patch_pca,
    reconstructions,
    view_gallery,
)
from jssl.evaluate.figures.style import png

__all__ = [
    "attention_maps",
    "health_curves",
    "loss_curve",
    "neighbour_gallery",
    "patch_pca",
    "png",
    "probe_curve",
    "reconstructions",
    "view_gallery",
]
