"""What every recipe has in common, said once: the network, the data and the training budget."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_type_hints

import jax

from jssl.data import evaluation_view, views
from jssl.data.catalog import open_records
from jssl.data.reading.records import Records
from jssl.data.reading.sizes import CANVAS, image_shape
from jssl.models import encoder as encoder_named
from jssl.optim import Schedule, warmup_cosine
from jssl.run.experiment import Experiment
from jssl.run.gather import LARGEST
from jssl.run.pictures import attention_figure

REMAT = {  # policies: what is stored
    "none": None,
    "elementwise": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "blocks": jax.checkpoint_policies.nothing_saveable,
}


@dataclass(frozen=True)
class Training:
    """Settings that every experiment has.

    encoder: a name such as resnet50, resnet18_cifar, vit_s16 or vit_ti4.
    batch: images per step.
    steps: optimizer steps.
    warmup: share of the steps in which the learning rate rises.
    learning_rate: at its peak, for this batch.
    weight_decay: on weights, not on biases, norms, tokens or positions.
    data: digits, scenes, tfds:<name>, folder:<path> or npz:<file>.
    data_dir: where TFDS has its data sets.
    canvas: the largest side that images in files are kept at; crops are taken from the whole of them.
    size: side of the global views, in pixels; by default that of the images in the middle of a sample, 224 at most.
    views: a recipe of `jssl.data.views`, such as simclr, byol, dino or handwriting.
    scan: compile one block of a transformer instead of all of them: a fraction of the time, the same numbers.
    remat: what a transformer's backward pass recomputes instead of storing: none, all but matrix products as
        elementwise, or everything inside its blocks as blocks; the same numbers in less memory and more time.
    """

    encoder: str
    batch: int
    steps: int
    warmup: float
    learning_rate: float
    weight_decay: float
    views: str
    data: str = "tfds:imagenet2012"
    data_dir: str | None = None
    canvas: int = CANVAS
    size: int | None = None
    scan: bool = False
    remat: Literal["none", "elementwise", "blocks"] = "none"

    def network(self, *, drop_path: float = 0.0, hides: str | None = None, **overrides: Any):
        """The encoder.

        drop_path: stochastic depth, of encoders that have it.
        hides: how the method hides patches from it: by "mask" tokens, or by showing it only the "visible" ones.
        overrides: further fields that its module must have, such as class_token=False.

        Raises: ValueError for an encoder that the method cannot use.
        """
        plain = encoder_named(self.encoder)
        missing = [field for field in overrides if not hasattr(plain, field)]
        if missing or (hides and hides not in inspect.signature(type(plain).__call__).parameters):
            raise ValueError(
                f"--encoder {self.encoder} cannot be used here: the method hides patches; choose such as vit_s16"
            )
        regularised = {"drop_path": drop_path} if drop_path and hasattr(plain, "drop_path") else {}
        return encoder_named(self.encoder, **overrides, **regularised, **self._compilation(plain))

    def _compilation(self, plain) -> dict[str, Any]:
        chosen = {"scan": self.scan, "remat": REMAT[self.remat]}
        for field, value in chosen.items():
            if value and not hasattr(plain, field):
                raise ValueError(
                    f"--{field} is for transformers; {self.encoder} has no blocks for it; choose such as vit_s16"
                )
        return {field: value for field, value in chosen.items() if value}

    def share(self, share: float) -> int:
        """How many steps a share of the run is."""
        return round(share * self.steps)

    def rate(self) -> Schedule:
        """The learning rate: up in a line, down in half a cosine."""
        return warmup_cosine(self.learning_rate, steps=self.steps, warmup=self.share(self.warmup))

    def records(self) -> Records:
        """The data, unread."""
        return open_records(self.data, data_dir=self.data_dir)

    def view_recipe(self, **settings: Any):
        """The recipe of views, at this size; settings: the recipe's own.

        Raises: ValueError for an unknown name.
        """
        if self.views not in views.NAMED:
            raise ValueError(f"--views must be one of {', '.join(views.NAMED)}, got {self.views!r}")
        return views.NAMED[self.views](size=self.size, **settings)

    def view(self):
        """What the probes' network sees of the stored images."""
        return evaluation_view(self.size)

    def experiment(self, method, *, optimizer, views=None, network=None, **more: Any) -> Experiment:
        """The `Experiment` of a method on this data.

        views: a recipe with settings of its own; None: `view_recipe()`.
        network: the encoder's module, for its attention maps. more: further fields of `Experiment`.
        """
        view = self.view()
        maps = () if network is None else attention_figure(network, view)
        settings = dict(
            batch=self.batch,
            steps=self.steps,
            learning_rate=self.rate(),
            data=self.data,
            data_dir=self.data_dir,
            canvas=self.canvas,
            evaluation_view=view,
            figures=(*maps, *more.pop("figures", ())),
        )
        return Experiment(method, optimizer, views or self.view_recipe(), **settings | more)


def recipe(**published: Any) -> Callable:
    """Makes an experiment's function of one that takes a `Training`, or a kind of it, and its own keyword arguments.

    published: the paper's values of the fields of `Training`.

    Returns: a decorator; the function it makes takes all settings as flat keyword arguments, which are the command line.
    """

    def decorate(build: Callable[..., Experiment]) -> Callable[..., Experiment]:
        training, *own = inspect.signature(build).parameters.values()
        kind = get_type_hints(build)[training.name]
        hints, common = get_type_hints(kind), [field.name for field in fields(kind)]
        defaults = {field.name: published.get(field.name, field.default) for field in fields(kind)}

        @functools.wraps(build)
        def experiment(**settings):
            settings = defaults | settings
            training = kind(**{name: settings.pop(name) for name in common})
            training = replace(training, size=training.size or min(LARGEST, *image_shape(training.records())))
            return build(training, **settings)

        keyword = inspect.Parameter.KEYWORD_ONLY
        shared = [inspect.Parameter(n, keyword, default=defaults[n], annotation=hints[n]) for n in common]
        experiment.__signature__ = inspect.Signature([*shared, *own])
        experiment.__annotations__ = {p.name: p.annotation for p in (*shared, *own)}
        described = [base.__doc__ for base in kind.mro() if issubclass(base, Training)]
        experiment.__doc__ = "\n\n".join(map(inspect.cleandoc, (build.__doc__, *described)))
        return experiment

    return decorate
