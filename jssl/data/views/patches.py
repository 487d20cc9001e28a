"""Views of systems that cut an image into patches themselves: CPC's, and puzzles of tiles."""

from jssl.data.augment.base import chain, normalize, with_probability
from jssl.data.augment.color import color_jitter, grayscale, without_fringes
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.views.compose import Views, multi_crop


def cpc(*, size: int = 256, area: float = (256 / 300) ** 2, grey: float = 0.25) -> Views:
    """Makes CPC's single view: a square of fixed size from anywhere, a flip, some grey.

    The paper turns every image grey; a network that has seen colors can be evaluated on them.

    Args:
        size: the side of the view.
        area: of the square, as a share of the image's: 256 of 300 pixels.
        grey: share of the images without color.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:1807.03748
    """
    square = random_resized_crop(size=size, scale=(area, area), ratio=(1.0, 1.0))
    return multi_crop(chain(square, horizontal_flip(), with_probability(grey, grayscale()), normalize()))


def cpc_v2(*, size: int = 260, scale=(0.3, 1.0)) -> Views:
    """Makes CPC v2's single view: a crop, a flip and a change of color; the rest is done to each patch.

    Args:
        size: the side of the view.
        scale: range of the crop's area.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:1905.09272
    """
    jitter = with_probability(0.8, color_jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1))
    return multi_crop(
        chain(random_resized_crop(size=size, scale=scale), horizontal_flip(), jitter, normalize())
    )


def puzzle(
    *, size: int = 255, area: float = (255 / 292) ** 2, grey: float = 0.66, projected: float = 0.0
) -> Views:
    """Makes the single view that is cut into tiles: a square of fixed size from anywhere, some without color.

    Args:
        size: the side of the view.
        area: of the square, as a share of the image's: 255 of 292 pixels.
        grey: share of the images without color, in which no colored fringes tell where a tile was.
        projected: share of the others that lose the green-magenta component of their colors, and so the
            fringes.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:1901.09005; google/revisiting-self-supervised, config/jigsaw/imagenet.sh
    """
    square = random_resized_crop(size=size, scale=(area, area), ratio=(1.0, 1.0))
    color = [with_probability(grey, grayscale()), with_probability(projected, without_fringes())]
    return multi_crop(chain(square, *color, normalize()))
