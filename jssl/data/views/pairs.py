"""Two views of an image: SimCLR's, MoCo v2's, BYOL's, InfoMin's."""

from jssl.data.augment.base import (
    UNCHANGED,
    Augmentation,
    Statistics,
    chain,
    identity,
    normalize,
    with_probability,
)
from jssl.data.augment.color import color_jitter, grayscale, solarize
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.augment.filters import gaussian_blur
from jssl.data.augment.randaugment import randaugment
from jssl.data.views.compose import SMALL, Views, two_views


def papers_blur(size: int, *, probability: float = 0.5, kernel: int | None = None) -> Augmentation:
    """Blurs as the papers do, sigma 0.1 to 2 pixels at 224; small images are not blurred, as SimCLR's on
    CIFAR-10.

    Args:
        size: the side of the view.
        probability: how often it is blurred.
        kernel: the odd number of taps, by default a tenth of the side.
    Returns:
        An augmentation.
    """
    if size < SMALL:
        return identity
    return with_probability(probability, gaussian_blur(sigma=(0.1, 2.0), kernel=kernel or size // 20 * 2 + 1))


def simclr_view(
    *,
    size: int,
    scale=(0.08, 1.0),
    strength: float = 1.0,
    extra: Augmentation = identity,
    normalized: Statistics = UNCHANGED,
) -> Augmentation:
    """Makes one view of SimCLR: crop, flip, color distortion, grey, blur.

    Args:
        size: the side of the view.
        scale: range of the crops' area.
        strength: of the color distortion.
        extra: what else happens to it, after the color distortion.
        normalized: what it is normalised with; the authors leave it in [0, 1].
    Returns:
        An augmentation, [B, H, W, C] -> [B, size, size, C].
    References:
        arXiv:2002.05709, appendix A; google-research/simclr, data_util.py
    """
    jitter = color_jitter(
        brightness=0.8 * strength, contrast=0.8 * strength, saturation=0.8 * strength, hue=0.2 * strength
    )
    return chain(
        random_resized_crop(size=size, scale=scale, method="bicubic"),
        horizontal_flip(),
        with_probability(0.8, jitter),
        extra,
        with_probability(0.2, grayscale()),
        papers_blur(size),
        normalize(mean=normalized.mean, std=normalized.std),
    )


def simclr(*, size: int = 224, scale=(0.08, 1.0), strength: float | None = None) -> Views:
    """Makes SimCLR's two views, in [0, 1]: crop, flip, color distortion, grey, blur.

    Args:
        size: the side of the views.
        scale: range of the crops' area.
        strength: of the color distortion; by default 1, and 0.5 for images under 64 pixels, which are not
            blurred either (appendix B.9).
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:2002.05709
    """
    if strength is None:
        strength = 0.5 if size < SMALL else 1.0
    return two_views(simclr_view(size=size, scale=scale, strength=strength))


def moco_v2_view(*, size: int, scale=(0.2, 1.0), strength: float = 1.0) -> Augmentation:
    """Makes one view of MoCo v2: SimCLR's with weaker color and larger crops, flipped last.

    Args:
        size: the side of the view.
        scale: range of the crops' area.
        strength: of the color distortion; without it the colors stay.
    Returns:
        An augmentation, [B, H, W, C] -> [B, size, size, C] normalised.
    References:
        arXiv:2003.04297
    """
    jitter = color_jitter(
        brightness=0.4 * strength, contrast=0.4 * strength, saturation=0.4 * strength, hue=0.1 * strength
    )
    return chain(
        random_resized_crop(size=size, scale=scale),
        with_probability(0.8 if strength else 0.0, jitter),
        with_probability(0.2 if strength else 0.0, grayscale()),
        papers_blur(size),
        horizontal_flip(),
        normalize(),
    )


def moco_v2(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes MoCo v2's two views, also PCL's and SimSiam's.

    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:2003.04297
    """
    return two_views(moco_v2_view(size=size, scale=scale))


def byol_view(
    *,
    size: int,
    scale=(0.08, 1.0),
    blur: float,
    solarization: float,
    kernel: int | None = None,
    flip: float = 0.5,
) -> Augmentation:
    """Makes one view of BYOL; the two differ in how often they are blurred and solarized.

    Args:
        size: the side of the view.
        scale: range of the crops' area.
        blur: its probability.
        solarization: its probability.
        kernel: of the blur, as for `papers_blur`.
        flip: how often left and right are exchanged.
    Returns:
        An augmentation, [B, H, W, C] -> [B, size, size, C] normalised.
    References:
        arXiv:2006.07733, appendix B
    """
    return chain(
        random_resized_crop(size=size, scale=scale, method="bicubic"),
        horizontal_flip(probability=flip),
        with_probability(0.8, color_jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)),
        with_probability(0.2, grayscale()),
        papers_blur(size, probability=blur, kernel=kernel),
        with_probability(solarization, solarize()),
        normalize(),
    )


def byol(*, size: int = 224, scale=(0.08, 1.0)) -> Views:
    """Makes BYOL's asymmetric views, also Barlow Twins', VICReg's and MoCo v3's.

    The first is always blurred, the second rarely, and solarized now and then.

    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:2006.07733
    """
    return two_views(
        byol_view(size=size, scale=scale, blur=1.0, solarization=0.0),
        byol_view(size=size, scale=scale, blur=0.1, solarization=0.2),
    )


def infomin(*, size: int = 224, scale=(0.2, 1.0), magnitude: float = 10) -> Views:
    """Makes InfoMin's stronger views: SimCLR's, on MoCo v2's crops, with RandAugment.

    Args:
        size: the side of the views.
        scale: range of the crops' area.
        magnitude: RandAugment's, 0 to 30.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:2005.10243
    """
    extra = randaugment(count=2, magnitude=magnitude)
    return two_views(simclr_view(size=size, scale=scale, extra=extra, normalized=Statistics()))
