"""The settings that every system has: the network, the data and the training budget."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from jssl.data import evaluation_view, views
from jssl.data.augment.base import Statistics
from jssl.data.views import SMALL, Views, renormalized, statistics
from jssl.data.views.multicrop import local_side
from jssl.models import attend
from jssl.models import encoder as encoder_named
from jssl.optim import (
    Schedule,
    by_epoch,
    decay_encoder_layers,
    hold_lower_blocks,
    linear,
    low_rank,
    warmup_cosine,
    warmup_drops,
)
from jssl.run.settings.experiment import DataInfo, Experiment, Settings, Weights
from jssl.run.settings.numbers import Count, Share
from jssl.run.settings.pictures import attention_figure
from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess

CONTINUED = 0.9  # layer decay of a run that starts from weights
LARGEST_VIEW = 224  # side of the global views of larger images, in pixels
FLAGS = {"attend": "attention"}  # field of a network -> its flag, where the names differ
REMAT = {  # policies: what is stored
    "none": None,
    "elementwise": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "blocks": jax.checkpoint_policies.nothing_saveable,
}


@dataclass(frozen=True, kw_only=True)
class Training(Settings):
    """Settings that every system has. A system's own class gives them the paper's values."""

    encoder: str
    """A name such as resnet50, resnet18_cifar, vit_s16 or vit_ti4."""
    batch: Count
    """Images per step."""
    epochs: float
    """Passes over the data."""
    steps: Count | None = None
    """Optimizer steps, in place of epochs; spans given in epochs then keep their share of the run."""
    warmup: float
    """Epochs in which the learning rate rises."""
    learning_rate: float
    """At its peak, for a batch of `rate_per` images."""
    rate_per: Count | None
    """The batch that the learning rate is given for; the rate scales with the batch. None: it does not."""
    start_rate: Share = 0.0
    """Learning rate at the start of the warm-up, as a share of the peak."""
    final_rate: Share
    """Learning rate at the end of the run, as a share of the peak."""
    drops: tuple[float, ...] = ()
    """Epochs after which the rate falls in equal factors, to `final_rate` at last; none: half a cosine."""
    weight_decay: float
    """Weight decay of the parameters that decay in the authors' code."""
    views: str
    """A function of `jssl.data.views`, such as simclr, byol, dino or handwriting."""
    size: Count | None = None
    """Side of the global views, in pixels; by default that of the data's images, 224 at most."""
    start: Weights | None = None
    """Weights to start from: a published name, a file or a run; their network replaces --encoder."""
    continued_rate: Share = 0.1
    """With --start, the learning rate is multiplied by this."""
    layer_decay: Share | None = None
    """Factor of the learning rate from each encoder layer to the one before; by default 0.9 with --start."""
    frozen_blocks: int = 0
    """So many of the encoder's lowest blocks are not trained, nor are stem, tokens and positions."""
    lora: Count | None = None
    """Rank of LoRA: only low-rank changes of the attention's kernels are trained, and the heads."""
    scan: bool = False
    """Compile one block of a transformer instead of all of them: a fraction of the time, the same numbers."""
    remat: Literal["none", "elementwise", "blocks"] = "none"
    """To save memory, a transformer's backward pass recomputes all but matrix products (elementwise), or
    everything inside its blocks (blocks).
    """

    attention: Literal["auto", "xla", "cudnn"] = "auto"
    """What computes attention: XLA, or cuDNN (NVIDIA GPUs, bfloat16); auto: cuDNN where it can."""

    @property
    def attend(self) -> Callable[..., jax.Array]:
        """The attention function of transformers."""
        return attend if self.attention == "auto" else partial(attend, by=self.attention)

    def network(self, *, hides: str | None = None, where_it_has: Mapping[str, Any] = {}, **overrides: Any):
        """Makes the encoder.

        Args:
            where_it_has: Fields of its module, such as drop_path or last_scale, set where it has them.
            hides: How the method hides patches: by "mask" tokens, or by showing only the "visible" ones.
            overrides: Further fields that its module must have, such as class_token=False.
        Returns:
            A Linen module; with --start that of the weights, as it is.
        Raises:
            ValueError: for an encoder that the method cannot use.
        """
        plain = self._plain
        missing = [field for field in overrides if not hasattr(plain, field)]
        if missing or (hides and hides not in inspect.signature(type(plain).__call__).parameters):
            given = (
                f"--encoder {self.encoder}"
                if self._started is None
                else f"--start with a {type(plain).__name__}"
            )
            raise ValueError(f"{given} cannot be used here: the method hides patches; choose such as vit_s16")
        chosen = {field: value for field, value in where_it_has.items() if hasattr(plain, field)}
        # architecture and weights of --start stay; fields that act only in training are the run's
        if self._started is not None:
            chosen = {field: value for field, value in chosen.items() if field == "drop_path"}
            return plain.clone(**chosen, **self._compilation(plain))
        return encoder_named(self.encoder, **chosen, **overrides, **self._compilation(plain))

    @property
    def _started(self) -> Loaded | None:
        """The weights that the run starts from, which `plan` has opened."""
        if self.start is None or isinstance(self.start, Loaded):
            return self.start
        raise ValueError(
            f"--start {self.start} is a name yet; build through jssl.run, or give jssl.weights.load(name)"
        )

    @property
    def _plain(self) -> Any:
        """The encoder of this name, or that of the weights that the run starts from."""
        return encoder_named(self.encoder) if self._started is None else self._started.encoder

    def _compilation(self, plain) -> dict[str, Any]:
        chosen = {"scan": self.scan, "remat": REMAT[self.remat]}
        chosen |= {"attend": None if self.attention == "auto" else self.attend}
        for field, value in chosen.items():
            if value and not hasattr(plain, field):
                raise ValueError(
                    f"--{FLAGS.get(field, field)} is for transformers; {self.encoder} has no blocks for it; "
                    "choose such as vit_s16"
                )
        return {field: value for field, value in chosen.items() if value}

    def length(self, data: DataInfo) -> int:
        """The number of steps of the run."""
        if self.steps is not None:
            return self.steps
        if self.epochs <= 0:
            raise ValueError(f"--epochs must be more than 0, got {self.epochs}")
        return max(1, round(self.epochs * (data.examples // self.batch)))

    def span(self, epochs: float, data: DataInfo) -> int:
        """The number of steps in so many of the run's epochs."""
        return round(epochs * self.length(data) / self.epochs)

    @property
    def peak_rate(self) -> float:
        """The highest learning rate, for the run's batch."""
        share = 1.0 if self.start is None else self.continued_rate
        return share * self.learning_rate * self.batch_factor

    @property
    def batch_factor(self) -> float:
        """The factor of the batch on the learning rate."""
        return self.batch / self.rate_per if self.rate_per else 1.0

    def rate(self, data: DataInfo) -> Schedule:
        """Makes the learning rate: up in a line, down in half a cosine, or by steps if there are `drops`."""
        steps, warmup = self.length(data), self.rise(data)
        peak, start, end = self.peak_rate, self.start_rate * self.peak_rate, self.final_rate * self.peak_rate
        if self.drops:
            drops = [self.span(epochs, data) for epochs in self.drops]
            return warmup_drops(peak, drops=drops, warmup=warmup, start=start, end=end)
        return warmup_cosine(peak, steps=steps, warmup=warmup, start=start, end=end)

    def rise(self, data: DataInfo) -> int:
        """Returns the number of steps in which the learning rate rises.

        Raises:
            ValueError: where the warm-up fills the run.
        """
        steps, warmup = self.length(data), self.span(self.warmup, data)
        if warmup >= steps:
            raise ValueError(
                f"--warmup of {self.warmup:g} epochs takes {warmup:,} of {steps:,} steps; it must end before "
                "the run"
            )
        return warmup

    def rate_by_epoch(self, data: DataInfo, *, first: int = 0) -> Schedule:
        """Makes the learning rate as code that sets it before each epoch does: constant within an epoch,
        after a warm-up that changes in every step.

        Args:
            first: The number of the first epoch: 0, or 1 where the authors count from one.
        """
        epoch, warmup = max(1, self.span(1, data)), self.span(self.warmup, data)
        return by_epoch(Training.rate(self, data), epoch, after=warmup, first=first)

    def rate_in_a_line(self, data: DataInfo, *, share: float) -> Schedule:
        """Makes a learning rate that falls linearly and reaches its end before the run does.

        Args:
            share: Of the run, after which the rate stays at its final value.
        """
        if self.drops:
            return Training.rate(self, data)
        steps, warmup, peak = self.length(data), self.rise(data), self.peak_rate
        rise = linear(self.start_rate * peak, peak, max(1, warmup))
        fall = linear(peak, self.final_rate * peak, max(1, round(share * steps) - warmup))
        return lambda step: jnp.where(step < warmup, rise(step), fall(step - warmup))

    def view_side(self, data: DataInfo) -> int:
        """The side of the global views, in pixels."""
        return self.size or min(LARGEST_VIEW, data.side)

    def make_views(self, data: DataInfo, **settings: Any) -> Views:
        """Makes the views at this size.

        Args:
            settings: Further arguments of the function that makes them.
        Raises:
            ValueError: for an unknown name, or where that function has no such argument.
        """
        if self.views not in views.NAMED:
            raise ValueError(f"--views must be one of {', '.join(views.NAMED)}, got {self.views!r}")
        make, size = views.NAMED[self.views], self.view_side(data)
        if "local_size" in inspect.signature(make).parameters:
            settings = {"local_size": self._local_side(size)} | settings
        made = make(size=size, **settings)
        return (
            made if self._started is None else renormalized(made, statistics(self.views), self.normalization)
        )

    def _local_side(self, size: int) -> int:
        """The side of local views beside global ones of a size: a multiple of the encoder's patch."""
        side, patch = local_side(size), getattr(self._plain, "patch", 1)
        return max(patch, round(side / patch) * patch) if side % patch else side

    @property
    def normalization(self) -> Statistics:
        """The statistics that images are normalised with: those of the weights of --start, or the views'."""
        if self._started is None:
            return statistics(self.views)
        pixels = self._started.preprocess
        if not isinstance(pixels, Preprocess):
            raise ValueError("--start has weights of another kind than images'; give an encoder of images")
        return Statistics(pixels.mean, pixels.std)

    def view(self, data: DataInfo):
        """Makes the evaluation view of stored images, normalised as the training views are."""
        mean, std = self.normalization
        return evaluation_view(self.view_side(data), mean=mean, std=std)

    def preprocess(self, data: DataInfo) -> Preprocess:
        """Describes what `view` does, for files of weights."""
        side = self.view_side(data)
        resized = side if side < SMALL else round(side * 256 / 224)
        mean, std = self.normalization.of(data.image[-1])
        return Preprocess(resized, side, "bicubic", mean, std)

    def experiment(
        self,
        data: DataInfo,
        method,
        *,
        optimizer,
        network,
        views=None,
        figures=(),
        probed=None,
        logits=None,
        given=None,
    ) -> Experiment:
        """Puts together what `build` returns.

        Args:
            network: The encoder's module.
            views: Views with settings of their own; by default `make_views(data)`.
            figures: For the report, besides a ViT's attention maps.
            probed, logits, given: As `Experiment` has them.
        """
        view = self.view(data)
        decay = self.layer_decay if self.layer_decay is not None else 1.0 if self.start is None else CONTINUED
        layers = [] if decay == 1.0 else [decay_encoder_layers(decay)]
        layers += [hold_lower_blocks(self.frozen_blocks)] if self.frozen_blocks else []
        optimizer = optax.chain(optimizer, *layers) if layers else optimizer
        return Experiment(
            method,
            optimizer if self.lora is None else low_rank(optimizer, self.lora),
            self.make_views(data) if views is None else views,
            batch=self.batch,
            steps=self.length(data),
            learning_rate=self.rate(data),
            evaluation_view=view,
            encoder=network,
            preprocess=self.preprocess(data),
            peak_rate=self.peak_rate,
            figures=(*attention_figure(method, network, view, normalized=self.normalization), *figures),
            probed=probed,
            logits=logits,
            given=given,
        )
