"""Carries out a plan: trains, probes and writes results, and resumes after any number of interruptions."""

import html
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jssl.arrays.programs import keep_compiled, used_seldom
from jssl.checkpoint import Checkpoints
from jssl.evaluate import diagnose, format_table
from jssl.evaluate.protocols.base import heading, shown
from jssl.evaluate.table import LEARNED, RANDOM
from jssl.extras import extra
from jssl.run.ahead import Ahead, working_ahead
from jssl.run.before import Shorter
from jssl.run.data.supply import Supply, supply
from jssl.run.directory.best import (
    AT_START,
    METRIC,
    Best,
    Worse,
    earlier,
    forgotten,
    go_back,
    kept_at,
)
from jssl.run.directory.lock import writer_of
from jssl.run.directory.opening import next_commands
from jssl.run.directory.record import REPORT, Record, compared
from jssl.run.evaluation.baselines import user_cache
from jssl.run.evaluation.probing import STARTED, Probes, as_figures, health_of
from jssl.run.interrupt import Interrupted, Interrupts
from jssl.run.plan import Plan
from jssl.run.preface import preface
from jssl.run.refreshing import caught_up, refreshes
from jssl.run.settings.experiment import Experiment
from jssl.run.summary import write_summary
from jssl.run.watch import Log, NonFinite, Pace, check_finite, parameters_finite
from jssl.sharding import replicated
from jssl.train import Event, TrainState, fit
from jssl.weights.directory import CHECKPOINTS, NETWORK


class Run(NamedTuple):
    """The results of a run.

    Attributes:
        directory: Of its results.
        state: The last train state.
        table: Baselines and what was learned; empty where there is nothing to test on.
    """

    directory: Any
    state: TrainState
    table: dict[str, dict[str, float]]

    def __repr__(self) -> str:
        learned = self.table.get(LEARNED, {})
        told = [f"{heading(name)} {shown(name, value)}" for name, value in learned.items()]
        return f"Run({', '.join([str(self.directory), f'step {int(self.state.step):,}', *told])})"

    def _repr_html_(self) -> str:
        """The report in a frame of its own, as a notebook shows it."""
        page = html.escape((self.directory / REPORT).read_text(encoding="utf-8"))
        style = "width: 100%; height: 40rem; border: 1px solid #e3e7ec; border-radius: 6px"
        return f'<iframe title="report" style="{style}" srcdoc="{page}"></iframe>'


def carry_out(
    plan: Plan, interrupts: Interrupts, *, say: Callable[[str], None] = print, bar: bool = True
) -> Run:
    """Resumes or starts a run, trains, probes, and writes the report.

    Args:
        plan: The run's.
        interrupts: What `listening` gives.
        say: Where lines for the reader go.
        bar: Whether to show a progress bar.
    Returns:
        A `Run`.
    Raises:
        Occupied: where another process writes to the run's directory.
        Unusable: where there are checkpoints that cannot be resumed from.
        Interrupted: after a signal, saying what is saved.
        NonFinite: at a loss, or at parameters, that are not finite.
        OSError: where the directory cannot be written to, or is gone.
    """
    if jax.process_index() > 0:
        say, bar = (lambda text: None), False
    interrupts.doing = "preparing"
    keep_compiled(user_cache() / "xla")
    with writer_of(plan.options.out):
        record = Record(plan.options.out, plan.config, log=plan.options.log)
        folder = record.directory / CHECKPOINTS
        checkpoints = Checkpoints(folder, config=compared(plan.config), best=METRIC)
        try:
            try:
                with working_ahead() as ahead:
                    return _carry_out(plan, record, checkpoints, interrupts, say, bar, ahead)
            finally:
                record.close()
                checkpoints.close()
        except NonFinite as broken:
            raise broken.after(checkpoints.steps[-1:], checkpoints.directory) from None
        except Interrupted as stop:  # a second signal may have ended the wait for what is being written
            checkpoints.wait()
            raise stop.after(checkpoints.steps) from None


