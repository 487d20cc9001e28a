"""The end of a run: its table, its figures and its report."""

import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jax
import numpy as np

from jssl.arrays.vectors import unit_on_host
from jssl.data.augment.base import Statistics
from jssl.data.splits import evenly
from jssl.evaluate import diagnose, extract_features
from jssl.evaluate.figures import legible
from jssl.evaluate.table import LEARNED, Table, metrics_of
from jssl.run.directory.record import REPORT, Record
from jssl.run.evaluation.probing import Probes, features_of, from_figures
from jssl.run.plan import Plan
from jssl.run.settings.experiment import Figure
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
QUERIES, NEAREST, SEEN = 6, 6, 4_000  # rows and columns of the gallery, and images that are searched
TRIAL = 50  # steps of a run whose report is worth compiling its views once more
MAPPED, SHOWN = 1_000, 5  # images on the map, and rows of views
LOOKED_AT = 512  # images for an experiment's own figures


def write_summary(
    plan: Plan,
    record: Record,
    state: TrainState,
    probes: Probes | None,
    *,
    began: float | None = None,
    following: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Draws the figures and writes report.html; a figure that fails is replaced by a line of the report.

    Args:
        plan: The run's.
        record: Where its metrics are, and where figures and report go.
        state: The last.
        probes: None where there is nothing to test on.
        began: When this process began or resumed the run, in seconds as of `time.time`.
        following: Commands that usually come next.
    Returns:
        The table of the record, baselines first; empty without probes.
    """
    from jssl.evaluate.report import render_report

    rows = record.rows
    table = from_figures(rows)
    drawn, notes = _drawn(_figures(plan, rows, table, state, probes))
    for name, _, image, vectors in drawn:
        record.figure(name, image, vectors)
    page = render_report(
        title=f"{plan.name} on {plan.data.source.name}",
        summary=_sentence(plan, rows, int(state.step)),
        table=table,
        figures=[(caption, image) for _, caption, image, _ in drawn],
        config={key: plan.config[key] for key in ("settings", "numbers", "versions")},
        warnings=_warnings(rows, int(state.step)),
        notes=notes,
        about=_about(plan, began),
        following=following,
    )
    record.text(REPORT, page)
    return table


def _about(plan: Plan, began: float | None) -> dict[str, str]:
    """Facts of the run by name: its date, duration, devices and command."""
    devices, ended = plan.mesh.devices.flat, datetime.now(UTC)
    kind = (
        f"{plan.mesh.size} x {devices[0].device_kind}, {jax.process_count()} processes, on {platform.node()}"
    )
    versions = plan.config["versions"]
    told = {"finished": f"{ended:%Y-%m-%d %H:%M} UTC"}
    if began is not None:
        told["took"] = (
            f"{timedelta(seconds=round(ended.timestamp() - began))}, since it was started or resumed"
        )
    told["data"] = f"{plan.data.source.name}, {len(plan.data):,} training images"
    told["on"] = kind if jax.process_count() > 1 else kind.replace("1 processes, ", "")
    told["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    told["command"] = plan.command or f'from Python: jssl.run("{plan.name}", out="{plan.options.out}", ...)'
    return told


def _drawn(
    figures: Iterable[tuple[str, Callable]],
) -> tuple[list[tuple[str, str, bytes, bytes]], list[str]]:
    """(name, caption, PNG, SVG) of each figure that could be drawn, and a line for each that could not."""
    from jssl.evaluate.figures import png, svg

    drawn, notes = [], []
    for name, draw in figures:
        try:
            found = [(caption, png(figure), svg(figure)) for caption, figure in draw()]
        except Exception as error:  # whatever it is, the numbers are worth more than the picture
            why = legible(f"{type(error).__name__}: {' '.join(str(error).split())}", longest=200)
            notes.append(f"The figure {name} could not be drawn: {why}")
            continue
        for number, made in enumerate(found):
            drawn.append((name if len(found) == 1 else f"{name}_{number}", *made))
    return drawn, notes


def _figures(plan: Plan, rows, table: Table, state: TrainState, probes: Probes | None):
    """The name of each figure, and the function that draws it: () -> [(caption, figure)]."""
    yield "loss", lambda: _loss(rows)
    yield "health", lambda: _health(rows)
    yield "probe", lambda: _probe(rows, table)
    looked = cache(lambda: _looked_at(plan, state))
    yield "map", lambda: _map(plan, *looked())
    yield "neighbours", lambda: _neighbours(plan, *looked())
    if plan.experiment.steps >= TRIAL:
        yield "views", lambda: _views(plan)
    for number, figure in enumerate(plan.experiment.figures):
        yield f"figure_{number}", lambda figure=figure: _own(plan, figure, state)


def _own(plan: Plan, figure: Figure, state: TrainState):
    """An experiment's own figure, of held-out images where there are any; the state is put on one device."""
    params, teacher, memory = on_one_device((state.params, state.teacher, state.memory))
    source = plan.data.test or plan.data.source
    rows = evenly(len(source), LOOKED_AT)
    return figure(state.replace(params=params, teacher=teacher, memory=memory), source.images[rows])


def _warnings(rows: Sequence[Mapping[str, Any]], step: int) -> list[str]:
    """The warnings of the health figures at a step; a run that went back has figures of later steps too."""
    logged = [row for row in rows if "loss" in row and row["step"] <= step]
    return diagnose({k: math.nan if v is None else v for k, v in logged[-1].items()}) if logged else []


def _sentence(plan: Plan, rows: Sequence[Mapping[str, Any]], step: int) -> str:
    speeds = [row["images_per_second"] for row in rows if "images_per_second" in row]
    speed = f", {np.median(speeds):,.0f} images per second" if speeds else ""
    e, name = plan.experiment, plan.data.source.name
    probed = (
        " ".join(plan.data.notes) if plan.data.test is None else f"Probes look at held-out images of {name}."
    )
    if plan.data.held_out:
        probed += f" {plan.data.held_out[0].upper()}{plan.data.held_out[1:]}."
    length = f"{step:,} steps" if step == e.steps else f"{step:,} of {e.steps:,} steps"
    return f"{length} of {e.batch} images{speed}. {probed}"


def _column(rows, name: str) -> tuple[list[int], list[float]]:
    """The steps at which a figure was logged, and its values."""
    found = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in found], [value for _, value in found]


