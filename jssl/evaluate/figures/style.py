"""The style of every figure: colors, one font size, bare axes, and tiles of images."""

import io
import warnings
from collections.abc import Sequence

import numpy as np

from jssl.data.augment.base import Statistics
from jssl.extras import extra

INK, MUTED, GRID = "#1d2733", "#5f6c7b", "#e6e9ed"
BLUE, ORANGE, TEAL, VIOLET = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # told apart by the color-blind too
RIGHT, WRONG = BLUE, ORANGE
SERIES = (BLUE, ORANGE, TEAL, VIOLET)
WHEEL = (*SERIES, "#e69f00", "#56b4e9", "#2b333d", "#b8a90d")  # Okabe and Ito's, yellow darkened
FONT = 9
DPI = 160  # pixels per inch of a PNG file
LONGEST = 32  # characters of a name
HIDDEN = 0.82  # the grey of a hidden patch


def png(figure, *, dpi: int = DPI) -> bytes:
    """Draws a figure as a PNG file, cut to its contents.

    Args:
        figure: A matplotlib figure.
        dpi: Pixels per inch.
    Returns:
        The bytes of the file.
    """
    return _saved(figure, format="png", dpi=dpi)


def svg(figure) -> bytes:
    """Draws a figure as an SVG file, cut to its contents, with text as text.

    The same data give the same file.

    Args:
        figure: A matplotlib figure.
    Returns:
        The bytes of the file.
    """
    with extra():
        from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "jssl"}):
        return _saved(figure, format="svg", metadata={"Date": None})


def _saved(figure, **how) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, bbox_inches="tight", pad_inches=0.08, facecolor="white", **how)
    return buffer.getvalue()


def panels(rows: int, columns: int, *, width: float, height: float) -> tuple:
    """Makes a white figure with bare axes: two spines, a faint horizontal grid.

    Args:
        rows: Of axes.
        columns: Of axes.
        width: Of the figure, in inches.
        height: Of the figure, in inches.
    Returns:
        (figure, axes [rows, columns] as an object array).
    """
    with extra():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
        from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.1))
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GRID)
        ax.tick_params(colors=MUTED, labelsize=FONT, length=0, pad=4)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)
        ax.margins(x=0.02)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))  # steps
    return figure, axes


def legible(text: str, *, longest: int = LONGEST) -> str:
    """Makes a name one short line that every file can hold: what cannot be encoded becomes a question mark.

    Args:
        text: Any string, such as the name of a folder that is no UTF-8.
        longest: Longer text is cut to so many characters.
    Examples:
        >>> legible("caf\\udce9\\nau lait")
        'caf? au lait'
    """
    text = str(text).encode("utf-8", "replace").decode()
    text = "".join(character if character.isprintable() else " " for character in text).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def write(ax, x: float, y: float, text: str, *, longest: int = LONGEST, **style) -> None:
    """Writes text as it is: dollar signs begin no formula.

    Args:
        ax: The axes.
        x: The place, in the axes' coordinates or those of `transform`.
        y: The place.
        text: The text, made `legible`.
        longest: Longer text is cut to so many characters.
        **style: Keyword arguments of matplotlib's `Axes.text`.
    """
    ax.text(
        x, y, legible(text, longest=longest), **dict(color=MUTED, fontsize=FONT, parse_math=False) | style
    )


def title(ax, text: str) -> None:
    """Writes a heading at the left, above the axes."""
    style = dict(fontsize=FONT, color=INK, fontweight="bold", parse_math=False)
    ax.set_title(legible(text), loc="left", pad=8, **style)


def line(ax, xs, ys: np.ndarray, *, color: str, **style) -> None:
    """Draws a curve; a value without a finite neighbour, which a line would not show, gets a dot.

    Args:
        ax: The axes.
        xs: [T].
        ys: [T] floats; those that are not finite leave a gap.
        color: Of the line and the dots.
        **style: Keyword arguments of matplotlib's `Axes.plot`.
    """
    xs, known = np.asarray(xs), np.isfinite(ys)
    beside = np.pad(known, 1)
    alone = known & ~beside[:-2] & ~beside[2:]
    ax.plot(xs, ys, color=color, **style)
    if alone.any():
        ax.plot(xs[alone], ys[alone], color=color, linestyle="", marker="o", markersize=4)


