"""Multi-crop: large views and small ones, DINO's, iBOT's, DINOv2's, SwAV's, MSN's."""

from functools import partial

from jssl.data.augment.base import IMAGENET, SWAV, chain, normalize, with_probability
from jssl.data.augment.color import grayscale
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.views.compose import Views, multi_crop
from jssl.data.views.pairs import byol_view, papers_blur, papers_jitter

WIDE = 23  # taps of the authors' blur, for small crops too


def dino(
    *,
    size: int = 224,
    local_size: int | None = None,
    locals: int = 8,
    global_scale=(0.4, 1.0),
    local_scale=(0.05, 0.4),
) -> Views:
    """Makes DINO's multi-crop: BYOL's two global views of large crops, and local views of small ones.

    Args:
        size: the side of the global views.
        local_size: that of the local ones; by default 96 at 224, in proportion at other sizes, to a multiple
            of 8.
        locals: how many local views there are.
        global_scale: range of the global crops' area.
        local_scale: range of the local crops' area.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C],
        ...}.
    References:
        arXiv:2104.14294
    """
    local_size = local_size or local_side(size)
    return multi_crop(
        byol_view(size=size, scale=global_scale, blur=1.0, solarization=0.0),
        byol_view(size=size, scale=global_scale, blur=0.1, solarization=0.2),
        local_view=byol_view(size=local_size, scale=local_scale, blur=0.5, solarization=0.0, kernel=WIDE),
        locals=locals,
    )


def local_side(size: int, *, multiple: int = 8) -> int:
    """Computes the side of local crops beside global ones of `size`: 3/7 of it, to a multiple such as a
    patch's side.

    Returns:
        Pixels, at least the multiple.
    Examples:
        >>> local_side(224), local_side(32)
        (96, 16)
        >>> local_side(224, multiple=14), local_side(256, multiple=16)  # DINOv2's and DINOv3's
        (98, 112)
    """
    return max(multiple, round(size * 3 / 7 / multiple) * multiple)


def ibot(*, size: int = 224, local_size: int | None = None, locals: int = 10) -> Views:
    """Makes iBOT's multi-crop: DINO's, global crops of at least a quarter, local ones below it.

    Args:
        size: the side of the global views.
        local_size: the side of the local ones; by default as for `dino`.
        locals: how many local views there are.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C],
        ...}.
    References:
        arXiv:2111.07832
    """
    return dino(
        size=size, local_size=local_size, locals=locals, global_scale=(0.25, 1.0), local_scale=(0.05, 0.25)
    )


def dinov2(*, size: int = 224, local_size: int | None = None, locals: int = 8) -> Views:
    """Makes DINOv2's multi-crop: DINO's with the border between global and local crops at 0.32.

    Args:
        size: the side of the global views.
        local_size: the side of the local ones; by default as for `dino`.
        locals: how many local views there are.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C],
        ...}.
    References:
        arXiv:2304.07193
    """
    return dino(
        size=size, local_size=local_size, locals=locals, global_scale=(0.32, 1.0), local_scale=(0.05, 0.32)
    )


def dinov3(
    *,
    size: int = 256,
    local_size: int | None = None,
    locals: int = 8,
    anchor_size: int | None = None,
    flip: float = 0.0,
) -> Views:
    """Makes DINOv3's multi-crop: DINOv2's, never mirrored, and for Gram anchoring the global crops once more,
    undistorted.

    Args:
        size: the side of the global views.
        local_size: that of the local ones, as for `dino`.
        locals: how many local views there are.
        anchor_size: the side of the undistorted crops; None: there are none.
        flip: how often left and right are exchanged.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C],
        "anchor": [2, B, anchor_size, anchor_size, C], ...}.
    References:
        arXiv:2508.10104
    """
    view = partial(byol_view, flip=flip)
    large = partial(view, size=size, scale=(0.32, 1.0))
    crop = random_resized_crop(size=anchor_size or size, scale=(0.32, 1.0), method="bicubic")
    undistorted = chain(crop, horizontal_flip(probability=flip), normalize())
    small = partial(view, size=local_size or local_side(size), scale=(0.05, 0.32), kernel=WIDE)
    return multi_crop(
        large(blur=1.0, solarization=0.0),
        large(blur=0.1, solarization=0.2),
        local_view=small(blur=0.5, solarization=0.0),
        locals=locals,
        beside={"anchor": undistorted} if anchor_size else {},
    )


def swav(*, size: int = 224, local_size: int | None = None, locals: int = 6) -> Views:
    """Makes SwAV's multi-crop: two global views, six small ones, SimCLR's color on all, red deviation 0.228.

    Args:
        size: the side of the global views.
        local_size: the side of the local ones; by default as for `dino`.
        locals: how many local views there are.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C],
        ...}.
    References:
        arXiv:2006.09882
    """
    large = _distorted(size, (0.14, 1.0), strength=1.0, normalized=SWAV)
    small = _distorted(local_size or local_side(size), (0.05, 0.14), strength=1.0, normalized=SWAV)
    return multi_crop(large, large, local_view=small, locals=locals)


def msn(*, size: int = 224, local_size: int | None = None, locals: int = 10) -> Views:
    """Makes MSN's multi-crop: two global views, of which the student sees one, and ten small ones.

    Args:
        size: the side of the global views.
        local_size: the side of the local ones; by default as for `dino`.
        locals: how many local views there are.
    Returns:
        (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C],
        ...}.
    References:
        arXiv:2204.07141; facebookresearch/msn, src/data_manager.py
    """
    large = _distorted(size, (0.3, 1.0), strength=0.5)
    small = _distorted(local_size or local_side(size), (0.05, 0.3), strength=0.5)
    return multi_crop(large, large, local_view=small, locals=locals)


def _distorted(side, scale, *, strength, normalized=IMAGENET):
    """A bilinear crop with SimCLR's color distortion, as SwAV and MSN have it."""
    return chain(
        random_resized_crop(size=side, scale=scale),
        horizontal_flip(),
        with_probability(0.8, papers_jitter(strength)),
        with_probability(0.2, grayscale()),
        papers_blur(side, kernel=WIDE),
        normalize(mean=normalized.mean, std=normalized.std),
    )
