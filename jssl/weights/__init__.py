"""Published weights, in and out.

    w = jssl.weights.load("dinov2_vits14_reg")
    features = w.features(w.preprocess(images))

A family is a table (names, layouts, sizes, preprocessing) under `tables`; one engine reads and writes it.
"""

from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess
from jssl.weights.published import names
from jssl.weights.resolution import resize
from jssl.weights.transfer import families, load, save

__all__ = ["Loaded", "Preprocess", "families", "load", "names", "resize", "save"]
