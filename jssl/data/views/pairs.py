"""Two views of an image: SimCLR's, MoCo's, ReSSL's, BYOL's, SMoG's, SupCon's, InfoMin's, CMAE's."""

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, sample_keys, uniform
from jssl.data.augment.base import (
    CIFAR,
    UNCHANGED,
    Augmentation,
    chain,
    identity,
    normalize,
    with_probability,
)
from jssl.data.augment.color import color_jitter, grayscale, solarize
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.augment.filters import gaussian_blur
from jssl.data.augment.randaugment import randaugment
from jssl.data.views.compose import SMALL, Views, images_of, others_of, tiled, two_views


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


def papers_jitter(strength: float) -> Augmentation:
    """Changes color as the papers do: SimCLR's at a strength of 1, MoCo v2's at 0.5.

    Args:
        strength: 1 for up to 0.8 of brightness, contrast and saturation, and 0.2 of the hue.
    Returns:
        An augmentation.
    """
    most = 0.8 * strength
    return color_jitter(brightness=most, contrast=most, saturation=most, hue=0.2 * strength)


def simclr_view(*, size: int, scale=(0.08, 1.0), strength: float = 1.0) -> Augmentation:
    """Makes one view of SimCLR: crop, flip, color distortion, grey, blur.

    Args:
        size: the side of the view.
        scale: range of the crops' area.
        strength: of the color distortion.
    Returns:
        An augmentation, [B, H, W, C] -> [B, size, size, C] in [0, 1], as the authors leave it.
    References:
        arXiv:2002.05709, appendix A; google-research/simclr, data_util.py
    """
    return chain(
        random_resized_crop(size=size, scale=scale, method="bicubic"),
        horizontal_flip(),
        with_probability(0.8, papers_jitter(strength)),
        with_probability(0.2, grayscale()),
        papers_blur(size),
        normalize(mean=UNCHANGED.mean, std=UNCHANGED.std),
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
    return chain(
        random_resized_crop(size=size, scale=scale),
        with_probability(0.8 if strength else 0.0, papers_jitter(strength / 2)),
        with_probability(0.2 if strength else 0.0, grayscale()),
        papers_blur(size),
        horizontal_flip(),
        normalize(),
    )


def moco_v2(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes MoCo v2's two views, also PCL's and SimSiam's.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:2003.04297
    """
    return two_views(moco_v2_view(size=size, scale=scale))


def ressl(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes ReSSL's two views: MoCo v2's, strong, for the student, then a crop and a flip for the teacher.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}, the strong view first.
    References:
        arXiv:2107.09282
    """
    weak = chain(random_resized_crop(size=size, scale=scale), horizontal_flip(), normalize())
    return two_views(moco_v2_view(size=size, scale=scale), weak)


def byol_view(
    *,
    size: int,
    scale=(0.08, 1.0),
    blur: float,
    solarization: float,
    kernel: int | None = None,
    flip: float = 0.5,
    method: str = "bicubic",
) -> Augmentation:
    """Makes one view of BYOL; the two differ in how often they are blurred and solarized.

    Args:
        size: the side of the view.
        scale: range of the crops' area.
        blur: its probability.
        solarization: its probability.
        kernel: of the blur, as for `papers_blur`.
        flip: how often left and right are exchanged.
        method: how crops are resized.
    Returns:
        An augmentation, [B, H, W, C] -> [B, size, size, C] normalised.
    References:
        arXiv:2006.07733, appendix B
    """
    return chain(
        random_resized_crop(size=size, scale=scale, method=method),
        horizontal_flip(probability=flip),
        with_probability(0.8, color_jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)),
        with_probability(0.2, grayscale()),
        papers_blur(size, probability=blur, kernel=kernel),
        with_probability(solarization, solarize()),
        normalize(),
    )


def byol(*, size: int = 224, scale=(0.08, 1.0)) -> Views:
    """Makes BYOL's asymmetric views, also Barlow Twins', VICReg's and NNCLR's.

    The first is always blurred; the second rarely, and it is sometimes solarized.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:2006.07733
    """
    return two_views(
        byol_view(size=size, scale=scale, blur=1.0, solarization=0.0),
        byol_view(size=size, scale=scale, blur=0.1, solarization=0.2),
    )


def moco_v3(*, size: int = 224, scale=(0.08, 1.0)) -> Views:
    """Makes MoCo v3's two views: BYOL's on bilinear crops.

    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:2104.02057; facebookresearch/moco-v3, main_moco.py
    """
    return two_views(
        byol_view(size=size, scale=scale, blur=1.0, solarization=0.0, method="bilinear"),
        byol_view(size=size, scale=scale, blur=0.1, solarization=0.2, method="bilinear"),
    )


def smog(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes SMoG's two views, in an order that is drawn for each image.

    The color of every view is changed; one is blurred half of the time, the other rarely, and sometimes
    solarized. lightly exchanges the two in every other step; here half of the images have them exchanged.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}.
    References:
        arXiv:2207.06167; lightly-ai/lightly, transforms/smog_transform.py
    """

    def view(blur, solarization):
        return chain(
            random_resized_crop(size=size, scale=scale),
            horizontal_flip(),
            color_jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1),
            with_probability(0.2, grayscale()),
            papers_blur(size, probability=blur),
            with_probability(solarization, solarize()),
            normalize(),
        )

    in_order = two_views(view(0.5, 0.0), view(0.1, 0.2))

    def views(key, batch):
        seen = in_order(key, batch)
        first = uniform(fold_keys(sample_keys(key, batch["index"]), 2)) < 0.5
        pair = seen["global"]
        return seen | {"global": jnp.where(first[:, None, None, None], pair, pair[::-1])}

    return views


def supcon(*, size: int = 32, scale=(0.2, 1.0)) -> Views:
    """Makes SupCon's two views, also DCL's: MoCo v2's without blur.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}, normalised by CIFAR-10's constants.
    References:
        arXiv:2004.11362; HobbitLong/SupContrast, main_supcon.py
    """
    view = chain(
        random_resized_crop(size=size, scale=scale),
        horizontal_flip(),
        with_probability(0.8, color_jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)),
        with_probability(0.2, grayscale()),
        normalize(mean=CIFAR.mean, std=CIFAR.std),
    )
    return two_views(view)


def infomin(*, size: int = 224, scale=(0.2, 1.0), magnitude: float = 10, strength: float = 1.0) -> Views:
    """Makes InfoMin's stronger views: SimCLR's color on MoCo v2's crops, RandAugment, and grey last.

    RandAugment's operations are torchvision's, each done in half of the cases; the authors draw from timm's,
    whose magnitude varies.

    Args:
        size: the side of the views.
        scale: range of the crops' area.
        magnitude: RandAugment's, 0 to 10.
        strength: of the color distortion; the paper studies which strength is best.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], "tiles": [B, 9, side, side, C], ...}, the tiles of a
        larger crop in random order, 64 pixels wide at 224.
    References:
        arXiv:2005.10243; HobbitLong/PyContrast, datasets/util.py
    """
    strong = chain(
        random_resized_crop(size=size, scale=scale),
        horizontal_flip(),
        with_probability(0.8, papers_jitter(strength)),
        papers_blur(size),
        randaugment(count=2, magnitude=magnitude, probability=0.5),
        with_probability(0.2, grayscale()),
        normalize(),
    )
    cut = round(size * 255 / 224)
    plain = chain(random_resized_crop(size=cut, scale=(0.6, 1.0)), horizontal_flip(), normalize())
    return tiled(two_views(strong), plain, side=round(size * 64 / 224))


def cmae(*, size: int = 224, scale=(0.2, 1.0), shift: int | None = None, strength: float = 1.0) -> Views:
    """Makes CMAE's two views, windows of one crop: a plain one, and one shifted by some pixels, with color.

    Args:
        size: the side of the views.
        scale: range of the area of the crop, which is larger than the views by `shift`.
        shift: pixels that the second is shifted by in either direction, less than these; by default a seventh
            of the size, 32 at 224; 0: none.
        strength: of the second's color distortion; without it the colors stay.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}, the plain one first.
    References:
        arXiv:2207.13532; ZhichengHuang/CMAE, cmae/datasets/cmae_dataset.py
    """
    room = size // 7 if shift is None else shift
    crop = chain(random_resized_crop(size=size + room, scale=scale, method="bicubic"), horizontal_flip())
    color = with_probability(0.8, papers_jitter(strength / 2)), with_probability(0.2, grayscale())
    second = chain(*((*color, papers_blur(size)) if strength else ()), normalize())

    def views(key, batch):
        images, keys = images_of(batch), sample_keys(key, batch["index"])
        wide = crop(fold_keys(keys, 0), images)
        corners = jnp.floor(uniform(fold_keys(keys, 1), shape=(2,)) * room).astype(jnp.int32)
        moved = jax.vmap(lambda x, at: jax.lax.dynamic_slice(x, (*at, 0), (size, size, x.shape[-1])))
        shifted = second(fold_keys(keys, 2), moved(wide, corners))
        plain = normalize()(keys, wide[:, :size, :size])
        return others_of(batch) | {"global": jnp.stack([plain, shifted])}

    return views
