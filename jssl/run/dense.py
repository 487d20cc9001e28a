"""What dense protocols are given: patch tokens and attention of whole images, and fields of the data."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jssl.data import load
from jssl.data.source import NoSplit
from jssl.evaluate import extract_features
from jssl.models import ViT, cls_attention

SPLITS = ("train", "test")
FIELDS = ("segmentation", "depth", "objects")  # dense labels that data may have beside its images


def whole(pixels: Any) -> Any:
    """Makes preprocessing that cuts nothing off, so that what is seen is what dense labels are of.

    Args:
        pixels: A network's `Preprocess`.
    Returns:
        The same, its short side as long as its crop.
    """
    return replace(pixels, size=pixels.crop)


def tokens(split: int) -> Callable[[Any], np.ndarray | None]:
    """Makes what gives patch tokens [N, n, D] of whole images of a split; None without a network."""

    def given(subject: Any) -> np.ndarray | None:
        if subject.loaded is None or (records := subject.records[split]) is None:
            return None
        seen = replace(subject, loaded=replace(subject.loaded, preprocess=whole(subject.pixels)), size=None)
        return seen.columns(records, "patches").features

    return given


def attention(subject: Any) -> np.ndarray | None:
    """Gives what the class token attends to in the last block, [N, heads, n], on whole test images.

    Args:
        subject: A `Subject`.
    Returns:
        None for a network without a class token, and for data without a test split.
    """
    source = _source(subject, 1)
    module = subject.loaded and subject.loaded.encoder
    if source is None or not (isinstance(module, ViT) and module.class_token):
        return None

    def attends(variables, images):
        return cls_attention(module, variables, images)

    view = jax.tree_util.Partial(subject.normalised_whole)
    look = jax.tree_util.Partial(attends, subject.loaded.variables)
    return np.asarray(extract_features(look, source.images, batch=subject.batch, view=view))


def dense_field(split: int, name: str) -> Callable[[Any], np.ndarray | None]:
    """Makes what gives dense labels [N, H, W] of a split; None where the data has none of the name."""

    def given(subject: Any) -> np.ndarray | None:
        source = _source(subject, split)
        return None if source is None else source.extras.get(name)

    return given


def _source(subject: Any, split: int):
    """The images in memory, square already where they have dense labels."""
    if subject.loaded is None:
        return None
    try:
        return load(subject.data, data_dir=subject.data_dir, split=SPLITS[split])
    except NoSplit:
        return None


GIVEN: dict[str, Callable[[Any], Any]] = {
    "train_tokens": tokens(0),
    "test_tokens": tokens(1),
    "test_attention": attention,
    **{f"{part}_{name}": dense_field(at, name) for at, part in enumerate(SPLITS) for name in FIELDS},
}
"""What gives each of the things that dense protocols need, by its name."""
