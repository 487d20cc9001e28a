"""The end of a run: its table, its figures and its report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jssl.evaluate import Scores, diagnose, extract_features, nearest_neighbours
from jssl.run.plan import Plan
from jssl.run.probing import Probes, from_figures
from jssl.run.record import REPORT, Record
from jssl.train import TrainState

WHILE_TRAINING = (
    "Weighted kNN on held-out images: on some of them while training, on all at both ends; baselines dashed."
)
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


def write_summary(plan: Plan, record: Record, state: TrainState, probes: Probes | None) -> dict[str, Scores]:
    """Draws the figures and writes report.html.

    Returns: the table of the record, baselines first; empty without probes.
    """
    from jssl.evaluate.report import render_report

    rows = record.rows
    table = from_figures(rows)
    drawn = list(_curves(rows, table))
    if probes is not None:
        drawn += _neighbours(plan, probes.features(state))
    for number, figure in enumerate(plan.experiment.figures):
        drawn += [
            (f"figure_{number}_{i}", *one)
            for i, one in enumerate(figure(state, plan.data.source.images[:64]))
        ]
    for name, _, image in drawn:
        record.figure(name, image)
    page = render_report(
        title=f"{plan.name} on {plan.data.source.name}",
        summary=_sentence(plan, rows),
        table=table,
        figures=[(caption, image) for _, caption, image in drawn],
        config={key: plan.config[key] for key in ("settings", "numbers", "versions")},
        warnings=diagnose(rows[-1]) if rows else [],
    )
    record.text(REPORT, page)
    return table


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


def _curves(rows, table):
    from jssl.evaluate import figures

    def column(name):
        return zip(*[(row["step"], row[name]) for row in rows if name in row], strict=True)

    if any("loss" in row for row in rows):
        yield "loss", "The training loss.", figures.png(figures.loss_curve(*column("loss")))
    logged = [row for row in rows if "loss" in row]
    names = [name for row in logged[:1] for name in row if name.endswith(HEALTH)]
    if names:
        drawn = figures.health_curves(
            [row["step"] for row in logged], {n: [row.get(n) for row in logged] for n in names}
        )
        yield "health", HEALTHY, figures.png(drawn)
    if any("knn_top1" in row for row in rows):
        steps, values = column("knn_top1")
        others = {name: scores.knn for name, scores in table.items() if name != "learned"}
        drawn = figures.probe_curve(steps, {"kNN": values}, baselines={"kNN": others})
        yield "probe", WHILE_TRAINING, figures.png(drawn)


def _neighbours(plan: Plan, features):
    from jssl.evaluate import figures

    train, test, view = plan.data.source, plan.data.test, plan.experiment.evaluation_view
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
    caption = f"Held-out images, left, and their nearest among {len(rows):,} training images; green: the same class."
    yield "neighbours", caption, figures.png(drawn)
