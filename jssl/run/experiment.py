"""What an experiment is: a method and all it is trained with."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from jssl.data.reading.sizes import CANVAS
from jssl.data.source import Source
from jssl.methods.base import Method
from jssl.train import TrainState, ViewRecipe

Figure = Callable[[TrainState, jax.Array], list[tuple[str, bytes]]]


class Experiment(NamedTuple):
    """A method, an optimizer, views and data: what `make_step` and `fit` need, and how the result is looked at.

    method, optimizer, views: as `make_step` takes them.
    batch, steps:    images per optimizer step, and optimizer steps.
    learning_rate:   step -> rate, for the log.
    data:            a name that `jssl.data.load` knows, or a `Source`.
    data_dir:        where TFDS has its data sets.
    test:            a `Source` to test on; None: the test split of `data`, or a tenth held out where it has none.
    canvas:          the largest side that images in files are kept at.
    evaluation_view: images as stored [B, H, W, C] -> what the probes' network sees.
    figures:         (state, images as the evaluation view makes them) -> [(caption, png)], for the report.
    """

    method: Method
    optimizer: optax.GradientTransformation
    views: ViewRecipe
    batch: int
    steps: int
    learning_rate: Callable[[Any], Any]
    data: str | Source
    evaluation_view: Callable[[jax.Array], jax.Array]
    data_dir: str | None = None
    test: Source | None = None
    figures: tuple[Figure, ...] = ()
    canvas: int = CANVAS
