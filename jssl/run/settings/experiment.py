"""What an experiment is: settings that say how to build it, and what is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jssl.data.reading.sizes import CANVAS
from jssl.data.source import Source
from jssl.data.views import Views
from jssl.methods.base import Method
from jssl.run.settings.numbers import Count, Share
from jssl.train import TrainState
from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess

Figure = Callable[[TrainState, jax.Array], list[tuple[str, Any]]]  # captions, and matplotlib's figures
Data = str | Source | tuple[Source, Source]  # in Python also what `run.data.own_data.opened` takes
Weights = str | Loaded
AS_DRAWN = "random"  # in place of weights: a network with random weights


class DataInfo(NamedTuple):
    """The sizes and counts of a run's data: all that an experiment may know of it while it is built.

    Attributes:
        name: As in `--data`.
        examples: Training images.
        image: Height, width and channels of an image as a batch holds it.
        side: The side of a typical image, which the views have by default.
        classes: Labelled classes, 0 without labels.
        extras: Shape and type of one example of each further array, such as {"caption": ((12,), "int32")}.
    """

    name: str
    examples: int
    image: tuple[int, int, int]
    side: int
    classes: int
    extras: Mapping[str, tuple[tuple[int, ...], str]]

    def extra(self, name: str) -> tuple[int, ...]:
        """The shape of one example of a further array.

        Raises:
            ValueError: where the data has no such array.
        """
        if name not in self.extras:
            raise ValueError(
                f"--data {self.name} has no {name}; this experiment needs one for each image: choose scenes, "
                f"or hand over from_arrays(images, {name}=...)"
            )
        return tuple(self.extras[name][0])

    def batch(self, size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes and types of a batch of this data."""
        rows: dict[str, tuple[tuple[int, ...], Any]] = {
            "image": (tuple(self.image), np.uint8),
            "label": ((), np.int32),
            **self.extras,
            "index": ((), np.int32),
        }
        return {
            name: jax.ShapeDtypeStruct((size, *shape), np.dtype(kind)) for name, (shape, kind) in rows.items()
        }


class Experiment(NamedTuple):
    """A method, an optimizer and views, as `make_step` and `fit` need them, and how the result is evaluated.

    Attributes:
        method, optimizer, views: As `make_step` takes them.
        batch: Images per optimizer step.
        steps: Optimizer steps.
        learning_rate: step -> rate, for the log.
        evaluation_view: Images as stored [B, H, W, C] -> the images that the network is evaluated on.
        encoder: The module whose features are evaluated, for `open_run`.
        preprocess: What `evaluation_view` does, in a form that goes into files of weights.
        peak_rate: The highest learning rate, for the first line of a run.
        figures: (state, images as stored) -> [(caption, a figure of matplotlib's)], for the report.
        probed: (params, teacher, memory, images as the evaluation view makes them) -> ([B, D], the features'
            `cls`, and [B, E], what the linear probe reads), in one pass through the network; None: both are
            `cls`.
        logits: (params, teacher, memory, images as the evaluation view makes them) -> [B, classes], of a
            method that learns the classes itself; its accuracy stands beside the probes'.
        given: Weights that the first state begins with beside those of --start, as `init_state` takes them,
            such as a frozen target's; None: none.
    """

    method: Method
    optimizer: optax.GradientTransformation
    views: Views
    batch: int
    steps: int
    learning_rate: Callable[[Any], Any]
    evaluation_view: Callable[[jax.Array], jax.Array]
    encoder: Any = None
    preprocess: Preprocess | None = None
    peak_rate: float | None = None
    figures: tuple[Figure, ...] = ()
    probed: Callable[..., tuple[jax.Array, jax.Array]] | None = None
    logits: Callable[..., jax.Array] | None = None
    given: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings from which an experiment is built. Its fields are the flags of its command.

    A subclass is a frozen dataclass with fields of its own and a `build`.
    """

    data: Data
    """What to train on: the path of a folder of images, or digits, scenes, tfds:<name>, npz:<file>."""
    data_dir: str | None = None
    """Where TFDS has its data sets."""
    canvas: int = CANVAS
    """Images in files are scaled down to at most this side, in pixels; crops come from the whole image."""
    share: Share = 1.0
    """Train on this share of each class's training images; a larger share contains the smaller ones."""
    per_class: Count | None = None
    """Train on so many images of each class, in place of a share."""
    only: str | None = None
    """Train on these images only: a file that `jssl curate` has written."""

    def lacks(self) -> str | None:
        """Says in one line what has to be given before a run; None where nothing is missing."""
        return None

    def build(self, data: DataInfo) -> Experiment:
        """Builds the experiment from its settings and the sizes of its data. Opens no file.

        Args:
            data: Sizes and counts, found by `plan`.
        Returns:
            An `Experiment`.
        Raises:
            ValueError: for settings that do not fit together or do not fit the data.
        """
        raise NotImplementedError
