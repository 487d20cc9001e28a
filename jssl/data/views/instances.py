"""Views of systems in which every image is a class of its own: strong colors, no blur."""

from jssl.data.augment.base import CIFAR, Augmentation, chain, normalize, with_probability
from jssl.data.augment.color import color_jitter, grayscale
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.views.compose import Views, multi_crop, two_views

_STRONG = dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4)


def npid_view(*, size: int, scale=(0.2, 1.0)) -> Augmentation:
    """Makes one view of NPID and MoCo v1: crop, some grey, then the color of every image is changed, flip.

    Args:
        size: the side of the view.
        scale: range of the crops' area.
    Returns:
        An augmentation, [B, H, W, C] -> [B, size, size, C] normalised.
    References:
        arXiv:1805.01978; zhirongw/lemniscate.pytorch, main.py
    """
    crop = random_resized_crop(size=size, scale=scale)
    grey = with_probability(0.2, grayscale())
    return chain(crop, grey, color_jitter(**_STRONG), horizontal_flip(), normalize())


def npid(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes NPID's single view.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:1805.01978
    """
    return multi_crop(npid_view(size=size, scale=scale))


def _cifar_view(*augmentations: Augmentation, size: int, scale) -> Augmentation:
    return chain(
        random_resized_crop(size=size, scale=scale),
        color_jitter(**_STRONG),
        with_probability(0.2, grayscale()),
        *augmentations,
        normalize(mean=CIFAR.mean, std=CIFAR.std),
    )


def npid_cifar(*, size: int = 32, scale=(0.2, 1.0)) -> Views:
    """Makes NPID's single view of CIFAR-10: grey after the change of color, and not mirrored.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}, normalised by CIFAR-10's constants.
    References:
        arXiv:1805.01978; zhirongw/lemniscate.pytorch, cifar.py
    """
    return multi_crop(_cifar_view(size=size, scale=scale))


def moco_v1(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes MoCo's first two views: NPID's, twice.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:1911.05722; facebookresearch/moco, main_moco.py
    """
    return two_views(npid_view(size=size, scale=scale))


def invariant_spreading(*, size: int = 32, scale=(0.2, 1.0)) -> Views:
    """Makes the two views of invariant and spreading instances: NPID's, grey after the change of color.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}, normalised by CIFAR-10's constants.
    References:
        arXiv:1904.03436; mangye16/Unsupervised_Embedding_Learning, demo_seen.py
    """
    return two_views(_cifar_view(horizontal_flip(), size=size, scale=scale))
