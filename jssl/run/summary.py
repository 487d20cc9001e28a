"""The end of a run: its table, its figures and its report."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jssl.evaluate import diagnose, extract_features, nearest_neighbours
from jssl.evaluate.figures import legible
from jssl.evaluate.table import Table, metrics_of
from jssl.run.experiment import Figure
from jssl.run.plan import Plan
from jssl.run.probing import Probes, from_figures
from jssl.run.record import REPORT, Record
from jssl.sharding import on_one_device
from jssl.train import TrainState

WHILE_TRAINING = "On held-out images: on some of them while training, on all at both ends; baselines dashed."
HEALTHY = "Health: the features have collapsed where their rank share or deviation nears 0."
HEALTH = (
    "rank_share",
    "feature_std",
    "dead_dimensions",
    "alignment",
    "projection_std",
    "teacher_entropy",
    "prototypes_used",
    "gradient_norm",
)
QUERIES, SEEN = 8, 8_000  # rows of the gallery, and images among which neighbours are looked for
LOOKED_AT = 512  # images that an experiment's own figures are given


def write_summary(
    plan: Plan, record: Record, state: TrainState, probes: Probes | None
) -> dict[str, dict[str, float]]:
    """Draws the figures and writes report.html; a figure that fails costs a line of the report, no more.

    Args:
        plan: The run's.
        record: Where its metrics are, and where figures and report go.
        state: The last.
        probes: None where there is nothing to test on.
    Returns:
        The table of the record, baselines first; empty without probes.
    """
    from jssl.evaluate.report import render_report

    rows = record.rows
    table = from_figures(rows)
    drawn, notes = _drawn(_figures(plan, rows, table, state, probes))
    for name, _, image in drawn:
        record.figure(name, image)
    page = render_report(
        title=f"{plan.name} on {plan.data.source.name}",
        summary=_sentence(plan, rows),
        table=table,
        figures=[(caption, image) for _, caption, image in drawn],
        config={key: plan.config[key] for key in ("settings", "numbers", "versions")},
        warnings=diagnose({k: math.nan if v is None else v for k, v in rows[-1].items()}) if rows else [],
        notes=notes,
    )
    record.text(REPORT, page)
    return table


def _drawn(figures: Iterable[tuple[str, Callable]]) -> tuple[list[tuple[str, str, bytes]], list[str]]:
    """(name, caption, png) of each figure that could be drawn, and a line for each that could not."""
    drawn, notes = [], []
    for name, draw in figures:
        try:
            found = list(draw())
        except Exception as error:  # whatever it is, the numbers are worth more than the picture
            why = legible(f"{type(error).__name__}: {' '.join(str(error).split())}", longest=200)
            notes.append(f"The figure {name} could not be drawn: {why}")
            continue
        for number, (caption, image) in enumerate(found):
            drawn.append((name if len(found) == 1 else f"{name}_{number}", caption, image))
    return drawn, notes


def _figures(plan: Plan, rows, table: Table, state: TrainState, probes: Probes | None):
    """Each figure's name, and what draws it: () -> [(caption, png)]."""
    yield "loss", lambda: _loss(rows)
    yield "health", lambda: _health(rows)
    yield "probe", lambda: _probe(rows, table)
    if probes is not None:
        yield "neighbours", lambda: _neighbours(plan, probes.features(state))
    for number, figure in enumerate(plan.experiment.figures):
        yield f"figure_{number}", lambda figure=figure: _own(plan, figure, state)


def _own(plan: Plan, figure: Figure, state: TrainState):
    """An experiment's own figure, of held-out images where there are any, of a state that lies on one
    device.
    """
    params, teacher, memory = on_one_device((state.params, state.teacher, state.memory))
    source = plan.data.test or plan.data.source
    rows = np.linspace(0, len(source) - 1, min(LOOKED_AT, len(source))).astype(int)
    return figure(state.replace(params=params, teacher=teacher, memory=memory), source.images[rows])


def _sentence(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> str:
    speeds = [row["images_per_second"] for row in rows if "images_per_second" in row]
    speed = f", {np.median(speeds):,.0f} images per second" if speeds else ""
    e, name = plan.experiment, plan.data.source.name
    probed = (
        " ".join(plan.data.notes) if plan.data.test is None else f"Probes look at held-out images of {name}."
    )
    if plan.data.held_out:
        probed += f" {plan.data.held_out[0].upper()}{plan.data.held_out[1:]}."
    return f"{e.steps:,} steps of {e.batch} images{speed}. {probed}"


def _column(rows, name: str) -> tuple[list[int], list[float]]:
    """The steps at which a figure was logged, and its values."""
    found = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in found], [value for _, value in found]


def _loss(rows):
    from jssl.evaluate import figures

    steps, values = _column(rows, "loss")
    if steps:
        yield "The training loss.", figures.png(figures.loss_curve(steps, values))


def _health(rows):
    from jssl.evaluate import figures

    logged = [row for row in rows if "loss" in row]
    names = [name for row in logged[:1] for name in row if name.endswith(HEALTH)]
    if names:
        columns = {name: [row.get(name) for row in logged] for name in names}
        yield HEALTHY, figures.png(figures.health_curves([row["step"] for row in logged], columns))


def _probe(rows, table: Table):
    from jssl.evaluate import figures

    curves = {metric: _column(rows, metric) for metric in metrics_of(table)}
    curves = {metric: curve for metric, curve in curves.items() if len(curve[0]) > 1}
    baselines = {row: scores for row, scores in table.items() if row != "learned"}
    if curves:
        yield WHILE_TRAINING, figures.png(figures.probe_curve(curves, baselines=baselines))


def _neighbours(plan: Plan, features):
    from jssl.evaluate import figures

    train, test, view = plan.data.source, plan.data.test, plan.experiment.evaluation_view
    assert test is not None  # there are probes
    rows = np.linspace(0, len(train) - 1, min(SEEN, len(train))).astype(int)
    asked = np.linspace(0, len(test) - 1, min(QUERIES, len(test))).astype(int)
    queries = test.images[asked]
    both = extract_features(
        features, np.concatenate([train.images[rows], queries]), view=view
    )  # at once: one compilation
    _, nearest = nearest_neighbours(both[: len(rows)], both[len(rows) :], k=min(8, len(rows)))
    nearest = rows[np.asarray(nearest)]
    drawn = figures.neighbour_gallery(
        queries,
        test.labels[asked],
        train.images[nearest],
        train.labels[nearest],
        names=train.class_names,
    )
    caption = (
        f"Held-out images, left, and their nearest among {len(rows):,} training images; "
        "blue: the same class, dashed orange: another."
    )
    yield caption, figures.png(drawn)
