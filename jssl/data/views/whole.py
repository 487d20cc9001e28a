"""OBoW's views: the whole image for a teacher, and parts of it for a student."""

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, sample_keys, uniform
from jssl.data.augment.base import chain, normalize, with_probability
from jssl.data.augment.color import color_jitter, grayscale
from jssl.data.augment.crop import center_crop, horizontal_flip, random_resized_crop
from jssl.data.views.compose import SMALL, Views, images_of, multi_crop
from jssl.data.views.pairs import papers_blur

SIDE = 3  # cells along a side, out of which patches are cut


def grid_patches(keys, images, *, side: int, jitter: int, count: int) -> jax.Array:
    """Cuts patches out of different cells of a 3 x 3 grid, the cells and their shifts drawn for each image.

    Args:
        keys: [B].
        images: [B, H, H, C].
        side: of a patch, in pixels; patches of neighbouring cells overlap.
        jitter: the largest shift of a patch in its cell, in pixels.
        count: patches of each image, at most 9.
    Returns:
        [count, B, side, side, C].
    Raises:
        ValueError: for more patches than cells, or patches larger than their cells' part of the image.
    References:
        OBoW, arXiv:2012.11552; valeoai/obow, obow/datasets.py
    """
    room = images.shape[1] - side - jitter
    if not 1 <= count <= SIDE**2 or room < 0:
        raise ValueError(
            f"got {count} patches of {side} pixels, shifted by up to {jitter}, of images of shape "
            f"{images.shape}; expected 1 to {SIDE**2} patches that fit"
        )
    luck = uniform(keys, shape=(3 * SIDE**2,)).reshape(-1, 3, SIDE**2)
    cells = jnp.argsort(luck[:, 0], axis=-1)[:, :count]
    shifts = jnp.floor(luck[:, 1:, :count] * (jitter + 1)).astype(jnp.int32)
    tops, lefts = cells // SIDE * (room // (SIDE - 1)), cells % SIDE * (room // (SIDE - 1))

    def cut(image, top, left):
        return jax.lax.dynamic_slice(image, (top, left, 0), (side, side, image.shape[-1]))

    each = jax.vmap(jax.vmap(cut, (None, 0, 0)))(images, tops + shifts[:, 0], lefts + shifts[:, 1])
    return each.swapaxes(0, 1)


def obow(*, size: int = 224, crops: int = 2, locals: int = 5) -> Views:
    """Makes OBoW's views: the whole image, two small crops of it, and patches of one large crop.

    Args:
        size: the side of the whole image; at 224 crops have 160 pixels and patches 96, at other sizes in
            proportion.
        crops: how many.
        locals: how many patches.
    Returns:
        (key, batch) -> {"whole": [1, B, size, size, C], "global": [crops, B, ...], "local": [locals, B, ...]
        if any, other entries}.
    References:
        arXiv:2012.11552; valeoai/obow, obow/datasets.py
    """
    share = size / 224
    color = with_probability(0.8, color_jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1))
    grey, side = with_probability(0.2, grayscale()), round(160 * share)
    whole = center_crop(size=size, fraction=1.0 if size < SMALL else 224 / 256)
    small, large = (
        random_resized_crop(size=pixels, scale=scale)
        for pixels, scale in ((side, (0.08, 0.6)), (round(256 * share), (0.6, 1.0)))
    )
    crop = chain(small, color, grey, papers_blur(side), horizontal_flip(), normalize())
    teachers = chain(whole, horizontal_flip(), normalize())
    patched = chain(large, color, grey, horizontal_flip(), normalize())
    cropped = multi_crop(*[crop] * crops)

    def views(key, batch):
        keys, images = sample_keys(key, batch["index"]), images_of(batch)
        teacher_keys, patch_keys, cut_keys = (fold_keys(keys, crops + i) for i in range(3))
        seen = cropped(key, batch) | {"whole": teachers(teacher_keys, images)[None]}
        if locals:
            settings = dict(side=round(96 * share), jitter=round(24 * share), count=locals)
            seen["local"] = grid_patches(cut_keys, patched(patch_keys, images), **settings)
        return seen

    return views


def whole_and_crops(*, size: int = 24, crops: int = 2, locals: int = 0) -> Views:
    """Makes the whole image and crops of it, colors unchanged, for images whose colors matter.

    Args:
        size: the side of the whole image and of the crops.
        crops: how many.
        locals: how many crops of half the size.
    Returns:
        (key, batch) -> {"whole": [1, B, size, size, C], "global": [crops, B, size, size, C], "local":
        [locals, B, size / 2, size / 2, C] if any, other entries}.
    """
    whole = chain(center_crop(size=size), horizontal_flip(), normalize())
    crop, small = (
        chain(random_resized_crop(size=side, scale=scale), horizontal_flip(), normalize())
        for side, scale in ((size, (0.3, 0.8)), (size // 2, (0.15, 0.4)))
    )
    cropped = multi_crop(*[crop] * crops, local_view=small, locals=locals)

    def views(key, batch):
        keys = fold_keys(sample_keys(key, batch["index"]), crops + locals)
        return cropped(key, batch) | {"whole": whole(keys, images_of(batch))[None]}

    return views
