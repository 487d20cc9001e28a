"""Compares runs: mean and deviation over seeds, and which metrics rank the runs alike.

    jssl compare runs/*                       runs that differ in nothing but the seed are one row
    jssl compare runs/* --against knn_top1    which metrics rank the rows as this one does

The figures are those at the end of each run, and those that `jssl evaluate` has left in its directory; other
data, another size or other settings have columns of their own. Of a run that has not ended they are those so
far, and its row says so. OUT gets comparison.json, comparison.md, comparison.html, comparison.png and
comparison.svg.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jssl.evaluate import PROTOCOLS, figures, write_report
from jssl.evaluate.measures.metrics import rank_correlation
from jssl.evaluate.protocols.base import heading, shown
from jssl.evaluate.table import LEARNED
from jssl.run.before import MARKS
from jssl.run.directory.best import kept_at
from jssl.run.directory.record import METRICS, read_rows
from jssl.run.directory.results import FILE, in_words, jsonable, read_evaluations, sees
from jssl.run.evaluation.probing import AT_THE_ENDS, from_figures
from jssl.run.evaluation.protocols import FOLDER
from jssl.weights.directory import NETWORK, as_path, is_run, read_config

FEWEST = 3  # rows that have ranks worth comparing
SEEDLESS = ("data_dir", "scan", "remat", "attention")  # settings that change no number


class Finished(NamedTuple):
    """The results of a run, or of an evaluation of weights.

    Attributes:
        directory: Of the results.
        name: Of its experiment, or of the weights.
        settings: Flat, by name.
        metrics: Of the trained network.
        so_far: The step that an unfinished run has reached, in words; else "".
        data: Digits that identify its training data, "" where there are none.
    """

    directory: str
    name: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    so_far: str = ""
    data: str = ""


class Compared(NamedTuple):
    """A row of the comparison: runs that differ in nothing but the seed.

    Attributes:
        name: The experiment, and the settings in which rows differ.
        runs: Their directories.
        metrics: {metric: values of the runs that have it}.
    """

    name: str
    runs: tuple[str, ...]
    metrics: Mapping[str, tuple[float, ...]]

    def mean(self, metric: str) -> float:
        """The mean over seeds; nan where no run has the metric."""
        values = self.metrics.get(metric, ())
        return float(np.mean(values)) if values else math.nan

    def spread(self, metric: str) -> float:
        """The sample standard deviation over seeds; nan for fewer than two."""
        values = self.metrics.get(metric, ())
        return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def finished(directory: str) -> Finished:
    """Reads the results in a directory.

    Other settings or data than usual are written before the name of an evaluation's metric.

    Args:
        directory: Of a run, or where an evaluation has written.
    Returns:
        `Finished`.
    Raises:
        ValueError: where there are no results, or no figure yet.
    """
    path, so_far, data, last = as_path(directory), "", "", None
    entries = read_evaluations(path)
    if entries and not is_run(path):
        name, own, found, pixels = path.name, "", {}, None
        settings = {"of": str(directory)}  # two networks are never seeds of one another
    else:
        config = read_config(directory)
        entries += read_evaluations(path / FOLDER)
        numbers = {key: value for key, value in config["numbers"].items() if key != "seed"}
        name, settings = config["experiment"], _flat(config["settings"] | numbers)
        own, pixels = settings.get("data"), (config.get(NETWORK) or {}).get("preprocess")
        rows = read_rows(path / METRICS)
        found = dict(from_figures(rows).get(LEARNED, {}))
        last, steps = max((row["step"] for row in rows), default=0), config.get("steps", 0)
        kept = kept_at(path)
        marks = config.get(MARKS)  # which an earlier version has not kept
        data = "".join(str(mark)[:4] for mark in marks.values()) if isinstance(marks, Mapping) else ""
        so_far = f"at step {last:,} of {steps:,}" if kept is None and last < steps else ""
        last = last if kept is None else kept
    learned = [entry for entry in entries if entry["row"] == LEARNED]
    if isinstance(pixels, Mapping) and {"size", "crop"} <= pixels.keys():
        own_size = sees(pixels["size"], pixels["crop"], pixels.get("squash", False))
    else:
        own_size = _seen(learned[0]) if learned else ""
    for entry in learned:
        words = [what for what in (entry["data"], _seen(entry)) if what not in (own, own_size)]
        words += [f"step {entry['step']}"] if entry.get("step", last) != last else []  # the run went on
        words += _changed(entry)
        before = f"{', '.join(words)}: " if words else ""
        found |= {f"{before}{metric}": value for metric, value in entry["metrics"].items()}
    if not found:
        raise ValueError(f"{directory} has no figures yet: it is not finished, or has nothing to test on")
    return Finished(str(directory), name, settings, found, so_far, data)


def _seen(entry: Mapping[str, Any]) -> str:
    """The preprocessing of an evaluation's images, in words."""
    return entry["network"].rpartition("; ")[2]