def _loss(rows):
    from jssl.evaluate import figures

    steps, values = _column(rows, "loss")
    if steps:
        yield "The training loss.", figures.loss_curve(steps, values)


def _health(rows):
    from jssl.evaluate import figures

    logged = [row for row in rows if "loss" in row]
    names = [name for row in logged[:1] for name in row if name.endswith(HEALTH)]
    if names:
        columns = {name: [row.get(name) for row in logged] for name in names}
        yield HEALTHY, figures.health_curves([row["step"] for row in logged], columns)


def _probe(rows, table: Table):
    from jssl.evaluate import figures

    curves = {metric: _column(rows, metric) for metric in metrics_of(table)}
    curves = {metric: curve for metric, curve in curves.items() if len(curve[0]) > 1}
    baselines = {row: scores for row, scores in table.items() if row != LEARNED}
    if curves:
        yield WHILE_TRAINING, figures.probe_curve(curves, baselines=baselines)


def _looked_at(plan: Plan, state: TrainState) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Some training images and some held-out ones, where there are any: their numbers, and their features of
    unit length.
    """
    train, view = plan.data.source, plan.experiment.evaluation_view
    test, features = plan.data.test or train, features_of(plan.experiment.method, state)
    rows, held = evenly(len(train), SEEN), evenly(len(test), MAPPED)
    images = np.concatenate([train.images[rows], test.images[held]])
    both = np.asarray(extract_features(features, images, view=jax.tree_util.Partial(view)), np.float32)
    both = unit_on_host(both)
    return rows, both[: len(rows)], held, both[len(rows) :]


def _map(plan: Plan, rows, bank, held, found):
    from jssl.evaluate import analysis, figures

    test = plan.data.test or plan.data.source
    points, share = analysis.principal_plane(found)
    drawn = figures.feature_map(points, test.labels[held], names=test.class_names)
    kind = "training" if plan.data.test is None else "held-out"
    caption = (
        f"Features of {len(held):,} {kind} images, a point each, in the plane in which they vary most: "
        f"{share:.0%} of their variance."
    )
    yield caption, drawn


def _views(plan: Plan):
    from jssl.evaluate import figures

    rows = evenly(len(plan.data.train), SHOWN)
    pixels = plan.experiment.preprocess
    normalized = None if pixels is None else Statistics(pixels.mean, pixels.std)
    arrays = plan.data.train.some(rows).arrays
    shapes = jax.eval_shape(plan.experiment.views, jax.random.key(0), arrays | {"index": rows})
    if getattr(shapes.get("global"), "ndim", 0) == 5:
        drawn = figures.view_gallery(plan.experiment.views, arrays, draws=1, normalized=normalized)
        yield "What the network was shown: images as they are, and views of them.", drawn


def _neighbours(plan: Plan, rows, bank, held, found):
    from jssl.evaluate import figures

    train, test = plan.data.source, plan.data.test or plan.data.source
    some = evenly(len(held), QUERIES)
    cosines, asked = found[some] @ bank.T, held[some]  # so few that compiling would take longer
    if plan.data.test is None:
        cosines[asked[:, None] == rows] = -np.inf  # itself
    nearest = rows[np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]]
    drawn = figures.neighbour_gallery(
        test.images[asked],
        test.labels[asked],
        train.images[nearest],
        train.labels[nearest],
        names=train.class_names,
    )
    left, labelled = "Training" if plan.data.test is None else "Held-out", test.labels[asked].min() >= 0
    caption = f"{left} images, left, and their nearest among {len(rows):,} training images"
    caption += "; blue: the same class, dashed orange: another." if labelled else "."
    yield caption, drawn
