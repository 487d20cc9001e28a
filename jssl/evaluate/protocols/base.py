"""Protocols: named evaluations that say what they need and return metrics."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jssl.arrays.checks import check

WORDS = {
    "train_features": "features of training images",
    "train_labels": "labels of training images",
    "test_features": "features of test images",
    "test_labels": "labels of test images",
    "classes": "the number of classes",
    "test_embeddings": "test images embedded beside captions",
    "prompts": "embedded captions of every class",
    "caption_embeddings": "the test images' own captions, embedded",
    "train_tokens": "patch tokens of training images",
    "test_tokens": "patch tokens of test images",
    "test_attention": "the class token's attention on test images",
    "train_whole_features": "features of whole training images",
    "test_whole_features": "features of whole test images",
    "train_segmentation": "dense labels of training images: segmentation",
    "test_segmentation": "dense labels of test images: segmentation",
    "train_depth": "dense labels of training images: depth",
    "test_depth": "dense labels of test images: depth",
    "train_objects": "dense labels of training images: objects",
    "test_objects": "dense labels of test images: objects",
    "film_tokens": "patch tokens of films' frames",
    "film_objects": "dense labels of films' frames: objects",
    "query_features": "features of queries",
    "gallery_features": "features of the images to search",
    "relevance": "which image answers which query",
    "whitening_features": "features of images that whitening is learned from",
    "whitening_tokens": "patch tokens of images that whitening is learned from",
    "copy_features": "features of copies",
    "copy_tokens": "patch tokens of copies",
    "original_features": "features of originals and other images",
    "original_tokens": "patch tokens of originals and other images",
    "copied": "which image is the original of which copy",
    "train_layers": "class tokens of the last blocks of training images",
    "test_layers": "class tokens of the last blocks of test images",
    "train_images": "training images as they are stored",
    "test_images": "test images as they are stored",
    "train_views": "features of several views of each training image",
    "encode": "a network to compute features with",
    "fine_tune": "a network to go on training",
    "sets": "several data sets",
}
WIDE = ("features", "layers", "tokens", "images")  # needs that have to be of one width in both splits
# last words of metrics in [0, 1], which are shown in percent
SHARES = ("top1", "top5", "accuracy", "spread", "interval")


class Labelled(NamedTuple):
    """Values and their labels: what a protocol is trained or tested on.

    Attributes:
        values: [N, ...], features or images.
        labels: [N] integers in [0, classes).
    """

    values: Any
    labels: Any


class Protocol(NamedTuple):
    """A named evaluation of a representation.

    Attributes:
        name: Its metrics are called `name_metric` in tables and logs.
        needs: Names of what `run` takes, such as those of `WORDS`.
        run: (**needs) -> {metric: value}.
        main: The metric shown where there is room for one.
        settings: Every number that defines it, by name.
        standardises: Whether it subtracts the mean of the training features itself, so that a shift of all
            features changes nothing.
    """

    name: str
    needs: tuple[str, ...]
    run: Callable[..., dict[str, float]]
    main: str = "top1"
    settings: Mapping[str, Any] = {}
    standardises: bool = False

    @property
    def headline(self) -> str:
        """The full name of its main metric, such as "knn_top1"."""
        return f"{self.name}_{self.main}"


LABELLED = ("train_features", "train_labels", "test_features", "test_labels", "classes")
"""What most protocols need: features of both splits with their labels."""


def checked(train_features, train_labels, test_features, test_labels) -> list[jax.Array]:
    """Checks features [N, D] and [M, D] and their labels [N] and [M], see `check`."""
    return check(
        train_features=(train_features, "N D"),
        train_labels=(train_labels, "N", int),
        test_features=(test_features, "M D"),
        test_labels=(test_labels, "M", int),
    )


def strays(labels, classes: int) -> str | None:
    """Returns the range of labels in words, where some are no classes.

    Args:
        labels: [N] integers. Traced labels and those of other processes pass, since their values are unknown.
        classes: Number of classes.
    Returns:
        Words such as "from -1 to 2", or None where all lie in [0, classes).
    Examples:
        >>> strays([0, -1, 2], classes=3), strays([0, 2], classes=3)
        ('from -1 to 2', None)
    """
    if isinstance(labels, jax.core.Tracer) or not getattr(labels, "is_fully_addressable", True):
        return None
    found = np.asarray(labels)
    if found.size and found.min() >= 0 and found.max() < classes:
        return None
    return f"from {found.min()} to {found.max()}" if found.size else "none"


def check_labels(classes: int, **labels) -> None:
    """Checks that labels are classes: indexing would take -1 for the last class.

    Args:
        classes: Number of classes.
        **labels: name=[N] integers.
    Raises:
        ValueError: for a label outside of [0, classes).
    """
    for name, given in labels.items():
        if found := strays(given, classes):
            raise ValueError(f"{name} are {found}, expected integers from 0 to {classes - 1}")


def settings_of(function: Callable, given: Mapping[str, Any] = {}, *, of: str = "") -> dict[str, Any]:
    """Lists all settings of a function: those given, and the defaults of its other keyword arguments.

    Args:
        function: The function that takes them.
        given: Some of them, with other values than the defaults.
        of: What the settings belong to, for the message.
    Returns:
        {name: value}, in the function's order.
    Raises:
        ValueError: for a setting that the function does not have.
    Examples:
        >>> settings_of(lambda x, *, k=20, temperature=0.07: x, {"k": 5})
        {'k': 5, 'temperature': 0.07}
    """
    known = inspect.signature(function).parameters.values()
    values = {one.name: one.default for one in known if one.kind is one.KEYWORD_ONLY}
    values.pop("classes", None)  # a property of the data, not a setting
    if unknown := next((name for name in given if name not in values), None):
        raise ValueError(f"{of or function.__name__} has no setting {unknown}; it has {', '.join(values)}")
    return {name: given.get(name, value) for name, value in values.items()}


def refusal(protocol: Protocol, given: Mapping[str, Any]) -> str | None:
    """Says in one line why a protocol cannot run on what is given.

    Args:
        protocol: The evaluation.
        given: Inputs by the names of `Protocol.needs`; None counts as missing.
    Returns:
        One line, or None where the protocol can run.
    Examples:
        >>> one = Protocol("one", ("test_labels", "classes"), dict)
        >>> refusal(one, {"classes": 2})
        'one is left out: it needs labels of test images'
        >>> refusal(one, {"test_labels": [0, 0], "classes": 1})
        'one is left out: it needs at least two classes, there is 1'
    """
    out = f"{protocol.name} is left out: it needs"
    missing = [WORDS.get(name, name) for name in protocol.needs if given.get(name) is None]
    if missing:
        return f"{out} {' and '.join(missing)}"
    for name in (name for name in protocol.needs if name.startswith("train_")):
        other = given.get(name.replace("train_", "test_"))
        widths = [np.shape(x)[1:] for x in (given[name], other) if isinstance(x, np.ndarray | jax.Array)]
        if name.endswith(WIDE) and len(widths) == 2 and widths[0] != widths[1]:
            return f"{out} {name.removeprefix('train_')} of one width, they are {widths[0]} and {widths[1]}"
    if "classes" not in protocol.needs:
        return None
    classes = given["classes"]
    if classes < 2:
        return f"{out} at least two classes, there is {classes}"
    for name in ("train_labels", "test_labels"):
        if name in protocol.needs and (found := strays(given[name], classes)):
            return f"{out} {WORDS[name]} from 0 to {classes - 1}, they are {found}"
    return None


def score(protocols: Iterable[Protocol], **given: Any) -> dict[str, float]:
    """Runs protocols on what is given.

    Args:
        protocols: The evaluations, in the order of the metrics.
        **given: What they need, by the names of `Protocol.needs`.
    Returns:
        {"protocol_metric": value}.
    Raises:
        ValueError: where one of them lacks what it needs, see `refusal`.
    Examples:
        >>> share = lambda test_labels: {"top1": max(test_labels) / 4}
        >>> majority = Protocol("majority", ("test_labels",), share)
        >>> score([majority], test_labels=[0, 1], classes=2)
        {'majority_top1': 0.25}
    """
    scores = {}
    for protocol in protocols:
        if reason := refusal(protocol, given):
            raise ValueError(reason)
        found = protocol.run(**{name: given[name] for name in protocol.needs})
        scores |= {f"{protocol.name}_{metric}": float(value) for metric, value in found.items()}
    return scores


def heading(metric: str) -> str:
    """Writes the name of a metric for a reader, with its unit.

    Examples:
        >>> heading("knn_top1"), heading("depth_rmse"), heading("npz:my_set.npz: knn_top1")
        ('kNN top-1, %', 'depth rmse', 'npz:my_set.npz: kNN top-1, %')
    """
    before, colon, name = metric.rpartition(": ")  # a prefix, such as the data, stays as it is
    words = [{"knn": "kNN", "top1": "top-1", "top5": "top-5"}.get(word, word) for word in name.split("_")]
    return before + colon + " ".join(words) + (", %" if is_share(metric) else "")


def is_share(metric: str) -> bool:
    """Tells whether a metric lies in [0, 1] and is shown in percent."""
    return metric.endswith(SHARES)


def shown(metric: str, value: float) -> str:
    """Writes a metric's value for a reader, in the unit of `heading`.

    Examples:
        >>> shown("knn_top1", 0.7114), shown("depth_rmse", 0.1234567)
        ('71.1', '0.123')
    """
    return f"{100 * value:.1f}" if is_share(metric) else f"{value:.3g}"
