"""Sizes of tiles that go with the size of an image."""


def tile_side(share: float, size: int, *, cells: int) -> tuple[int, int]:
    """Finds how large cells and tiles are.

    Args:
        share: A tile's side as a share of its cell's.
        size: Side of the image, in pixels.
        cells: Along a side of the image.
    Returns:
        (side of a cell, side of a tile) in pixels.
    Raises:
        ValueError: For an image too small for tiles.

    >>> tile_side(64 / 85, 255, cells=3)
    (85, 64)
    """
    cell = size // cells
    if cell < 2:
        raise ValueError(f"images of {size} pixels are too small for {cells} x {cells} tiles; set --size")
    return cell, max(1, round(share * cell))
