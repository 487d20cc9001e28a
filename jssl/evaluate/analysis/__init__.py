"""Analysis of a network: patch features, their frequencies and attention, as arrays that figures draw."""

from jssl.evaluate.analysis.attention import (
    among_patches,
    attention_distance,
    attention_information,
    attention_rows,
    most_attended,
)
from jssl.evaluate.analysis.maps import principal_plane, tsne
from jssl.evaluate.analysis.patches import patch_components
from jssl.evaluate.analysis.spectrum import log_amplitudes
from jssl.evaluate.analysis.strategies import masks_of_all

__all__ = [
    "among_patches",
    "attention_distance",
    "attention_information",
    "attention_rows",
    "log_amplitudes",
    "masks_of_all",
    "most_attended",
    "patch_components",
    "principal_plane",
    "tsne",
]
