"""Computes what dense protocols and searches need: tokens of whole images, and the labels of pixels."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jssl.data.reading.records import Records
from jssl.data.source import DENSE
from jssl.evaluate import extract_features
from jssl.evaluate.protocols.patches import patch_grid
from jssl.models import ViT, cls_attention

SPLITS = ("train", "test")


def whole(pixels: Any) -> Any:
    """Makes preprocessing without a crop, so that the network sees all that dense labels cover.

    Args:
        pixels: A network's `Preprocess`.
    Returns:
        The same, its short side as long as its crop.
    """
    return replace(pixels, size=pixels.crop)


def seeing_all(subject: Any) -> Any:
    """Makes the subject see whole images.

    Args:
        subject: A `Subject` with a network.
    Returns:
        Another one, whose features are cached separately.
    """
    loaded = replace(subject.loaded, preprocess=whole(subject.pixels))
    return replace(subject, loaded=loaded, size=None, _splits={})


def middle(pixels: np.ndarray) -> np.ndarray:
    """Cuts the central square out of images or labels [N, H, W, ...], as `whole` does."""
    height, width = pixels.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[:, top : top + side, left : left + side]


def of_whole(split: int, tokens: str) -> Callable[[Any], np.ndarray | None]:
    """Makes the function that computes features of whole images of a split; it returns None without a
    network.

    Args:
        split: 0 for training, 1 for test images.
        tokens: "patches" [N, n, D], or "cls" [N, D].
    """

    def given(subject: Any) -> np.ndarray | None:
        splits = None if subject.loaded is None else seeing_all(subject).splits(tokens)
        return None if splits is None else splits[split].features

    return given


def attention(subject: Any) -> np.ndarray | None:
    """Computes the class token's attention in the last block, [N, heads, n], on whole test images.

    Args:
        subject: A `Subject`.
    Returns:
        None for a network without a class token, and for data whose pixels have no labels.
    """
    module = subject.loaded and subject.loaded.encoder
    if not (isinstance(module, ViT) and module.class_token) or subject.labelled is None:
        return None

    def attends(variables, images):
        return cls_attention(module, variables, images)

    view = jax.tree_util.Partial(subject.normalised_whole)
    look = jax.tree_util.Partial(attends, subject.loaded.variables)
    images = middle(subject.labelled[1].images)
    return np.asarray(extract_features(look, images, batch=subject.batch, view=view))


def dense_field(split: int, name: str) -> Callable[[Any], np.ndarray | None]:
    """Makes the function that reads dense labels [N, H, W] of a split; it returns None if there are none.

    Labels are cut to their central square, as the images are. Where patches do not divide them, they are
    resized to the size that the network sees.
    """

    def given(subject: Any) -> np.ndarray | None:
        labels = None if subject.labelled is None else subject.labelled[split].extras.get(name)
        seen = of_whole(split, "patches")(subject)
        if labels is None or not len(labels) or seen is None:
            return None
        labels = middle(labels)
        try:
            patch_grid(seen.shape[1], labels.shape[1:])
        except ValueError:
            height, side = labels.shape[1], subject.pixels.crop
            subject.note(
                f"{name} of {height} x {height} pixels is brought to the {side} x {side} that are seen"
            )
            at = (np.arange(side) * height + height // 2) // side
            labels = labels[:, at][:, :, at]
        return labels

    return given


def film_tokens(subject: Any) -> list[np.ndarray] | None:
    """Computes patch tokens [T, n, D] of whole frames, film by film; None for data without films."""
    if subject.loaded is None or subject.films is None:
        return None
    found = seeing_all(subject).columns(subject.films.frames, "patches").features
    ends = np.cumsum([len(one) for one in subject.films.objects])
    if len(found) != ends[-1]:
        raise ValueError(f"{ends[-1] - len(found)} frames of films cannot be read")
    return np.split(found, ends[:-1])


def searched(
    records: Callable[[Any], Records | None], kind: str, *, cut: bool
) -> Callable[[Any], np.ndarray | None]:
    """Makes the function that computes features [N, D] or tokens [N, n, D] of the images of a search.

    Args:
        records: Subject -> the images; None for data without such a search.
        kind: "features" or "tokens".
        cut: Whether images are cropped as those of a split are; else they are used whole.
    """

    def given(subject: Any) -> np.ndarray | None:
        images = None if subject.loaded is None else records(subject)
        if images is None:
            return None
        seen = subject if cut else seeing_all(subject)
        found = seen.columns(images, {"features": "cls", "tokens": "patches"}[kind]).features
        if len(found) != len(images):
            raise ValueError(f"{len(images) - len(found)} images of the search cannot be read")
        return found

    return given


PARTS: dict[str, Callable[[Any], Records | None]] = {
    "query": lambda subject: subject.search and subject.search.queries,
    "gallery": lambda subject: subject.search and subject.search.gallery,
    "copy": lambda subject: subject.copies and subject.copies[0].queries,
    "original": lambda subject: subject.copies and subject.copies[0].gallery,
    "whitening": lambda subject: subject.copies and subject.copies[1],
}
GIVEN: dict[str, Callable[[Any], Any]] = {
    **{f"{part}_tokens": of_whole(at, "patches") for at, part in enumerate(SPLITS)},
    **{f"{part}_whole_features": of_whole(at, "cls") for at, part in enumerate(SPLITS)},
    "test_attention": attention,
    **{f"{part}_{name}": dense_field(at, name) for at, part in enumerate(SPLITS) for name in DENSE},
    "film_tokens": film_tokens,
    "film_objects": lambda subject: subject.films and subject.films.objects,
    **{f"{part}_features": searched(PARTS[part], "features", cut=True) for part in ("query", "gallery")},
    **{
        f"{part}_{kind}": searched(PARTS[part], kind, cut=False)
        for part in ("copy", "original", "whitening")  # one descriptor of both, so of the same pixels
        for kind in ("features", "tokens")
    },
    "relevance": lambda subject: subject.search and subject.search.relevance,
    "copied": lambda subject: subject.copies and subject.copies[0].relevance,
}
"""The function that computes each of the things that these protocols need, by its name."""
