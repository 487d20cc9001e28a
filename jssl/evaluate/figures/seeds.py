"""Several runs of each kind side by side."""

from collections.abc import Mapping, Sequence

import numpy as np

from jssl.evaluate.figures.style import BLUE, FONT, GRID, INK, MUTED, legible, panels, title, write
from jssl.evaluate.protocols.base import heading, is_share, shown

COLUMNS = 3  # panels side by side


def over_seeds(values: Mapping[str, Mapping[str, Sequence[float]]]):
    """Draws a panel for each metric: a dot for each run, and a line at the mean with the deviation over
    seeds.

    Args:
        values: {metric: {row: values of its runs}}, the same rows in each.
    Returns:
        A matplotlib figure.
    """
    rows = list(next(iter(values.values())))
    columns = min(COLUMNS, len(values))
    lines = -(-len(values) // columns)
    height = 0.7 + 0.32 * len(rows)
    figure, axes = panels(lines, columns, width=1.6 + 3.0 * columns, height=lines * height)
    for number, ax in enumerate(axes.flat):
        if number >= len(values):
            ax.axis("off")
            continue
        metric, of = list(values.items())[number]
        unit = 100 if is_share(metric) else 1
        for place, row in enumerate(rows):
            found = unit * np.asarray(of.get(row, ()), float)
            found = found[np.isfinite(found)]
            if not len(found):
                continue
            mean = found.mean()
            spread = found.std(ddof=1) if len(found) > 1 else 0.0
            ax.plot([mean - spread, mean + spread], [place, place], color=BLUE, linewidth=4, alpha=0.25)
            ax.plot(found, np.full(len(found), place), "o", color=BLUE, markersize=3.5, alpha=0.6)
            ax.plot([mean], [place], "|", color=INK, markersize=11, markeredgewidth=1.8)
            label = dict(transform=ax.get_yaxis_transform(), ha="left", va="center", color=INK)
            write(ax, 1.03, place, shown(metric, mean / unit), **label)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        shared = [legible(row) for row in rows] if number % columns == 0 else [""] * len(rows)
        ax.set_yticks(range(len(rows)), shared, fontsize=FONT, color=MUTED, parse_math=False)
        ax.xaxis.get_major_locator().set_params(integer=False, nbins=4)
        ax.grid(axis="x", color=GRID, linewidth=0.8)
        ax.margins(x=0.08)
        title(ax, heading(metric))
    return figure
