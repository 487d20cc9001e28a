"""Views of one kind of data or purpose: MAE's crop, characters, images whose colors matter."""

from jssl.data.augment.base import CLIP, SIGNED, chain, normalize, with_probability
from jssl.data.augment.color import color_jitter, grayscale, solarize
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.views.compose import Views, multi_crop
from jssl.data.views.pairs import moco_v2_view


def mae(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes MAE's single view: a bicubic crop, and a flip.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2111.06377
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    return multi_crop(chain(crop, horizontal_flip(), normalize()))


def simmim(*, size: int = 224, scale=(0.67, 1.0)) -> Views:
    """Makes SimMIM's single view: a bilinear crop of most of the image, and a flip.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2111.09886; microsoft/SimMIM, data/data_simmim.py
    """
    return multi_crop(chain(random_resized_crop(size=size, scale=scale), horizontal_flip(), normalize()))


def data2vec(*, size: int = 224, scale=(0.08, 1.0)) -> Views:
    """Makes data2vec's single view: a bicubic crop, a flip, and always some change of brightness, contrast
    and saturation.

    The authors change the colors of the whole image, before the crop.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2202.03555; facebookresearch/data2vec_vision, beit/datasets.py
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    jitter = color_jitter(brightness=0.4, contrast=0.4, saturation=0.4)
    return multi_crop(chain(crop, horizontal_flip(), jitter, normalize()))


def beit(*, size: int = 224, scale=(0.08, 1.0), strength: float = 0.4) -> Views:
    """Makes BEiT's single view: color jitter without hue, a flip, a bicubic crop of any size.

    Args:
        size: its side.
        scale: range of the crop's area.
        strength: of the jitter of brightness, contrast and saturation; 0: none, as in CAE.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2106.08254; microsoft/unilm, beit/datasets.py
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    jitter = color_jitter(brightness=strength, contrast=strength, saturation=strength, hue=0.0)
    return multi_crop(chain(crop, horizontal_flip(), *([jitter] if strength else []), normalize()))


def eva(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """Makes EVA's single view: MAE's, with CLIP's normalisation.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2211.07636; baaivision/EVA, EVA-01/eva/datasets.py
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    return multi_crop(chain(crop, horizontal_flip(), normalize(mean=CLIP.mean, std=CLIP.std)))


def rotation(*, size: int = 224, scale=(0.08, 1.0)) -> Views:
    """Makes the single view that is turned: a bilinear crop of any size, and a flip.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:1803.07728; gidariss/FeatureLearningRotNet, dataloader.py
    """
    return simmim(size=size, scale=scale)


def colorization(*, size: int = 176, area: float = (176 / 256) ** 2) -> Views:
    """Makes the single view whose colors are predicted: a square of fixed size from anywhere, and a flip.

    Args:
        size: the side of the view.
        area: of the square, as a share of the image's: 176 of 256 pixels.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}, in [0, 1].
    References:
        arXiv:1603.08511; richzhang/colorization, train/train_val.prototxt
    """
    square = random_resized_crop(size=size, scale=(area, area), ratio=(1.0, 1.0))
    return multi_crop(chain(square, horizontal_flip()))


def context_encoder(*, size: int = 128, area: float = (128 / 350) ** 2) -> Views:
    """Makes the single view in which a hole is filled: a square of fixed size from anywhere, and a flip.

    Args:
        size: the side of the view.
        area: of the square, as a share of the image's: 128 of 350 pixels.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}, in [-1, 1].
    References:
        arXiv:1604.07379; pathak22/context-encoder, data/donkey_folder.lua
    """
    square = random_resized_crop(size=size, scale=(area, area), ratio=(1.0, 1.0))
    return multi_crop(chain(square, horizontal_flip(), normalize(mean=SIGNED.mean, std=SIGNED.std)))


def spot_artifacts(*, size: int = 96, scale=(0.333, 1.0)) -> Views:
    """Makes the single view that an auto-encoder decodes: a bilinear crop, a flip, other brightness and
    saturation. The authors add to the brightness, and half of their crops are bicubic.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}, in [-1, 1].
    References:
        arXiv:1806.05024; sjenni/LearningToSpotArtifacts, Preprocessor.py
    """
    crop = random_resized_crop(size=size, scale=scale, ratio=(0.75, 1.33))
    color = color_jitter(brightness=0.125, saturation=0.5)
    return multi_crop(chain(crop, horizontal_flip(), color, normalize(mean=SIGNED.mean, std=SIGNED.std)))


def i_jepa(*, size: int = 224, scale=(0.3, 1.0)) -> Views:
    """Makes I-JEPA's single view: a bilinear crop, never mirrored.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2301.08243; facebookresearch/ijepa, src/transforms.py
    """
    return multi_crop(chain(random_resized_crop(size=size, scale=scale), normalize()))


def clip(*, size: int = 224, scale=(0.9, 1.0)) -> Views:
    """Makes CLIP's view: a crop of nearly the whole image, never mirrored, since captions say left and right.

    The paper takes a random square of the resized image; this is OpenCLIP's form of it.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2103.00020; mlfoundations/open_clip
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    return multi_crop(chain(crop, normalize(mean=CLIP.mean, std=CLIP.std)))


def siglip(*, size: int = 224, scale=(0.9, 1.0)) -> Views:
    """Makes SigLIP's view: CLIP's, in [-1, 1]; which part of an image the authors show is not published.

    Args:
        size: the side of the views.
        scale: range of the crops' area, as shares of the image's.
    Returns:
        (key, batch) -> {"global": [1, B, size, size, C], ...}.
    References:
        arXiv:2303.15343; google-research/big_vision, configs/proj/image_text/SigLIP_demo.ipynb
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    return multi_crop(chain(crop, normalize(mean=SIGNED.mean, std=SIGNED.std)))


def slip(*, size: int = 224, scale=(0.5, 1.0), contrast_scale=(0.08, 1.0), strength: float = 1.0) -> Views:
    """Makes SLIP's three images: a plain crop for the caption, and two of MoCo v2's views for SimCLR.

    Args:
        size: the side of all three.
        scale: range of the plain crop's area.
        contrast_scale: that of the other two.
        strength: of their color distortion.
    Returns:
        (key, batch) -> {"global": [3, B, size, size, C], ...}, the plain crop first.
    References:
        arXiv:2112.12750; facebookresearch/SLIP, main.py and datasets.py
    """
    plain = chain(random_resized_crop(size=size, scale=scale), normalize())
    augmented = moco_v2_view(size=size, scale=contrast_scale, strength=strength)
    return multi_crop(plain, augmented, augmented)


def handwriting(
    *,
    size: int = 24,
    local_size: int | None = None,
    locals: int = 0,
    scale=(0.7, 1.0),
    local_scale=(0.3, 0.7),
) -> Views:
    """Makes two views of characters, whose class is their shape alone.

    Views have any color, are light on dark or dark on light, show nearly the whole picture, and are never
    mirrored. With SimCLR's own crops and colors a network tells small characters apart by their background.

    Args:
        size: the side of the views.
        local_size: the side of further views; by default half of it.
        locals: how many further views of smaller crops there are.
        scale: range of the crops' area.
        local_scale: that of the smaller crops.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], ...}, and "local" [locals, B, local_size,
        local_size, C].
    """

    def view(side, scale):
        return chain(
            random_resized_crop(size=side, scale=scale),
            color_jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.5),
            with_probability(0.3, grayscale()),
            with_probability(0.5, solarize(threshold=0.0)),
            normalize(),
        )

    large, small = view(size, scale), view(local_size or size // 2, local_scale)
    return multi_crop(large, large, local_view=small, locals=locals)


def crops(
    *,
    size: int = 224,
    local_size: int | None = None,
    locals: int = 0,
    scale=(0.4, 1.0),
    local_scale=(0.15, 0.4),
) -> Views:
    """Makes two large views and some small ones by crops and flips alone, for images whose colors matter.

    Args:
        size: the side of the large views.
        local_size: the side of the small views; by default half of it.
        locals: how many small views there are.
        scale: range of the large crops' area.
        local_scale: that of the small ones.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], and "local" [locals, B, local_size, local_size, C],
        ...}.
    """

    def view(side, scale):
        return chain(random_resized_crop(size=side, scale=scale), horizontal_flip(), normalize())

    large = view(size, scale)
    return multi_crop(large, large, local_view=view(local_size or size // 2, local_scale), locals=locals)
