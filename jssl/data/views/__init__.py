"""View recipes: what the papers do to an image before two networks see it, as functions (key, batch) -> views.

A batch is {"image": uint8 [B, H, W, C], "index": int32 [B], ...}. A recipe's result is {"global": [G, B, H, W, C]},
with multi-crop {"local": [L, B, h, w, C]} too, and every other entry of the batch unchanged. Randomness is a function
of (key, the sample's index, the view) alone: neither the order nor the placement of the batch matters.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, sample_keys
from jssl.data.augment.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    chain,
    identity,
    normalize,
    with_probability,
)
from jssl.data.augment.color import color_jitter, grayscale, solarize
from jssl.data.augment.crop import center_crop, horizontal_flip, random_resized_crop
from jssl.data.augment.filters import gaussian_blur
from jssl.data.augment.randaugment import randaugment

Batch = Mapping[str, jax.Array]
Views = Callable[[jax.Array, Batch], dict[str, jax.Array]]

SMALL = 64  # below this side the papers' small-image settings hold: no blur


def _check(batch: Batch) -> None:
    for name in ("image", "index"):
        if name not in batch:
            raise ValueError(f"batch needs the entry {name!r}, it has {', '.join(sorted(batch)) or 'none'}")
    image, index = batch["image"], batch["index"]
    if image.ndim != 4:
        raise ValueError(f"batch['image'] must be [B, H, W, C], got shape {image.shape}")
    if index.shape != image.shape[:1]:
        raise ValueError(
            f"batch['index'] must be [{image.shape[0]}], one id per image, got shape {index.shape}"
        )


def _stack(
    augmentations: Sequence[Augmentation], keys: jax.Array, images: jax.Array, first: int
) -> jax.Array:
    """[V, B, ...]: equal neighbours are traced once, so that eight local crops compile as one."""
    parts, start = [], 0
    while start < len(augmentations):
        augmentation, end = augmentations[start], start
        while end < len(augmentations) and augmentations[end] is augmentation:
            end += 1
        parts.append(_repeat(augmentation, first + jnp.arange(start, end), keys, images))
        start = end
    return jnp.concatenate(parts) if len(parts) > 1 else parts[0]


def _repeat(augmentation: Augmentation, numbers: jax.Array, keys: jax.Array, images: jax.Array) -> jax.Array:
    """[V, B, ...]: the views of these numbers, all of one augmentation."""

    def together(numbers, keys, images):
        return jax.vmap(lambda number: augmentation(fold_keys(keys, number), images))(numbers)

    def in_turn(numbers, keys, images):
        def view(number):
            keys_of_view = fold_keys(keys, number)
            return jax.lax.map(
                lambda one: augmentation(one[0][None], one[1][None])[0], (keys_of_view, images)
            )

        return jax.lax.map(view, numbers)

    # A core is fastest with one image at a time: it stays in the cache, and what it is not drawn for is not computed.
    # Not where the batch lies on several devices: a loop over it would bring all of it together on each.
    if min(images.shape[1:3]) < SMALL or jax.device_count() > 1:
        return together(numbers, keys, images)
    return jax.lax.platform_dependent(numbers, keys, images, cpu=in_turn, default=together)


def multi_crop(*global_views: Augmentation, local_view: Augmentation | None = None, locals: int = 0) -> Views:
    """Global views of their own recipes and a number of local ones of one recipe (arXiv:2006.09882).

    global_views: one augmentation per global view, all of one size.
    local_view, locals: the local views' augmentation and how many.

    Returns: (key, batch) -> {"global": [G, B, H, W, C], "local": [L, B, h, w, C] if any, other entries}.

    Raises: ValueError where the batch lacks "image" or "index", or their shapes disagree.
    """
    if not global_views:
        raise ValueError("multi_crop needs at least one global view")
    if locals and local_view is None:
        raise ValueError(f"locals={locals} needs local_view, the augmentation of the local views")

    def views(key, batch):
        _check(batch)
        keys = sample_keys(key, batch["index"])
        result = {name: value for name, value in batch.items() if name != "image"}
        result["global"] = _stack(global_views, keys, batch["image"], 0)
        if locals:
            result["local"] = _stack([local_view] * locals, keys, batch["image"], len(global_views))
        return result

    return views


def two_views(first: Augmentation, second: Augmentation | None = None) -> Views:
    """Two views, of one recipe or of one each.

    Returns: (key, batch) -> {"global": [2, B, H, W, C], and the batch's other entries}.
    """
    return multi_crop(first, first if second is None else second)


def evaluation_view(
    size: int,
    *,
    fraction: float | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Callable[[jax.Array], jax.Array]:
    """What probes see: the central square, resized and normalised.

    size: the side of the result.
    fraction: how much of the shorter side is kept; by default 224 / 256 (the usual resize to 256 and crop of 224), all
        of it for images under 64 pixels.

    Returns: images uint8 [B, H, W, C] -> float [B, size, size, C].
    """
    fraction = fraction or (1.0 if size < SMALL else 224 / 256)
    view = chain(center_crop(size=size, fraction=fraction, method="bicubic"), normalize(mean=mean, std=std))

    def apply(images):
        return view(sample_keys(jax.random.key(0), jnp.arange(images.shape[0])), images)

    return apply


def _blur(size: int, *, probability: float = 0.5, kernel: int | None = None) -> Augmentation:
    """The papers' blur, sigma 0.1 to 2 pixels at 224; small images have none, as in SimCLR's CIFAR recipe."""
    if size < SMALL:
        return identity
    return with_probability(probability, gaussian_blur(sigma=(0.1, 2.0), kernel=kernel or size // 20 * 2 + 1))


def simclr_view(
    *, size: int, scale=(0.08, 1.0), strength: float = 1.0, extra: Augmentation = identity
) -> Augmentation:
    """One view of SimCLR: crop, flip, color distortion, grey, blur (arXiv:2002.05709, appendix A).

    extra: what else happens to it, after the color distortion.

    Returns: an augmentation, [B, H, W, C] -> [B, size, size, C] normalised.
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
        _blur(size),
        normalize(),
    )


