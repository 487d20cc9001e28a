"""Plans a run: everything that can be refused is checked before anything is compiled or written."""

import inspect
import json
from collections.abc import Callable, Mapping, Set
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jssl.arrays.jaxprs import matrix_flops
from jssl.data.reading.resident import steps_per_epoch
from jssl.extras import require
from jssl.run.before import MARKS, Shorter, check_data, config_of, extended
from jssl.run.data.gather import Gathered, gather
from jssl.run.directory.record import check_directory, compared
from jssl.run.footprint import footprint
from jssl.run.settings.experiment import DataInfo, Experiment, Settings
from jssl.run.settings.numbers import LARGEST, check_numbers
from jssl.run.settings.options import Options
from jssl.run.settings.plain import plain
from jssl.run.settings.presets import preset
from jssl.run.weights.export import code_version, evaluated
from jssl.run.weights.from_weights import Start, beside
from jssl.run.weights.named import begun_with, by_name, fit, settings_with_weights, told_beside
from jssl.sharding import check_alike, make_mesh, over_batch, placed, state_sharding
from jssl.train import TrainState, init_state, train_step
from jssl.weights.directory import EVALUATED, NETWORK
from jssl.weights.own import about
from jssl.weights.preprocessing import Preprocess

BUDGETED = ("batch", "steps")
OWN = ("out", "process")  # options that may be others in each process of a run
SELDOM = 10  # the fewest steps between two probes by default
DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


class Plan(NamedTuple):
    """A run whose settings and data have been checked.

    Attributes:
        name: The experiment's.
        experiment: The one that was built, with its `batch` and `steps`.
        options: Without None or "auto" where there is a default.
        config: What config.json holds.
        data: The opened data.
        mesh: The devices.
        init: (batch, start=None) -> the state before the first step; start: a tree that `init_state` takes.
        state: The shapes of that state, each array with its place on the mesh.
        needs: Bytes on each device, by what takes them.
        operations: Of a step's matrix products, on all devices together.
        budget: Steps, epochs, the highest learning rate and the precision, in words.
        extends: The run's earlier plan, where it is resumed with more steps.
        start: () -> what the first state takes from other weights; None where all of it is random.
        command: What was typed to start it; "" from Python.
        step: (state, batch) -> (state, metrics), jitted and traced, not compiled; the state is donated and
            stays on its devices.
    """

    name: str
    experiment: Experiment
    options: Options
    config: dict[str, Any]
    data: Gathered
    mesh: Mesh
    init: Callable[..., TrainState]
    state: TrainState
    needs: dict[str, int]
    operations: int
    budget: str
    extends: "Shorter | None" = None
    start: Callable[[], Start | None] | None = None
    command: str = ""
    step: Any = None

    @property
    def places(self) -> TrainState:
        """Where each array of the state lies."""
        return jax.tree.map(lambda x: x.sharding, self.state)


def experiment_name(settings: Settings | type[Settings]) -> str:
    """Names a run after the file of its experiment, or in a notebook after its class."""
    kind = settings if isinstance(settings, type) else type(settings)
    try:
        stem = Path(inspect.getsourcefile(kind) or "").stem
    except (TypeError, OSError):
        stem = ""
    return stem if stem.isidentifier() else kind.__name__


