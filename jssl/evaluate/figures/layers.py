"""Curves over the blocks of a network: measures of attention, and the frequencies of tokens."""

from collections.abc import Mapping, Sequence

import numpy as np

from jssl.evaluate.figures.style import FONT, MUTED, SERIES, label_lines, panels, title
from jssl.extras import extra

_STYLES = ("-", "--", ":")  # of the first, second and third network in one color


def layer_curves(measures: Mapping[str, Mapping[str, Sequence]]):
    """Draws measures against the number of the block, a line for each network and a dot for each head.

    Args:
        measures: {title of a panel, with its unit: {network: [depth] or [depth, heads]}}.
    Returns:
        A matplotlib figure, a panel for each measure.
    References:
        arXiv:2305.00729, figures 2 and 3
    Examples:
        >>> figure = layer_curves({"Attention distance, px": {"learned": [3.0, 5.0], "random": [4.0, 4.0]}})
        >>> figure.axes[0].get_xlabel()
        'block'
    """
    figure, (axes,) = panels(1, len(measures), width=4.4 * len(measures), height=2.9)
    for ax, (name, networks) in zip(axes, measures.items(), strict=True):
        ends = []
        for i, (network, values) in enumerate(networks.items()):
            values, color = np.asarray(values, float), SERIES[i % len(SERIES)]
            values = values[:, None] if values.ndim == 1 else values
            blocks, mean = np.arange(1, len(values) + 1), values.mean(1)
            if values.shape[1] > 1:
                ax.plot(blocks, values, color=color, linestyle="", marker="o", markersize=3, alpha=0.35)
            ax.plot(
                blocks, mean, color=color, linewidth=1.8, linestyle=_STYLES[i // len(SERIES) % len(_STYLES)]
            )
            ends.append((mean[-1], network, color))
        title(ax, name)
        ax.set_xlabel("block", color=MUTED, fontsize=FONT)
        label_lines(ax, [end for end in ends if np.isfinite(end[0])])
    return figure


def spectrum_curves(networks: Mapping[str, Sequence]):
    """Draws the amplitude of tokens against spatial frequency, a line for each block, dark to bright.

    Args:
        networks: {network: [depth, K]}, rows such as `jssl.evaluate.analysis.log_amplitudes` gives.
    Returns:
        A matplotlib figure, a panel for each network, all with one scale.
    References:
        arXiv:2305.00729, figure 6
    """
    with extra():
        from matplotlib import colormaps
        from matplotlib.colors import to_hex
        from matplotlib.ticker import FixedFormatter, FixedLocator

    figure, (axes,) = panels(1, len(networks), width=3.8 * len(networks), height=2.9)
    everything = np.concatenate([np.ravel(values) for values in networks.values()])
    everything = everything[np.isfinite(everything)] if np.isfinite(everything).any() else np.zeros(1)
    margin = 0.06 * max(float(np.ptp(everything)), 1e-3)
    for ax, (network, values) in zip(axes, networks.items(), strict=True):
        values = np.asarray(values, float)
        colors = [to_hex(colormaps["viridis"](x)) for x in np.linspace(0, 0.85, len(values))]
        frequency = np.linspace(0, 1, values.shape[1])
        for color, row in zip(colors, values, strict=True):
            ax.plot(frequency, row, color=color, linewidth=1.8)
        title(ax, network)
        ax.set_xlabel("frequency, of the highest", color=MUTED, fontsize=FONT)
        ax.set_ylabel("Δ log amplitude", color=MUTED, fontsize=FONT)
        ax.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
        ax.xaxis.set_major_formatter(FixedFormatter(["0", "½", "1"]))
        ax.set_ylim(everything.min() - margin, everything.max() + margin)
        ends = {0: "block 1", len(values) - 1: f"block {len(values)}"}
        named = [(values[i, -1], text, colors[i]) for i, text in ends.items()]
        label_lines(ax, [end for end in named if np.isfinite(end[0])])
    return figure
