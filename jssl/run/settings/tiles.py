"""Settings of puzzles, and the sizes of tiles for the size of an image."""

from dataclasses import dataclass
from typing import Any

from jssl.models import puzzle_head, tile_head
from jssl.run.settings.base import Training
from jssl.run.settings.experiment import DataInfo
from jssl.run.settings.numbers import Count, Share


@dataclass(frozen=True, kw_only=True)
class Puzzles(Training):
    """Settings of puzzles of tiles.  arXiv:1603.09246"""

    area: Share
    """Of the square that is cut into tiles, as a share of the image's."""
    grey: Share
    """Share of the images without color."""
    projected: Share
    """Share of the others whose colors lose green against magenta, in which fringes are."""
    cells: Count
    """Along a side of the image."""
    tile: Share
    """Side of a tile, as a share of its cell's."""
    apart: int
    """How far a tile's channels are shifted against each other at most, in pixels."""
    permutations: Count
    """In the table."""
    puzzles: Count
    """Made of an image in a step."""
    embedding: Count
    """Width of a tile's vector."""
    hidden: Count
    """Width of the layer over all tiles."""
    dropout: Share
    """In that layer, and of tiles' vectors."""

    def puzzle(self, data: DataInfo) -> dict[str, Any]:
        """Makes the arguments of a method of puzzles, except its encoder."""
        cell, side = tile_side(self.tile, self.view_side(data), cells=self.cells)
        return dict(
            permutations=self.permutations,
            side=side,
            cells=self.cells,
            number=self.puzzles,
            apart=min(self.apart, cell - side),
            tile=tile_head(self.embedding, dropout=self.dropout),
            join=puzzle_head(self.permutations, hidden=self.hidden, dropout=self.dropout),
        )


def tile_side(share: float, size: int, *, cells: int) -> tuple[int, int]:
    """Computes the sides of cells and tiles.

    Args:
        share: A tile's side as a share of its cell's.
        size: Side of the image, in pixels.
        cells: Along a side of the image.
    Returns:
        (side of a cell, side of a tile) in pixels.
    Raises:
        ValueError: For an image too small for tiles.
    Examples:
        >>> tile_side(64 / 85, 255, cells=3)
        (85, 64)
    """
    cell = size // cells
    if cell < 2:
        raise ValueError(f"images of {size} pixels are too small for {cells} x {cells} tiles; set --size")
    return cell, max(1, round(share * cell))