def plan(settings: Settings, options: Options | None = None, *, given: Set[str] = frozenset()) -> Plan:
    """Opens an experiment's data, builds it and traces its step, compiling and writing nothing.

    Args:
        settings: Of the experiment.
        options: Of the run.
        given: Names of settings that were given explicitly, which a preset does not change.
    Returns:
        A `Plan`.
    Raises:
        ValueError, FileNotFoundError, ImportError: in one sentence that says what to do.
    """
    options = options or Options()
    check_numbers(settings)
    check_numbers(options)
    if (missing := settings.lacks()) is not None:
        raise ValueError(missing)
    _check_effect(settings, options)
    name = experiment_name(settings)
    options = replace(options, out=f"runs/{name}" if options.out is None else options.out)
    before = config_of(options.out)
    options = replace(options, dtype=_dtype(options, before))
    data = weights = None
    if options.preset is not None:
        data = _gathered(settings)
        unread = settings
        settings, weights = settings_with_weights(settings, before)
        settings, sentence = preset(name, settings, info_of(data), given)
        data, settings = replace(data, notes=(sentence, *data.notes)), by_name(settings, unread)
    config = _told(name, settings, options)
    check_directory(options.out, config)
    unread = settings
    settings, weights = settings_with_weights(settings, before, weights)
    config |= told_beside(settings)
    mesh = make_mesh(options.mesh)
    data = _gathered(settings) if data is None else data
    require(*([options.log] if options.log else []), name="log")
    if options.stop_when_worse and data.test is None:
        raise ValueError(
            f"--stop-when-worse compares probes, and --data {data.source.name} has nothing to test on; give "
            "class folders"
        )
    require("tqdm", "tensorboardX", "matplotlib", *(["grain"] if data.records is not None else []))
    if data.passing is not None:
        passing = data.passing.of_run(*(getattr(settings, at, None) for at in BUDGETED))
        data = replace(data, passing=passing)
    info = info_of(data)
    check_data(options.out, before, data, info)
    if (batch := getattr(settings, "batch", None)) is not None:
        steps_per_epoch(info.examples, batch)
    experiment = settings.build(info)
    if data.passing is not None and experiment.method.refresh is not None:
        raise ValueError(
            f"{name} looks at all images between epochs; give data with an end that fits in memory"
        )
    budget = _budget(experiment, info, options)
    if not 1 <= experiment.steps <= LARGEST:
        raise ValueError(
            f"a run must have 1 to {LARGEST:,} steps, got {experiment.steps:,}; change --steps or --epochs"
        )
    extends = extended(options.out, before, settings, info, experiment.steps)
    options = _paced(options, experiment.steps)
    alike = {field.name: getattr(options, field.name) for field in fields(options) if field.name not in OWN}
    check_alike(json.dumps([compared(config), info, experiment.steps, alike, dict(data.marks)]))
    if (batch := experiment.batch) % options.accumulate:
        raise ValueError(f"--accumulate {options.accumulate} must divide the batch of {batch}")
    if batch % mesh.size:
        raise ValueError(f"a batch of {batch} does not spread over {mesh.size} devices; change it or --mesh")
    start = None if weights is None else fit(experiment, info, weights, config["settings"]["start"])
    start = beside(start, experiment.given)
    init, first = initial_state(experiment, options), placed(info.batch(batch), over_batch(mesh))
    shapes = state_shapes(init, first, start)
    state = placed(shapes, state_sharding(mesh, shapes))
    config |= {
        "data": info._asdict(),
        MARKS: dict(data.marks),
        "class": f"{type(settings).__module__}:{type(settings).__qualname__}",
        "steps": experiment.steps,
        NETWORK: _network(experiment, info),
    }
    planned = Plan(name, experiment, options, config, data, mesh, init, state, {}, 0, budget, extends)
    if start is not None:
        planned = planned._replace(start=begun_with(unread, info, start, config["settings"].get("start")))
    where = evaluated(experiment.method, state)
    planned = planned._replace(
        step=jax.jit(step_of(planned), donate_argnums=0), config=config | {EVALUATED: where}
    )
    needs, operations = _takes(planned, first)
    return planned._replace(needs=needs, operations=operations)


def _told(name: str, settings: Settings, options: Options) -> dict[str, Any]:
    """What config.json says of a run before its data is opened."""
    numbers = ("seed", "dtype", "accumulate", "accumulate_exactly")
    return {
        "experiment": name,
        "settings": {field.name: plain(getattr(settings, field.name)) for field in fields(settings)},
        "numbers": {key: getattr(options, key) for key in numbers},
        "versions": {"jax": jax.__version__, **code_version()},
    }


