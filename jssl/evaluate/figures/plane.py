"""Features of many images as points in a plane."""

from collections.abc import Sequence

import numpy as np

from jssl.evaluate.figures.style import FONT, INK, MUTED, SERIES, legible, panels
from jssl.extras import extra

MARKERS = "osD^vPX*<>"  # ten classes are told apart without their color
MOST = 10  # classes that get a look of their own


def principal_plane(features) -> tuple[np.ndarray, float]:
    """Finds the plane in which features of unit length vary most.

    The same features give the same points: each axis points to where its largest coordinate is positive.

    Args:
        features: [N, D], N >= 2.
    Returns:
        (points [N, 2], the share of the variance that the plane has).
    Examples:
        >>> points, share = principal_plane([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
        >>> points.shape, round(share, 3)
        ((3, 2), 1.0)
    """
    x = np.asarray(features, np.float64)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    x = np.nan_to_num(x - x.mean(0))
    values, vectors = np.linalg.eigh(x.T @ x)  # in rising order
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    points = np.pad(x @ axes, ((0, 0), (0, 2 - axes.shape[1])))
    return points, float(values[::-1][:2].sum() / max(values.sum(), 1e-12))


def feature_map(points, labels, *, names: Sequence[str] = ()):
    """Draws a point for each image; each class has a color and a mark of its own, ten classes at most.

    Args:
        points: [N, 2].
        labels: [N] class numbers.
        names: Of the classes.
    Returns:
        A matplotlib figure.
    """
    with extra():
        from matplotlib import colormaps

    points, labels = np.asarray(points), np.asarray(labels)
    figure, ((ax,),) = panels(1, 1, width=5.8, height=4.4)
    ax.grid(False)
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.set_anchor("W")
    found = np.unique(labels)[:MOST]
    colors = [*SERIES, *colormaps["cividis"](np.linspace(0, 0.9, MOST - len(SERIES)))]
    for place, (label, color, marker) in enumerate(zip(found, colors, MARKERS, strict=False)):
        rows = points[labels == label]
        name = legible(names[label]) if 0 <= label < len(names) else str(label)
        style = dict(color=color, marker=marker, s=11, linewidths=0, alpha=0.75, zorder=2 + place)
        ax.scatter(*rows.T, **style, label=name.replace("$", r"\$"))
    rest = ~np.isin(labels, found)
    if rest.any():
        ax.scatter(*points[rest].T, color=MUTED, s=5, linewidths=0, alpha=0.4, label="other classes")
    if len(found) > 1:
        place = dict(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        ax.legend(**place, fontsize=FONT, labelcolor=INK, markerscale=1.6, handletextpad=0.3)
    return figure
