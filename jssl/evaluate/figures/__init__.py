"""Figures of a run: data in, a matplotlib figure out, which `png` turns into bytes."""

from jssl.evaluate.figures.curves import health_curves, loss_curve, probe_curve
from jssl.evaluate.figures.galleries import (
    attention_maps,
    caption_similarities,
    mask_gallery,
    neighbour_gallery,
    patch_pca,
    reconstructions,
    turned_gallery,
    view_gallery,
)
from jssl.evaluate.figures.style import legible, png, unnormalized

__all__ = [
    "attention_maps",
    "caption_similarities",
    "health_curves",
    "legible",
    "loss_curve",
    "mask_gallery",
    "neighbour_gallery",
    "patch_pca",
    "png",
    "probe_curve",
    "reconstructions",
    "turned_gallery",
    "unnormalized",
    "view_gallery",
]
