"""What moved during a run, over its steps."""

from collections.abc import Mapping, Sequence

import numpy as np

from jssl.evaluate.figures.style import BLUE, FONT, INK, MUTED, SERIES, label_lines, panels, title


def loss_curve(steps: Sequence[int], loss: Sequence[float], *, smoothing: float = 0.015):
    """The loss: faint as logged, bold as its smooth course.

    steps, loss: [T] logged values; what is not finite leaves a gap.
    smoothing:   width of the smoothing, as a share of the run.

    Returns: a matplotlib figure.
    """
    steps, loss = np.asarray(steps), np.asarray(loss, float)
    figure, ((ax,),) = panels(1, 1, width=9.2, height=2.9)
    smooth = smoothed(loss, smoothing * len(loss))
    ax.plot(steps, loss, color=BLUE, alpha=0.25, linewidth=1)
    ax.plot(steps, smooth, color=BLUE, linewidth=1.8)
    title(ax, "Loss")
    ax.set_xlabel("step", color=MUTED, fontsize=FONT)
    if len(smooth) and np.isfinite(smooth[-1]):
        low, high = np.nanpercentile(np.where(np.isfinite(loss), loss, np.nan), [0, 99.5])
        ax.set_ylim(low - 0.05 * (high - low or 1), high + 0.08 * (high - low or 1))
        label_lines(ax, [(smooth[-1], f"{smooth[-1]:.3g}", BLUE)])
    return figure


def smoothed(values: np.ndarray, width: float) -> np.ndarray:
    """Means under a Gaussian centred on each value, so that nothing lags; what is not finite is passed over.

    values: [T]; width: the Gaussian's deviation, in values.

    Returns: [T]; nan where nothing near is finite.

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
    steps: Sequence[int],
    curves: Mapping[str, Sequence[float]],
    *,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
):
    """Probe accuracies while training, one panel per probe, its baselines as dashed lines.

    steps:     [T] at which the probes ran.
    curves:    {"kNN": [T], "linear": [T]} accuracies in [0, 1].
    baselines: {"kNN": {"raw pixels": 0.13, "random network": 0.18}, ...}.

    Returns: a matplotlib figure.
    """
    halo = dict(markeredgecolor="white")
    figure, (axes,) = panels(1, len(curves), width=4.6 * len(curves), height=3.0)
    for ax, (probe, values) in zip(axes, curves.items(), strict=True):
        values = 100 * np.asarray(values, float)
        lines = {name: 100 * value for name, value in (baselines or {}).get(probe, {}).items()}
        for value in lines.values():
            ax.axhline(value, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
        ax.plot(steps, values, color=BLUE, linewidth=1.8, marker="o", markersize=4, clip_on=False, **halo)
        everything = [value for value in (*values, *lines.values()) if np.isfinite(value)] or [0.0, 100.0]
        ax.set_ylim(max(min(everything) - 8, 0), min(max(everything) + 8, 101))
        title(ax, f"{probe} top-1, %")
        ax.set_xlabel("step", color=MUTED, fontsize=FONT)
        ends = [(value, f"{name} {value:.1f}", MUTED) for name, value in lines.items()]
        if len(values) and np.isfinite(values[-1]):
            ends.append((values[-1], f"learned {values[-1]:.1f}", BLUE))
        label_lines(ax, ends)
    return figure


def health_curves(steps: Sequence[int], metrics: Mapping[str, Sequence[float]], *, columns: int = 3):
    """Small panels, one per health figure, with its last value.

    steps:   [T].
    metrics: {name: [T]}, such as those of `jssl.evaluate.measures.health`.

    Returns: a matplotlib figure.
    """
    columns = min(columns, len(metrics))
    rows = -(-len(metrics) // columns)
    figure, axes = panels(rows, columns, width=3.1 * columns, height=1.75 * rows)
    for i, ax in enumerate(axes.flat):
        if i >= len(metrics):
            ax.axis("off")
            continue
        name, values = list(metrics.items())[i]
        values = np.asarray(values, float)
        ax.plot(steps, values, color=SERIES[i % len(SERIES)], linewidth=1.6)
        ax.locator_params(axis="x", nbins=4)
        last = values[np.isfinite(values)][-1:]
        title(ax, name.replace("_", " "))
        if len(last):
            spread = dict(ha="right", va="bottom", transform=ax.transAxes, color=INK, fontsize=FONT)
            ax.text(1.0, 1.045, f"{last[0]:.3g}", **spread)
            if np.ptp(values[np.isfinite(values)]) < 1e-9:
                ax.set_ylim(last[0] - 0.5, last[0] + 0.5)
    return figure