def _changed(entry: Mapping[str, Any]) -> list[str]:
    """The settings of an evaluation that differ from those of runs, or from its protocol's defaults."""
    name, in_runs = entry["protocol"], {one.name: one for one in AT_THE_ENDS}
    one = in_runs.get(name) or (PROTOCOLS[name]() if name in PROTOCOLS else None)
    usual = {} if one is None else {key: jsonable(value) for key, value in one.settings.items()}
    return [f"{key} {in_words(value)}" for key, value in entry["settings"].items() if usual.get(key) != value]


def compare(directories: Sequence[str]) -> list[Compared]:
    """Compares runs; runs that differ in nothing but the seed share a row.

    Args:
        directories: Of the runs.
    Returns:
        A row for each kind of run, in the order of their first.
    Raises:
        ValueError: where one of them holds no figures.
    """
    runs = [finished(directory) for directory in directories]
    names = {name for run in runs for name in run.settings if name not in SEEDLESS}

    def told(run: Finished, name: str) -> str:
        return json.dumps(run.settings.get(name), sort_keys=True, default=str)

    rows: dict[tuple[str, str], list[Finished]] = {}
    for run in runs:
        alike = [other for other in runs if other.name == run.name]
        differ = sorted(n for n in names if len({told(other, n) for other in alike}) > 1)
        words = [run.name, *(f"{name} {run.settings.get(name)}" for name in differ)]
        words += [run.so_far] if run.so_far else []
        rows.setdefault((", ".join(words), run.data), []).append(run)
    said = [name for name, _ in rows]  # arrays of one name, or a folder's path, may be several data sets
    metrics = list(dict.fromkeys(metric for run in runs for metric in run.metrics))
    return [
        Compared(
            name if said.count(name) == 1 else f"{name}, data {data or 'not known again'}",
            tuple(run.directory for run in several),
            {m: tuple(run.metrics[m] for run in several if m in run.metrics) for m in metrics},
        )
        for (name, data), several in rows.items()
    ]


def correlations(rows: Sequence[Compared], against: str) -> dict[str, float]:
    """Measures how well each metric ranks the rows as one metric does.

    Args:
        rows: Of the comparison.
        against: The metric that the others are compared with.
    Returns:
        {metric: Spearman's correlation over the rows that have both}; only metrics that three rows have.
    """
    found = {}
    for metric in _metrics(rows):
        pairs = np.array([(row.mean(metric), row.mean(against)) for row in rows]).reshape(-1, 2)
        pairs = pairs[np.isfinite(pairs).all(axis=1)].astype(np.float32)
        if metric != against and len(pairs) >= FEWEST:
            found[metric] = float(rank_correlation(*pairs.T))
    return found


def table(rows: Sequence[Compared], *, markdown: bool = False) -> str:
    """Writes the comparison as text: mean and, over several seeds, spread.

    Args:
        rows: Of the comparison.
        markdown: As a Markdown table, in place of columns.
    Returns:
        Lines.
    """
    metrics = _metrics(rows)
    cells = [["", "runs", *map(heading, metrics)]]
    cells += [[row.name, str(len(row.runs)), *(_cell(row, metric) for metric in metrics)] for row in rows]
    if markdown:
        lines = [f"| {' | '.join(line)} |" for line in cells]
        return "\n".join([lines[0], "|---" * len(cells[0]) + "|", *lines[1:]])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _metrics(rows: Sequence[Compared]) -> list[str]:
    return list(dict.fromkeys(metric for row in rows for metric, values in row.metrics.items() if values))