def label_lines(ax, ends: list[tuple[float, str, str]], *, gap: float = 0.075) -> None:
    """Labels lines at their right ends; labels are moved apart until none overlap.

    Args:
        ax: The axes.
        ends: (y, text, color) of each line.
        gap: Least distance between labels, as a share of the height.
    """
    low, high = ax.get_ylim()
    wanted = sorted((y - low) / (high - low) for y, _, _ in ends)
    placed = []
    for y in wanted:
        placed.append(y if not placed else max(y, placed[-1] + gap))
    excess = max(placed[-1] - 1.0, 0.0) if placed else 0.0
    for i in reversed(range(len(placed))):  # push back labels above the top, and those that they then overlap
        ceiling = placed[i + 1] - gap if i + 1 < len(placed) else placed[i] - excess
        placed[i] = min(placed[i], ceiling)
    for place, (_, text, color) in zip(placed, sorted(ends), strict=True):
        write(ax, 1.02, place, text, color=color, transform=ax.transAxes, va="center", ha="left")


def rgb(images) -> np.ndarray:
    """Converts images for display: floats, clipped to [0, 1], with three channels.

    Args:
        images: [..., H, W, 1 or 3], uint8 or floats.
    Returns:
        float32 [..., H, W, 3].
    """
    images = np.asarray(images)
    images = images / np.float32(255) if images.dtype == np.uint8 else images.astype(np.float32)
    return np.broadcast_to(np.clip(images, 0, 1), (*images.shape[:-1], 3))


def unnormalized(images, normalized: Statistics | None = None) -> np.ndarray:
    """Undoes `jssl.data.normalize`, to display a view.

    Args:
        images: [..., H, W, C] floats.
        normalized: what they were normalised with, by default ImageNet's statistics.
    Returns:
        [..., H, W, C] floats in [0, 1].
    """
    images, mean, std = (np.asarray(x, np.float32) for x in (images, *(normalized or Statistics())))
    if images.shape[-1] != len(mean):
        mean, std = mean.mean(), std.mean()
    return np.clip(images * std + mean, 0, 1)


def enlarge(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarges images [..., h, w, C] to another size by repeating pixels.

    Args:
        images: [..., h, w, C].
        size: (rows, columns).
    Returns:
        [..., *size, C].
    """
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, images.shape[-3:-1], strict=True))
    return images[..., rows[:, None], columns[None, :], :]


def tiles(
    grid: list[list[np.ndarray]],
    *,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    frames: list[list[str | None]] | None = None,
    tile: float = 0.85,
):
    """Lays out images in rows and columns, with headings.

    Args:
        grid: Rows of images [H, W, 3] of one size.
        columns: A heading over each column; one that is too long is rotated.
        rows: A name left of each row.
        frames: A color, or None, for each image; `WRONG` is drawn dashed.
        tile: Inches per image.
    Returns:
        The figure.
    """
    with extra():
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

    height, width = grid[0][0].shape[:2]
    unit = 1.12  # a tile and the gap after it
    across, down = unit * len(grid[0]) - 0.06, unit * len(grid) - 0.06
    figure = Figure(figsize=(tile * across, tile * down * height / width))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    for r, row in enumerate(grid):
        for c, image in enumerate(row):
            x, y = unit * c, unit * r
            ax.imshow(image, extent=(x, x + 1, y + 1, y), aspect="auto", zorder=1)
            color = frames[r][c] if frames is not None else None
            if color is not None:
                line = "--" if color == WRONG else "-"
                frame = Rectangle(
                    (x, y), 1, 1, fill=False, edgecolor=color, linewidth=2.5, linestyle=line, zorder=2
                )
                ax.add_patch(frame)
    ax.set(xlim=(-0.06, across), ylim=(down, -0.06))
    crowded = any(len(text) * FONT * 0.55 / 72 > unit * tile for text in columns)
    turned = dict(rotation=40, ha="left", rotation_mode="anchor") if crowded else dict(ha="center")
    for c, text in enumerate(columns):
        write(ax, unit * c + (0.3 if crowded else 0.5), -0.12, text, va="bottom", **turned)
    for r, text in enumerate(rows):
        write(ax, -0.12, unit * r + 0.5, text, ha="right", va="center")
    return figure
