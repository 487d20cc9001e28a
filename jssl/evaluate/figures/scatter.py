"""Features as points in the plane."""

from collections.abc import Sequence

import numpy as np

from jssl.evaluate.figures.style import FONT, INK, MUTED, WHEEL, legible, panels, title

MARKERS = "os^DvPX*<>"  # beside the colors, so that classes are told apart without them
MOST = len(MARKERS)  # classes with a color and marker of their own


def feature_map(points, labels, *, names: Sequence[str] = (), heading: str = ""):
    """Draws a point for each image; each class has its own color and marker, for ten classes at most.

    Args:
        points: [N, 2], such as `jssl.evaluate.analysis.tsne` or `principal_plane` give.
        labels: [N] class numbers; -1 for none.
        names: Of the classes.
        heading: Over the figure.
    Returns:
        A matplotlib figure; its axes have no scale, since only neighbourhoods have a meaning.
    Raises:
        ValueError: for points that are not [N, 2] with a label each.
    """
    points, labels = np.asarray(points, float), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"points and labels have shapes {points.shape} and {labels.shape}, expected [N, 2] and [N]"
        )
    figure, ((ax,),) = panels(1, 1, width=5.8, height=4.4)
    dots = dict(linestyle="", markeredgewidth=0)
    found = np.unique(labels[labels >= 0])[:MOST]
    rest = ~np.isin(labels, found)
    if rest.any():
        others = "other classes" if (labels[rest] >= 0).any() else None
        ax.plot(*points[rest].T, marker=".", color=MUTED, markersize=4, alpha=0.5, label=others, **dots)
    for place, label in enumerate(found):
        look = dict(color=WHEEL[place % len(WHEEL)], marker=MARKERS[place], markersize=4, alpha=0.75)
        name = legible(names[label]) if label < len(names) else str(label)
        ax.plot(*points[labels == label].T, label=name, **look, **dots)
    if heading:
        title(ax, heading)
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.set_anchor("W")
    ax.margins(0.03)
    if len(found) > 1:
        place = dict(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
        ax.legend(fontsize=FONT, frameon=False, labelcolor=INK, handletextpad=0.2, **place)
    return figure