def _cell(row: Compared, metric: str) -> str:
    mean, spread = row.mean(metric), row.spread(metric)
    if math.isnan(mean) and not row.metrics.get(metric):
        return "-"
    return shown(metric, mean) + ("" if math.isnan(spread) else f" ± {shown(metric, spread)}")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        nested = isinstance(value, Mapping)
        found |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return found


def main(arguments: list[str]) -> None:
    """The command `jssl compare`."""
    parser = argparse.ArgumentParser(
        prog="jssl compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directories", nargs="+", help="of runs, or of evaluations")
    parser.add_argument(
        "--against", help="the metric whose ranking others are compared with; by default linear"
    )
    parser.add_argument("--metrics", nargs="+", help="only these, by name; by default all")
    parser.add_argument("--out", default="runs/comparison", help="the directory for the results")
    chosen = parser.parse_args(arguments)
    if missing := next((one for one in chosen.directories if not as_path(one).exists()), None):
        raise ValueError(f"{missing} is not there; give directories of runs or of evaluations")
    there = [one for one in chosen.directories if is_run(one) or (as_path(one) / FILE).exists()]
    if not there:
        raise ValueError(f"none of {', '.join(chosen.directories[:3])} is a run or an evaluation")
    rows = compare(there)
    known = _metrics(rows)
    if unknown := next((name for name in chosen.metrics or () if name not in known), None):
        raise ValueError(f"--metrics {unknown}: there is no such metric; the runs have {', '.join(known)}")
    linear = (name for name in known if name.rpartition(": ")[2].startswith("linear"))
    against = chosen.against or next(linear, known[0])
    if against not in known:
        raise ValueError(f"--against {against}: there is no such metric; the runs have {', '.join(known)}")
    ranks = correlations(rows, against)
    if chosen.metrics:
        rows = [row._replace(metrics={m: row.metrics[m] for m in chosen.metrics}) for row in rows]
        ranks = {metric: ranks[metric] for metric in chosen.metrics if metric in ranks}
    print(table(rows))
    if ranks:
        print(f"\nrank correlation with {heading(against).removesuffix(', %')} over {len(rows)} rows:")
        print(
            "\n".join(f"  {value:+.2f}  {heading(name).removesuffix(', %')}" for name, value in ranks.items())
        )
    _write(as_path(chosen.out), rows, against, ranks)
    print(f"\nresults: {as_path(chosen.out) / 'comparison.html'}")


def _write(place, rows: Sequence[Compared], against: str, ranks: Mapping[str, float]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    values = {metric: {row.name: row.metrics.get(metric, ()) for row in rows} for metric in _metrics(rows)}
    drawn = figures.over_seeds(values)
    image = figures.png(drawn)
    held = {
        "rows": [
            {"name": row.name, "runs": row.runs, "metrics": row.metrics}
            | {"mean": {m: row.mean(m) for m in values}, "spread": {m: row.spread(m) for m in values}}
            for row in rows
        ],
        "rank_correlation": {"against": against, **ranks},
    }
    (place / "comparison.json").write_text(json.dumps(held, indent=1).replace("NaN", "null") + "\n")
    (place / "comparison.md").write_text(table(rows, markdown=True) + "\n")
    (place / "comparison.png").write_bytes(image)
    (place / "comparison.svg").write_bytes(figures.svg(drawn))
    write_report(
        place / "comparison.html",
        title="Runs side by side",
        summary="Means over runs that differ in nothing but the seed.",
        table={row.name: {m: row.mean(m) for m in values if row.metrics.get(m)} for row in rows},
        figures=[("Each run a dot; the mean, and its deviation over seeds.", image)],
        config={
            "runs": {row.name: ", ".join(row.runs) for row in rows},
            "mean and deviation": {row.name: {m: _cell(row, m) for m in values} for row in rows},
            f"rank correlation with {against}": {name: f"{value:+.2f}" for name, value in ranks.items()},
        },
    )
