"""The tiny experiment with a memory too small for its images: they stay on disk and are read ahead."""

from pathlib import Path

from PIL import Image

from jssl.run import main
from jssl.run.data import gather
from tests.run import tiny
from tests.undrawn import draw_nothing


def write(folder: Path) -> str:
    """Small images on disk, and the name of that data."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(tiny.colored().images):
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    return f"folder:{folder}"


def nothing_fits(records, *, canvas):
    return False


if __name__ == "__main__":
    gather.fits_in_memory = nothing_fits
    draw_nothing()
    main(tiny.demo)
