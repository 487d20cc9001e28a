"""Real handwriting that needs no download: scikit-learn's digits, placed on larger pictures."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from jssl.data.source import Source
from jssl.data.sources.arrays import from_arrays
from jssl.extras import require

FILE = "datasets/data/digits.csv.gz"  # in scikit-learn, which takes two seconds to import
SIDE = 32
TEST_DIGITS = 360
COPIES = {"train": 8, "test": 4}  # pictures made of each digit


def digits(*, split: str = "train") -> Source:
    """Places 1,797 handwritten digits, each at several seeded positions, scales and color pairs, on 32 x 32
    pixels.

    The test split's digits are not in the train split. Place, size and colors are random and do not depend on
    the class, so that raw pixels classify badly and a representation has to ignore them.

    Args:
        split: "train" (11,496 pictures of 1,437 digits) or "test" (1,440 of 360).
    Returns:
        A `Source` of 10 classes.
    """
    glyphs, labels = _glyphs()
    order = np.random.default_rng(0).permutation(len(glyphs))
    chosen = order[:TEST_DIGITS] if split == "test" else order[TEST_DIGITS:]
    chosen = np.tile(chosen, COPIES[split])
    rng = np.random.default_rng(1 if split == "train" else 2)
    images = place(glyphs[chosen] / 16, rng)
    return from_arrays(images, labels[chosen], class_names=tuple("0123456789"), name="digits")


def _glyphs() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's `load_digits`: [1797, 8, 8] values in 0..16, and the digits."""
    require("sklearn")
    spec = find_spec("sklearn")
    assert spec is not None and spec.origin is not None  # it was found a line ago
    with gzip.open(Path(spec.origin).parent / FILE, "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(int)


def place(glyphs: np.ndarray, rng: np.random.Generator, *, side: int = SIDE) -> np.ndarray:
    """Draws each glyph on a square of its own: bilinear, at a random place, of a random size and color pair.

    Args:
        glyphs: [N, h, w] in [0, 1].
        rng: of all that is random.
        side: of the squares.
    Returns:
        [N, side, side, 3] uint8.
    """
    number = len(glyphs)
    scale = rng.uniform(0.35, 0.65, number) * side
    top, left = rng.uniform(0, 1, (2, number)) * (side - scale)
    rows = _weights(glyphs.shape[1], side, top, scale)
    columns = _weights(glyphs.shape[2], side, left, scale)
    ink = (rows @ glyphs @ columns.swapaxes(1, 2))[..., None]
    paper, pen = _color_pairs(number, rng)
    return np.round(255 * (paper + ink * (pen - paper))).astype(np.uint8)


def _weights(source, side, start, length):
    """[N, side, source]: bilinear interpolation of `source` pixels spread over [start, start + length)."""
    position = (np.arange(side) + 0.5 - start[:, None]) * (source / length[:, None]) - 0.5
    return np.maximum(1 - np.abs(position[..., None] - np.arange(source)), 0)


def _color_pairs(number, rng):
    """Paper and pen [N, 1, 1, 3], uniform in the color cube but at least 0.4 apart."""
    candidates = rng.uniform(0, 1, (2 * number + 100, 2, 3))  # nine of ten pairs are far enough apart
    apart = np.linalg.norm(candidates[:, 0] - candidates[:, 1], axis=-1) >= 0.4
    paper, pen = candidates[apart][:number].swapaxes(0, 1)[:, :, None, None]
    return paper, pen
