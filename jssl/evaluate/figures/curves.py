"""Curves over the steps of a run: loss, probes and health."""

from collections.abc import Mapping, Sequence

import numpy as np

from jssl.evaluate.figures.style import (
    BLUE,
    FONT,
    INK,
    MUTED,
    SERIES,
    label_lines,
    line,
    panels,
    title,
    write,
)
from jssl.evaluate.protocols.base import heading, is_share, shown

WIDTH = 5.8  # inches: text stays legible on a phone, where the figure is as wide as the screen


def loss_curve(steps: Sequence[int], loss: Sequence[float]):
    """Draws the loss: a faint line as logged, a bold one smoothed.

    Args:
        steps: [T] at which it was logged.
        loss: [T] values; those that are not finite leave a gap.
    Returns:
        A matplotlib figure.
    """
    steps, loss = np.asarray(steps), np.asarray(loss, float)
    figure, ((ax,),) = panels(1, 1, width=WIDTH, height=2.6)
    smooth = smoothed(loss, 0.015 * len(loss))
    line(ax, steps, loss, color=BLUE, alpha=0.25, linewidth=1)
    line(ax, steps, smooth, color=BLUE, linewidth=1.8)
    title(ax, "Loss")
    ax.set_xlabel("step", color=MUTED, fontsize=FONT)
    if len(smooth) and np.isfinite(smooth[-1]):
        low, high = np.nanpercentile(np.where(np.isfinite(loss), loss, np.nan), [0, 99.5])
        ax.set_ylim(low - 0.05 * (high - low or 1), high + 0.08 * (high - low or 1))
        label_lines(ax, [(smooth[-1], f"{smooth[-1]:.3g}", BLUE)])
    return figure


def smoothed(values: np.ndarray, width: float) -> np.ndarray:
    """Smooths values by a Gaussian centred on each, which adds no lag; values that are not finite are left
    out.

    Args:
        values: [T].
        width: The Gaussian's deviation, in values.
    Returns:
        [T]; nan where no value nearby is finite.
    Examples:
        >>> smoothed(np.array([2.0, np.nan, 2.0]), 1.0)
        array([2., 2., 2.])
    """
    if len(values) == 0:
        return values
    reach = int(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(width, 1e-9)) ** 2)
    known = np.isfinite(values)
    total, weight = (
        np.convolve(x, kernel)[reach : reach + len(values)]
        for x in (np.where(known, values, 0.0), known.astype(float))
    )
    return np.divide(total, weight, out=np.full(len(values), np.nan), where=weight > 1e-9)


def probe_curve(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    *,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
):
    """Draws a protocol's metrics while training, one panel each, its baselines as dashed lines.

    Args:
        curves: {metric: (steps [T], values [T])}, such as "knn_top1".
        baselines: {row: {metric: value}}, such as {"raw pixels": {"knn_top1": 0.13}}.
    Returns:
        A matplotlib figure.
    """
    halo = dict(markeredgecolor="white")
    figure, axes = panels(len(curves), 1, width=WIDTH, height=2.6 * len(curves))
    for ax, (metric, (steps, values)) in zip(axes.flat, curves.items(), strict=True):
        unit = 100 if is_share(metric) else 1
        values = unit * np.asarray(values, float)
        rows = {row: scores[metric] for row, scores in (baselines or {}).items() if metric in scores}
        for value in rows.values():
            ax.axhline(unit * value, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
        ax.plot(steps, values, color=BLUE, linewidth=1.8, marker="o", markersize=4, clip_on=False, **halo)
        everything = [*values, *(unit * value for value in rows.values())]
        everything = [value for value in everything if np.isfinite(value)] or [0.0, unit]
        margin = 0.08 * unit if is_share(metric) else 0.1 * (np.ptp(everything) or 1.0)
        ax.set_ylim(min(everything) - margin, max(everything) + margin)
        if is_share(metric):
            ax.set_ylim(max(ax.get_ylim()[0], 0), min(ax.get_ylim()[1], 101))
        title(ax, heading(metric))
        ax.set_xlabel("step", color=MUTED, fontsize=FONT)
        ends = [(unit * value, f"{row} {shown(metric, value)}", MUTED) for row, value in rows.items()]
        if len(values) and np.isfinite(values[-1]):
            ends.append((values[-1], f"learned {shown(metric, values[-1] / unit)}", BLUE))
        label_lines(ax, [end for end in ends if np.isfinite(end[0])])
    return figure


def health_curves(steps: Sequence[int], metrics: Mapping[str, Sequence[float]]):
    """Draws small panels, one per health figure, with its last value.

    Args:
        steps: [T].
        metrics: {name: [T]}, such as those of `jssl.evaluate.measures.health`.
    Returns:
        A matplotlib figure.
    """
    columns = min(2, len(metrics))
    rows = -(-len(metrics) // columns)
    figure, axes = panels(rows, columns, width=WIDTH, height=1.75 * rows)
    for i, ax in enumerate(axes.flat):
        if i >= len(metrics):
            ax.axis("off")
            continue
        name, values = list(metrics.items())[i]
        values = np.asarray(values, float)
        line(ax, steps, values, color=SERIES[i % len(SERIES)], linewidth=1.6)
        last = values[np.isfinite(values)][-1:]
        title(ax, name.replace("_", " "))
        if len(last):
            place = dict(ha="right", va="bottom", transform=ax.transAxes, color=INK)
            write(ax, 1.0, 1.045, f"{last[0]:.3g}", **place)
            if np.ptp(values[np.isfinite(values)]) < 1e-9:
                ax.set_ylim(last[0] - 0.5, last[0] + 0.5)
    return figure
