"""Everything about a run that can be refused, decided before anything is compiled or written."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.resident import steps_per_epoch
from jssl.data.source import Source, load
from jssl.experiment.base import Experiment
from jssl.experiment.record import check_directory
from jssl.train import init_state, train_step

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


class Options(NamedTuple):
    """How an experiment is run, whatever it trains.

    out: run directory; by default runs/<experiment>; run again with the same one to resume.
    seed: of initialisation, order and views.
    dtype: of the forward pass, float32 or bfloat16; parameters and losses are float32.
    accumulate: parts in which a batch is seen, for batches that do not fit.
    log_every: steps between two lines of metrics.jsonl.
    eval_every: steps between two kNN probes; by default a tenth of the run.
    checkpoint_every: steps between two checkpoints; by default a tenth of the run.
    """

    out: str | None = None
    seed: int = 0
    dtype: str = "float32"
    accumulate: int = 1
    log_every: int = 10
    eval_every: int | None = None
    checkpoint_every: int | None = None


class Plan(NamedTuple):
    """A run that will be accepted.

    name: the experiment's. experiment: with `batch` and `steps` as asked for. options: without None.
    config: what config.json holds. train, test: the data; test is None where there are no labels to test on.
    """

    name: str
    experiment: Experiment
    options: Options
    config: dict[str, Any]
    train: Source
    test: Source | None


def experiment_name(make: Callable[..., Experiment]) -> str:
    """What a run is called: the file its experiment is written in, or in a notebook its function."""
    try:
        stem = Path(inspect.getsourcefile(make) or "").stem
    except TypeError:
        stem = ""
    return stem if stem.isidentifier() else make.__name__


def plan(
    make: Callable[..., Experiment], settings: Mapping[str, Any], options: Options, *, name: str | None = None
) -> Plan:
    """Builds an experiment, loads its data and traces its step, compiling and writing nothing.

    make: the experiment's function; settings: its keyword arguments.

    Returns: a `Plan`.

    Raises: ValueError, FileNotFoundError or ImportError, in one sentence that says what to do.
    """
    for option in ("accumulate", "log_every", "eval_every", "checkpoint_every"):
        value = getattr(options, option)
        if value is not None and value < 1:
            raise ValueError(f"--{option.replace('_', '-')} must be at least 1, got {value}")
    if options.dtype not in DTYPES:
        raise ValueError(f"--dtype must be one of {', '.join(DTYPES)}, got {options.dtype!r}")
    defaults = {key: p.default for key, p in inspect.signature(make).parameters.items() if p.default is not p.empty}
    settings = defaults | dict(settings)
    experiment = make(**settings)
    if experiment.steps < 1:
        raise ValueError(f"--steps must be at least 1, got {experiment.steps}")
    name = name or experiment_name(make)
    tenth = max(1, experiment.steps // 10)
    options = options._replace(
        out=options.out or f"runs/{name}",
        eval_every=options.eval_every or tenth,
        checkpoint_every=options.checkpoint_every or tenth,
    )
    config = {
        "experiment": name,
        "settings": {key: _plain(value) for key, value in settings.items()},
        "numbers": {key: getattr(options, key) for key in ("seed", "dtype", "accumulate")},
        "versions": {"jax": jax.__version__},
    }
    check_directory(options.out, config)
    train, test = sources(experiment)
    steps_per_epoch(len(train), experiment.batch)
    if experiment.batch % options.accumulate:
        raise ValueError(f"--accumulate {options.accumulate} must divide the batch of {experiment.batch}")
    planned = Plan(name, experiment, options, config, train, test)
    _trace(planned)
    return planned


def sources(experiment: Experiment) -> tuple[Source, Source | None]:
    """The data to train on, and the data to test on where there is some with labels of the same classes."""
    if isinstance(experiment.data, Source):
        train, test = experiment.data, experiment.test
    else:
        train = load(experiment.data, data_dir=experiment.data_dir)
        try:
            test = experiment.test or load(experiment.data, data_dir=experiment.data_dir, split="test")
        except (ValueError, FileNotFoundError):  # trained on all the same
            test = None
    labelled = test is not None and train.classes > 1 and test.labels.min() >= 0 and train.labels.min() >= 0
    return train, test if labelled else None


def batch_shapes(source: Source, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch of the source without its values."""
    arrays = {"image": source.images, "label": source.labels, **source.extras}
    shapes = {name: jax.ShapeDtypeStruct((batch, *np.shape(x)[1:]), x.dtype) for name, x in arrays.items()}
    return shapes | {"index": jax.ShapeDtypeStruct((batch,), jnp.int32)}


def state_shapes(plan: Plan):
    """The train state without its values."""
    e, key = plan.experiment, jax.eval_shape(lambda: jax.random.key(0))
    shapes = batch_shapes(plan.train, e.batch)
    return jax.eval_shape(lambda key, batch: init_state(e.method, e.optimizer, e.views, batch, key=key), key, shapes)


def step_of(plan: Plan):
    """The uncompiled train step."""
    e, options = plan.experiment, plan.options
    return train_step(e.method, e.optimizer, e.views, dtype=DTYPES[options.dtype], accumulate=options.accumulate)


def _trace(plan: Plan) -> None:
    e, shapes = plan.experiment, batch_shapes(plan.train, plan.experiment.batch)
    state = state_shapes(plan)
    jax.eval_shape(step_of(plan), state, shapes)
    jax.eval_shape(
        lambda s, images: e.method.features(s.params, s.teacher, s.memory, e.evaluation_view(images)),
        state,
        shapes["image"],
    )


def _plain(value: Any) -> Any:
    """A setting as JSON has it; what JSON lacks, by its description."""
    if isinstance(value, Source):
        return value.name
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return repr(value)
