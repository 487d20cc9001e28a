"""Features as points in the plane."""

from collections.abc import Sequence

import numpy as np

from jssl.evaluate.figures.style import FONT, INK, MUTED, WHEEL, legible, panels, title

_MARKERS = ("o", "^", "s")  # beside the colors, so that more classes than colors are told apart


def feature_map(points, labels, *, names: Sequence[str], heading: str = "Features by t-SNE"):
    """Draws points in the plane, colored by their class.

    Args:
        points: [N, 2], such as `jssl.evaluate.analysis.tsne` gives.
        labels: [N] integers; -1 for none, drawn grey.
        names: Of the classes.
        heading: Over the figure.
    Returns:
        A matplotlib figure; its axes have no scale, since only who lies near whom has a meaning.
    Raises:
        ValueError: for points that are not [N, 2] with a label each.
    """
    points, labels = np.asarray(points, float), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        expected = "[N, 2] and [N]"
        raise ValueError(
            f"points and labels have shapes {points.shape} and {labels.shape}, expected {expected}"
        )
    figure, ((ax,),) = panels(1, 1, width=5.6, height=4.2)
    dots = dict(linestyle="", markersize=4, alpha=0.75, markeredgewidth=0)
    if (labels < 0).any():
        ax.plot(*points[labels < 0].T, marker=".", color=MUTED, **dots)
    for label in np.unique(labels[labels >= 0]):
        look = dict(color=WHEEL[label % len(WHEEL)], marker=_MARKERS[label // len(WHEEL) % len(_MARKERS)])
        ax.plot(*points[labels == label].T, label=legible(names[label]), **look, **dots)
    title(ax, heading)
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.margins(0.03)
    place = dict(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    ax.legend(fontsize=FONT, frameon=False, labelcolor=INK, handletextpad=0.2, **place)
    return figure