def _carry_out(
    plan: Plan,
    record: Record,
    checkpoints: Checkpoints,
    interrupts: Interrupts,
    say,
    bar: bool,
    ahead: Ahead,
) -> Run:
    e, options, began = plan.experiment, plan.options, time.time()
    skips = options.skip_nonfinite > 0  # counting them takes every step's metrics
    meanwhile = None if checkpoints.steps[-1:] == [e.steps] else ahead  # a run that has ended takes no step
    data = supply(
        plan.step,
        plan.data,
        batch=e.batch,
        seed=options.seed31,
        mesh=plan.mesh,
        stepwise=skips,
        state=plan.state,
        ahead=meanwhile,
    )
    probes = None if plan.data.test is None else Probes(e, plan.data.source, plan.data.test)
    for line in preface(plan, data, probes):
        say(line)
    with interrupts.holding():
        state, said = _restored(plan, checkpoints)
    stays = state is not None and options.stop_when_worse and kept_at(record.directory) == int(state.step)
    if state is None:
        state = _begun(plan, record, checkpoints, data, probes, ahead, say)
    elif stays:
        say(f"stopped before; --stop-when-worse keeps step {int(state.step)}")
    else:
        record.forget_after(int(state.step))
        say(f"resumed at step {int(state.step)} of {e.steps}")
        if plan.extends is not None:
            say(_extension(plan.extends, plan.experiment, int(state.step)))
            state = caught_up(plan, state)
    for sentence in said:
        say(sentence)

    if int(state.step) < e.steps and not stays:
        interrupts.doing = "training"
        try:
            state = _train(plan, state, data, ahead, record, checkpoints, probes, interrupts, say, bar)
        except Worse as worse:
            assert probes is not None  # one of which was worse
            say(str(worse))
            state = go_back(worse, checkpoints, record, plan.state)
            record.write(worse.step, as_figures({LEARNED: probes.scores(state)}))
    interrupts.doing = "writing the report"
    where, named = plan.config["settings"].get("data_dir"), plan.config[NETWORK] is not None
    following = next_commands(record.directory, plan.data.source.name, data_dir=where, named=named)
    table = write_summary(plan, record, state, probes, began=began, following=following)
    if table:
        say(format_table(table))
    say(f"report: {record.directory / REPORT}")
    say("next: " + "; ".join(following))
    return Run(record.directory, state, table)


def _begun(
    plan: Plan,
    record: Record,
    checkpoints: Checkpoints,
    data: Supply,
    probes: Probes | None,
    ahead: Ahead,
    say,
) -> TrainState:
    """Makes the first state; with probes, its scores and those of raw pixels are recorded."""
    record.forget_after(-1)
    raw = None if probes is None else ahead.start(probes.pixels)
    start = plan.start and plan.start()
    if start:
        say(start.sentence)
    state = used_seldom(plan.init, out_shardings=plan.places)(data.batch_of(0), start and start.tree)
    if probes is None or raw is None:
        return state
    stops, begun = plan.options.stop_when_worse, start is not None and start.evaluated
    part = probes.on_a_part(state) if begun or stops else {}
    if stops:
        checkpoints.save(0, state, part)
    table = probes.baselines(state, pixels=raw.result, network=STARTED if begun else RANDOM)
    held = {"held_out_images": len(plan.data.test or ())} if plan.data.held_out else {}
    known = {AT_START: part[METRIC]} if begun else {}
    record.write(0, probes.at_start(table) | as_figures(table) | held | known)
    say(format_table(table))
    return state


