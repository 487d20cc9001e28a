"""Figures of a run: data in, a matplotlib figure out, which `png` and `svg` turn into bytes."""

from jssl.evaluate.figures.curves import health_curves, loss_curve, probe_curve
from jssl.evaluate.figures.galleries import (
    attention_maps,
    caption_similarities,
    colored_gallery,
    neighbour_gallery,
    patch_pca,
    reconstructions,
    turned_gallery,
    view_gallery,
)
from jssl.evaluate.figures.layers import layer_curves, spectrum_curves
from jssl.evaluate.figures.scatter import feature_map
from jssl.evaluate.figures.seeds import over_seeds
from jssl.evaluate.figures.segments import attention_segments, label_gallery, mask_gallery
from jssl.evaluate.figures.style import legible, png, svg, unnormalized

__all__ = [
    "attention_maps",
    "attention_segments",
    "caption_similarities",
    "colored_gallery",
    "feature_map",
    "health_curves",
    "label_gallery",
    "layer_curves",
    "legible",
    "loss_curve",
    "mask_gallery",
    "neighbour_gallery",
    "over_seeds",
    "patch_pca",
    "png",
    "probe_curve",
    "reconstructions",
    "spectrum_curves",
    "svg",
    "turned_gallery",
    "unnormalized",
    "view_gallery",
]
