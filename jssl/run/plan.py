"""Everything about a run that can be refused, decided before anything is compiled or written."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jssl.data.reading.resident import steps_per_epoch
from jssl.data.source import Source
from jssl.run.experiment import Experiment
from jssl.run.export import EVALUATED, evaluated
from jssl.run.footprint import footprint
from jssl.run.gather import Gathered, gather
from jssl.run.record import check_directory
from jssl.sharding import make_mesh, over_batch, state_sharding
from jssl.train import TrainState, init_state, train_step

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
    skip_nonfinite: steps that may be skipped because a loss or gradient is not finite, before the run stops.
    mesh: such as data=8 or data=4,fsdp=2; by default all devices on data.
    coordinator: host:port of process 0, for several processes where the environment does not tell.
    processes: how many there are, with --coordinator.
    process: which one this is, with --coordinator.
    """

    out: str | None = None
    seed: int = 0
    dtype: str = "float32"
    accumulate: int = 1
    log_every: int = 10
    eval_every: int | None = None
    checkpoint_every: int | None = None
    skip_nonfinite: int = 0
    mesh: str | None = None
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None


class Plan(NamedTuple):
    """A run that will be accepted.

    name: the experiment's. experiment: with `batch` and `steps` as asked for. options: without None.
    config: what config.json holds. data: opened. mesh: the devices.
    state: the train state without its values, each array with its place on the mesh.
    needs: bytes of each device, by what takes them.
    """

    name: str
    experiment: Experiment
    options: Options
    config: dict[str, Any]
    data: Gathered
    mesh: Mesh
    state: TrainState
    needs: dict[str, int]

    @property
    def places(self) -> TrainState:
        """Where each array of the state lies."""
        return jax.tree.map(lambda x: x.sharding, self.state)


def experiment_name(make: Callable[..., Experiment]) -> str:
    """What a run is called: the file its experiment is written in, or in a notebook its function."""
    try:
        stem = Path(inspect.getsourcefile(inspect.unwrap(make)) or "").stem
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
    defaults = {
        key: p.default for key, p in inspect.signature(make).parameters.items() if p.default is not p.empty
    }
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
    mesh = make_mesh(options.mesh)
    data = gather(experiment)
    steps_per_epoch(len(data), experiment.batch)
    if experiment.batch % options.accumulate:
        raise ValueError(f"--accumulate {options.accumulate} must divide the batch of {experiment.batch}")
    if experiment.batch % mesh.size:
        raise ValueError(
            f"a batch of {experiment.batch} does not spread over {mesh.size} devices; change it or --mesh"
        )
    state = _state(mesh, initial_state(experiment, options), batch_shapes(data.train, experiment.batch))
    planned = Plan(name, experiment, options, config, data, mesh, state, {})
    return planned._replace(needs=_needs(planned), config=config | {EVALUATED: _evaluated(planned)})


def batch_shapes(source: Source, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch of the source without its values."""
    shapes = {
        name: jax.ShapeDtypeStruct((batch, *np.shape(x)[1:]), x.dtype) for name, x in source.arrays.items()
    }
    return shapes | {"index": jax.ShapeDtypeStruct((batch,), jnp.int32)}


def initial_state(experiment: Experiment, options: Options) -> Callable[..., TrainState]:
    """batch -> the state before the first step."""
    e, seed = experiment, options.seed
    return lambda batch: init_state(e.method, e.optimizer, e.views, batch, key=jax.random.key(seed))


def _state(mesh, init, batch):
    shapes = jax.eval_shape(init, batch)
    places = state_sharding(mesh, shapes)
    return jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes, places
    )


def step_of(plan: Plan):
    """The uncompiled train step, its state kept where it lies."""
    e, options = plan.experiment, plan.options
    step = train_step(
        e.method, e.optimizer, e.views, dtype=DTYPES[options.dtype], accumulate=options.accumulate
    )
    if options.skip_nonfinite:
        step = skipping(step)
    if plan.mesh.size == 1:
        return step

    def placed(state, batch):
        state, metrics = step(state, batch)
        return jax.lax.with_sharding_constraint(state, plan.places), metrics

    return placed


def skipping(step):
    """A step that leaves the state as it was, but for its number, where a metric is not finite.

    Returns: (state, batch) -> (state, metrics), metrics with "skipped", 0 or 1.
    """

    def tolerant(state, batch):
        moved, metrics = step(state, batch)
        fine = jnp.all(jnp.array([jnp.all(jnp.isfinite(value)) for value in metrics.values()]))
        chosen = jax.tree.map(partial(jnp.where, fine), moved.replace(key=None), state.replace(key=None))
        chosen = chosen.replace(step=moved.step, key=moved.key)
        return chosen, metrics | {"skipped": 1.0 - fine.astype(jnp.float32)}

    return tolerant


def _needs(plan: Plan) -> dict[str, int]:
    """Traces the step: what it takes of each device."""
    batch = batch_shapes(plan.data.train, plan.experiment.batch)
    place = over_batch(plan.mesh)
    batch = {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place) for name, x in batch.items()}
    parts = footprint(step_of(plan), plan.state, batch, devices=plan.mesh.size)
    arrays = (
        [] if plan.data.records is not None else [plan.data.train.images, *plan.data.train.extras.values()]
    )
    return parts | {"data": sum(np.asarray(x).nbytes for x in arrays)}


def _evaluated(plan: Plan) -> list[str]:
    """Traces the evaluation: where in the state the encoder lies."""
    e, images = plan.experiment, batch_shapes(plan.data.source, plan.experiment.batch)["image"]
    return evaluated(
        lambda params, teacher, memory, images: e.method.features(
            params, teacher, memory, e.evaluation_view(images)
        ),
        plan.state,
        images,
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