def simclr(*, size: int = 224, scale=(0.08, 1.0), strength: float | None = None) -> Views:
    """SimCLR's two views (arXiv:2002.05709): crop, flip, color distortion, grey, blur.

    strength: of the color distortion; by default 1, and 0.5 for images under 64 pixels, which have no blur either
        (appendix B.9).

    Returns: (key, batch) -> {"global": [2, B, size, size, C], ...}.
    """
    if strength is None:
        strength = 0.5 if size < SMALL else 1.0
    return two_views(simclr_view(size=size, scale=scale, strength=strength))


def moco_v2(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """MoCo v2's two views (arXiv:2003.04297): SimCLR's with weaker color and larger crops.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], ...}.
    """
    view = chain(
        random_resized_crop(size=size, scale=scale),
        with_probability(0.8, color_jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)),
        with_probability(0.2, grayscale()),
        _blur(size),
        horizontal_flip(),
        normalize(),
    )
    return two_views(view)


def byol_view(*, size: int, scale=(0.08, 1.0), blur: float, solarization: float) -> Augmentation:
    """One view of BYOL (arXiv:2006.07733, appendix B): the two differ in how often they are blurred and solarized.

    blur, solarization: probabilities.

    Returns: an augmentation, [B, H, W, C] -> [B, size, size, C] normalised.
    """
    return chain(
        random_resized_crop(size=size, scale=scale, method="bicubic"),
        horizontal_flip(),
        with_probability(0.8, color_jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)),
        with_probability(0.2, grayscale()),
        _blur(size, probability=blur),
        with_probability(solarization, solarize()),
        normalize(),
    )


def byol(*, size: int = 224, scale=(0.08, 1.0)) -> Views:
    """BYOL's asymmetric views (arXiv:2006.07733), also Barlow Twins', VICReg's and MoCo v3's.

    The first is always blurred, the second rarely, and solarized now and then.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], ...}.
    """
    return two_views(
        byol_view(size=size, scale=scale, blur=1.0, solarization=0.0),
        byol_view(size=size, scale=scale, blur=0.1, solarization=0.2),
    )


