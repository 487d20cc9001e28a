"""Views of one kind of data or purpose: MAE's crop, characters, images whose colors matter."""

from jssl.data.augment.base import chain, normalize, with_probability
from jssl.data.augment.color import color_jitter, grayscale, solarize
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.views.compose import Views, multi_crop


def mae(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes MAE's single view: crop and flip; SimMIM's, BEiT's and I-JEPA's at their own scales.

    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2111.06377
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    return multi_crop(chain(crop, horizontal_flip(), normalize()))


def handwriting(*, size: int = 24, locals: int = 0, scale=(0.7, 1.0), local_scale=(0.3, 0.7)) -> Views:
    """Makes two views of characters, whose class is their shape alone.

    They have any color, are light on dark or dark on light, show nearly the whole picture, and are never
    mirrored. With SimCLR's own crops and colors a network tells small characters apart by the color of their
    paper.

    Args:
        size: the side of the views.
        locals: how many further views of smaller crops there are.
        scale: range of the crops' area.
        local_scale: that of the smaller crops.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}, and "local" [locals, B, size / 2, size / 2,
        C].
    """

    def view(side, scale):
        return chain(
            random_resized_crop(size=side, scale=scale),
            color_jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.5),
            with_probability(0.3, grayscale()),
            with_probability(0.5, solarize(threshold=0.0)),
            normalize(),
        )

    large, small = view(size, scale), view(size // 2, local_scale)
    return multi_crop(large, large, local_view=small, locals=locals)


def crops(*, size: int = 224, locals: int = 0, scale=(0.4, 1.0), local_scale=(0.15, 0.4)) -> Views:
    """Crops and flips alone, two views large and some small, for images whose colors are what matters.

    Args:
        size: the side of the large views.
        locals: how many views of half the size there are.
        scale: range of the large crops' area.
        local_scale: that of the small ones.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], and "local" [locals, B, size / 2, size / 2, C],
        ...}.
    """

    def view(side, scale):
        return chain(random_resized_crop(size=side, scale=scale), horizontal_flip(), normalize())

    large = view(size, scale)
    return multi_crop(large, large, local_view=view(size // 2, local_scale), locals=locals)