def _paced(options: Options, steps: int) -> Options:
    """The options, with the default steps between probes and between checkpoints filled in."""
    tenth = max(1, steps // 10)
    probes, saves = options.eval_every or max(tenth, SELDOM), options.checkpoint_every or tenth
    return replace(options, eval_every=probes, checkpoint_every=saves)


def _budget(experiment: Experiment, info: DataInfo, options: Options) -> str:
    e = experiment
    epochs = e.steps / steps_per_epoch(info.examples, e.batch)
    peak = "" if e.peak_rate is None else f"; learning rate up to {e.peak_rate:.3g}"
    length = f"{e.steps:,} steps of {e.batch:,} images, {epochs:.3g} epochs of {info.examples:,}"
    return f"{length}{peak}; in {options.dtype}"


def _gathered(settings: Settings) -> Gathered:
    return gather(
        settings.data,
        data_dir=settings.data_dir,
        canvas=settings.canvas,
        share=settings.share,
        per_class=settings.per_class,
        only=settings.only,
    )


def _check_effect(settings: Settings, options: Options) -> None:
    """Refuses settings that would have no effect."""
    if options.accumulate_exactly and options.accumulate == 1:
        raise ValueError("--accumulate-exactly is about a batch in parts; give their number by --accumulate")
    rate = getattr(settings, "continued_rate", None)
    if rate != getattr(type(settings), "continued_rate", None) and getattr(settings, "start", None) is None:
        raise ValueError(
            "--continued-rate is of runs that continue from weights; give --start, or change --learning-rate"
        )


def info_of(data: Gathered) -> DataInfo:
    """Collects the sizes and counts that an experiment may know of its data."""
    train, seen = data.train, data.source
    extras = {name: (values.shape[1:], values.dtype.name) for name, values in train.extras.items()}
    side = min(seen.images.shape[1:3])
    return DataInfo(seen.name, len(data), train.images.shape[1:], side, seen.classes, extras)


def initial_state(experiment: Experiment, options: Options) -> Callable[..., TrainState]:
    """Makes (batch, start=None) -> the state before the first step; start: a tree that `init_state` takes."""
    e = experiment

    def init(batch, start=None):
        return init_state(e.method, e.optimizer, e.views, batch, key=options.key, start=start)

    return init


def state_shapes(
    init: Callable[..., TrainState], batch: Mapping[str, Any], start: Start | None
) -> TrainState:
    """The shapes of the state before the first step."""
    return jax.eval_shape(init, batch, start and start.tree)


def _dtype(options: Options, before: Mapping[str, Any] | None) -> Any:
    """The precision of the forward pass: as given, else as the run began, else as is fast here."""
    if options.dtype != "auto":
        return options.dtype
    begun = (before or {}).get("numbers", {}).get("dtype")
    return begun or ("float32" if jax.default_backend() == "cpu" else "bfloat16")


def _network(experiment: Experiment, info: DataInfo) -> dict[str, Any] | None:
    """The network's description for config.json; None for a network of the user's own without a name."""
    try:
        return about(experiment.encoder, experiment.preprocess or Preprocess(info.side, info.side))
    except ValueError:
        return None


def step_of(plan: Plan):
    """Makes the train step, not yet traced; it keeps the state on the devices where it lies."""
    e, options = plan.experiment, plan.options
    step = train_step(
        e.method,
        e.optimizer,
        e.views,
        dtype=DTYPES[options.dtype],
        accumulate=options.accumulate,
        accumulate_exactly=options.accumulate_exactly,
    )
    if options.skip_nonfinite:
        step = skipping(step)
    if plan.mesh.size == 1:
        return step

    def staying(state, batch):
        state, metrics = step(state, batch)
        return jax.lax.with_sharding_constraint(state, plan.places), metrics

    return staying


def skipping(step):
    """Makes a step that keeps the state where a metric is not finite; only the counts of steps go on.

    Args:
        step: (state, batch) -> (state, metrics).
    Returns:
        The same, its metrics with "skipped", 0 or 1.
    """

    def tolerant(state, batch):
        moved, metrics = step(state, batch)
        fine = jnp.all(jnp.array([jnp.all(jnp.isfinite(value)) for value in metrics.values()]))
        chosen = jax.tree.map(partial(jnp.where, fine), moved.replace(key=None), state.replace(key=None))
        counted = jax.tree.map(
            lambda new, kept: new if _counts(new) else kept,
            moved.opt_state,
            chosen.opt_state,
            is_leaf=_counts,
        )
        chosen = chosen.replace(step=moved.step, key=moved.key, opt_state=counted)
        return chosen, metrics | {"skipped": 1.0 - fine.astype(jnp.float32)}

    return tolerant


def _counts(part: Any) -> bool:
    """Whether a part of an optimizer's state does nothing but count steps, as a schedule's does."""
    return getattr(part, "_fields", None) == ("count",)


def _takes(plan: Plan, batch: Mapping[str, Any]) -> tuple[dict[str, int], int]:
    """Traces the step; returns the bytes that it takes on each device, and its operations."""
    traced = plan.step.trace(plan.state, batch).jaxpr
    parts = footprint(traced, plan.state, batch, devices=plan.mesh.size)
    arrays = (
        [] if plan.data.records is not None else [plan.data.train.images, *plan.data.train.extras.values()]
    )
    return parts | {"data": sum(np.asarray(x).nbytes for x in arrays)}, matrix_flops(traced.jaxpr)