def dino(
    *,
    size: int = 224,
    local_size: int | None = None,
    locals: int = 8,
    global_scale=(0.4, 1.0),
    local_scale=(0.05, 0.4),
) -> Views:
    """DINO's multi-crop (arXiv:2104.14294): BYOL's two global views of large crops and local views of small ones.

    local_size: by default 96 at 224, in proportion at other sizes, to a multiple of 8.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C], ...}.
    """
    local_size = local_size or local_side(size)
    return multi_crop(
        byol_view(size=size, scale=global_scale, blur=1.0, solarization=0.0),
        byol_view(size=size, scale=global_scale, blur=0.1, solarization=0.2),
        local_view=byol_view(size=local_size, scale=local_scale, blur=0.5, solarization=0.0),
        locals=locals,
    )


def local_side(size: int) -> int:
    """The side of local crops beside global ones of `size`: 3/7 of it (96 at 224) to a multiple of 8.

    Returns: pixels, at least 8.

    >>> local_side(224), local_side(32)
    (96, 16)
    """
    return max(8, round(size * 3 / 7 / 8) * 8)


def ibot(*, size: int = 224, local_size: int | None = None, locals: int = 10) -> Views:
    """iBOT's multi-crop (arXiv:2111.07832): DINO's, global crops of at least a quarter, local ones below it.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C], ...}.
    """
    return dino(
        size=size, local_size=local_size, locals=locals, global_scale=(0.25, 1.0), local_scale=(0.05, 0.25)
    )


def dinov2(*, size: int = 224, local_size: int | None = None, locals: int = 8) -> Views:
    """DINOv2's multi-crop (arXiv:2304.07193): DINO's with the border between global and local crops at 0.32.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C], ...}.
    """
    return dino(
        size=size, local_size=local_size, locals=locals, global_scale=(0.32, 1.0), local_scale=(0.05, 0.32)
    )


def swav(*, size: int = 224, local_size: int | None = None, locals: int = 6) -> Views:
    """SwAV's multi-crop (arXiv:2006.09882): two global views and six small ones, SimCLR's color on all.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], "local": [locals, B, local_size, local_size, C], ...}.
    """

    def view(side, scale):
        return chain(
            random_resized_crop(size=side, scale=scale),
            horizontal_flip(),
            with_probability(0.8, color_jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)),
            with_probability(0.2, grayscale()),
            _blur(side),
            normalize(),
        )

    large = view(size, (0.14, 1.0))
    small = view(local_size or local_side(size), (0.05, 0.14))
    return multi_crop(large, large, local_view=small, locals=locals)


def mae(*, size: int = 224, scale=(0.2, 1.0)) -> Views:
    """MAE's single view (arXiv:2111.06377): crop and flip; SimMIM's, BEiT's and I-JEPA's at their own scales.

    Returns: (key, batch) -> {"global": [1, B, size, size, C], ...}.
    """
    crop = random_resized_crop(size=size, scale=scale, method="bicubic")
    return multi_crop(chain(crop, horizontal_flip(), normalize()))


def handwriting(*, size: int = 24, locals: int = 0, scale=(0.7, 1.0), local_scale=(0.3, 0.7)) -> Views:
    """Two views for characters, whose class is their shape alone: any color, light on dark or dark on light, nearly the
    whole picture, never mirrored. With SimCLR's own crops and colors a network tells small characters apart by the color
    of their paper.

    locals: further views of smaller crops, `local_scale` of the picture.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], ...}, and "local" [locals, B, size / 2, size / 2, C].
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
    """Crops and flips alone, two large and some small: for images whose colors are what matters.

    locals: views of half the size, `local_scale` of the picture.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], and "local" [locals, B, size / 2, size / 2, C], ...}.
    """

    def view(side, scale):
        return chain(random_resized_crop(size=side, scale=scale), horizontal_flip(), normalize())

    large = view(size, scale)
    return multi_crop(large, large, local_view=view(size // 2, local_scale), locals=locals)


def infomin(*, size: int = 224, scale=(0.2, 1.0), magnitude: float = 10) -> Views:
    """InfoMin's stronger views (arXiv:2005.10243): SimCLR's, on MoCo v2's crops, with RandAugment.

    magnitude: RandAugment's, 0 to 30.

    Returns: (key, batch) -> {"global": [2, B, size, size, C], ...}.
    """
    return two_views(simclr_view(size=size, scale=scale, extra=randaugment(count=2, magnitude=magnitude)))