def _restored(plan: Plan, checkpoints: Checkpoints) -> tuple[TrainState | None, list[str]]:
    """The state to resume from, None at the start, and messages about damaged checkpoints."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = checkpoints.restore(plan.state)
    return state, [f"warning: {one.message}" for one in caught if "checkpoint" in str(one.message)]


def _train(
    plan: Plan,
    state: TrainState,
    data: Supply,
    ahead: Ahead,
    record: Record,
    checkpoints: Checkpoints,
    probes,
    interrupts,
    say,
    bar,
) -> TrainState:
    with extra():
        from tqdm import tqdm

    e, options = plan.experiment, plan.options
    bar = tqdm(total=e.steps, initial=int(state.step), unit="step", disable=not bar, dynamic_ncols=True)
    bar.set_postfix_str("compiling")
    said: set[str] = set()

    def show(figures):
        bar.set_postfix_str(_short(figures))
        if "images_per_second" in figures and "time" not in said:
            said.add("time")
            say(_time_left((e.steps - bar.n) * e.batch / figures["images_per_second"]))
        for sentence in diagnose(figures):
            if (advice := sentence.rpartition(":")[2]) not in said:
                said.add(advice)
                say(f"warning: {sentence}")

    log = Log(record, batch=e.batch, rates={"learning_rate": e.learning_rate}, waited=data.waited, show=show)
    # it is compiled while the first steps run; earlier, it would delay what they wait for
    health = health_of(
        e, plan.data.source, plan.data.train, place=replicated(plan.mesh), state=plan.state, ahead=ahead
    )
    probed: dict[int, dict[str, float]] = {}  # by step, the latest only
    compares = plan.start is not None or options.stop_when_worse is not None  # probes on the same images
    best = Best(options.stop_when_worse, earlier(checkpoints) if options.stop_when_worse else {})

    def evaluate(step, state, metrics):
        last = step == e.steps
        part = probes.on_a_part(state) if compares or not last else {}
        figures = as_figures({LEARNED: probes.scores(state)}) if last else part
        probed.clear()
        probed[step] = part or figures
        log.add(step, figures)
        log.restart_clock(step)
        say(
            f"step {step}: "
            + ", ".join(f"{heading(name)} {shown(name, value)}" for name, value in figures.items())
        )
        for note in forgotten(record.rows, part):
            say(f"warning: {note}")
        if options.stop_when_worse:
            keep(step, state)
            best.add(step, part)

    def save(step, state, metrics):
        pace.check()
        if not options.skip_nonfinite:
            check_finite(step, metrics)
        keep(step, state)

    def keep(step, state):
        check_finite(step, {"parameters": parameters_finite((state.params, state.teacher))})
        log.flush()  # the lines up to this step come before its checkpoint: a run that resumes there has them
        record.check_there()
        checkpoints.save(step, state, probed.get(step))

    how = dict(every=options.log_every, skips=options.skip_nonfinite)
    pace = Pace(interrupts, log, lambda step: bar.update(step - bar.n), **how)
    assert options.eval_every and options.checkpoint_every  # the plan's options have no None
    events = [
        *refreshes(plan),
        Event(options.log_every, lambda step, state, metrics: log(step, state, metrics | health(state))),
        *([Event(options.eval_every, evaluate)] if probes else []),
        Event(options.checkpoint_every, save),
        Event(1 if data.stepwise else options.log_every, pace),
    ]
    try:
        with interrupts.holding():
            state = fit(data.advance, state, steps=e.steps, events=events)
            pace.check()
            log.flush()
    except Interrupted as stop:
        if stop.state is not None:
            keep(stop.step, stop.state)
        raise
    finally:
        bar.close()
    return state


def _extension(shorter: Shorter, longer: Experiment, step: int) -> str:
    """Says what more steps change of the schedules."""
    before, after = (float(run.learning_rate(step)) for run in (shorter, longer))
    return (
        f"extended from {shorter.steps:,} to {longer.steps:,} steps: schedules are those of the longer run "
        f"from step {step:,} on, where the learning rate goes from {before:.3g} to {after:.3g}"
    )


def _time_left(seconds: float) -> str:
    """The time that remaining steps will take, in words."""
    long = (unit for unit in (("h", 3600), ("min", 60)) if seconds >= 2 * unit[1])
    name, size = next(long, ("s", 1))
    return f"about {seconds / size:.3g} {name} of steps to go; probes and checkpoints come on top"


def _short(figures) -> str:
    parts = [f"loss {figures['loss']:.3f}"]
    if "images_per_second" in figures:
        parts += [
            f"{figures['images_per_second']:,.0f} images/s",
            f"waiting for data {figures['data_wait']:.0%}",
        ]
    return ", ".join(parts)
