"""One look for every figure: its colours, its bare axes, its tiles of images."""

import io
from collections.abc import Sequence

import numpy as np

INK, MUTED, GRID = "#1d2733", "#7b8794", "#e6e9ed"
BLUE, ORANGE, TEAL, VIOLET = "#2f66d0", "#d9772b", "#14918a", "#8455c9"
RIGHT, WRONG = "#2a9d5f", "#d3434b"
SERIES = (BLUE, ORANGE, TEAL, VIOLET)
FONT = 9


def png(figure, *, dpi: int = 160) -> bytes:
    """The figure as a PNG file, cut to its contents.

    Returns: the bytes of the file.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.08, facecolor="white")
    return buffer.getvalue()


def panels(rows: int, columns: int, *, width: float, height: float) -> tuple:
    """A white figure of width x height inches with bare axes: two spines, a faint horizontal grid.

    Returns: (figure, axes [rows, columns] as an object array).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.1)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GRID)
        ax.tick_params(colors=MUTED, labelsize=FONT - 1, length=0, pad=4)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)
        ax.margins(x=0.02)
    return figure, axes


def title(ax, text: str) -> None:
    """A small heading at the left, above the axes."""
    ax.set_title(text, loc="left", fontsize=FONT + 1, color=INK, fontweight="bold", pad=8)


def label_lines(ax, ends: list[tuple[float, str, str]], *, gap: float = 0.075) -> None:
    """Names lines where they end, at the right edge, moved apart until none overlaps.

    ends: (y, text, colour) of each line; gap: least distance between labels, as a share of the height.
    """
    low, high = ax.get_ylim()
    wanted = sorted((y - low) / (high - low) for y, _, _ in ends)
    placed = []
    for y in wanted:
        placed.append(y if not placed else max(y, placed[-1] + gap))
    excess = max(placed[-1] - 1.0, 0.0) if placed else 0.0
    for i in reversed(range(len(placed))):  # push back what left the top, and what that then touches
        ceiling = placed[i + 1] - gap if i + 1 < len(placed) else placed[i] - excess
        placed[i] = min(placed[i], ceiling)
    for place, (_, text, colour) in zip(placed, sorted(ends), strict=True):
        style = dict(transform=ax.transAxes, color=colour, fontsize=FONT, va="center", ha="left")
        ax.text(1.02, place, text, **style)


def rgb(images) -> np.ndarray:
    """Images to show: floats in [0, 1] with three channels, whatever is outside cut off.

    images: [..., H, W, 1 or 3], uint8 or floats.

    Returns: float32 [..., H, W, 3].
    """
    images = np.asarray(images)
    images = images / np.float32(255) if images.dtype == np.uint8 else images.astype(np.float32)
    return np.broadcast_to(np.clip(images, 0, 1), (*images.shape[:-1], 3))


def enlarge(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images [..., h, w, C] at another size by repeating pixels.

    Returns: [..., *size, C].
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
    """Images in rows and columns, with headings.

    grid:    rows of images [H, W, 3] of one size.
    columns: a heading over each column; rows: a name left of each row.
    frames:  a colour, or None, for each image.
    tile:    inches per image.

    Returns: the figure.
    """
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
            colour = frames[r][c] if frames is not None else None
            if colour is not None:
                ax.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=colour, linewidth=2.5, zorder=2))
    ax.set(xlim=(-0.06, across), ylim=(down, -0.06))
    for c, text in enumerate(columns):
        ax.text(unit * c + 0.5, -0.12, text, ha="center", va="bottom", color=MUTED, fontsize=FONT - 1)
    for r, text in enumerate(rows):
        ax.text(-0.12, unit * r + 0.5, text, ha="right", va="center", color=MUTED, fontsize=FONT - 1)
    return figure
