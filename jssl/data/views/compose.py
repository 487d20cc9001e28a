"""Views composed of augmentations: functions (key, batch) -> views.

A batch is {"image": uint8 [B, H, W, C], "index": int32 [B], ...}. Views of it are {"global": [G, B, H, W,
C]}, with multi-crop {"local": [L, B, h, w, C]} too, and every other entry of the batch unchanged. With
"image_size", int32 [B, 2], images have sizes of their own and lie in the top left corner; crops are then
taken from inside them. Randomness is a function of (key, the sample's index, the view) alone: neither the
order nor the placement of the batch matters.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, sample_keys
from jssl.data.augment.base import Augmentation, Canvas, Statistics
from jssl.data.augment.tiles import shuffled_tiles
from jssl.data.source import IMAGE_SIZE

Batch = Mapping[str, jax.Array]
Images = jax.Array | Canvas
Views = Callable[[jax.Array, Batch], dict[str, jax.Array]]

TILES = 101  # the stream of keys of tiles, apart from those of views
SMALL = 64  # below this side the papers' small-image settings hold: no blur


def images_of(batch: Batch) -> Images:
    """Checks a batch and returns its images.

    Args:
        batch: {"image": [B, H, W, C], "index": [B], ...}.
    Returns:
        Images [B, H, W, C], or a `Canvas` where they have sizes of their own.
    Raises:
        ValueError: where an entry is missing or has another shape.
    """
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
    if IMAGE_SIZE not in batch:
        return image
    if batch[IMAGE_SIZE].shape != (len(image), 2):
        raise ValueError(
            f"batch[{IMAGE_SIZE!r}] must be [{len(image)}, 2], height and width, got shape "
            f"{batch[IMAGE_SIZE].shape}"
        )
    return Canvas(image, batch[IMAGE_SIZE])


def others_of(batch: Batch) -> dict[str, jax.Array]:
    """Selects the entries that views take over from a batch unchanged: all but the images."""
    return {name: value for name, value in batch.items() if name not in ("image", IMAGE_SIZE)}


def _stack(augmentations: Sequence[Augmentation], keys: jax.Array, images: Images, first: int) -> jax.Array:
    """[V, B, ...]: equal neighbours are traced once, so that eight local crops compile as one."""
    parts, start = [], 0
    while start < len(augmentations):
        augmentation, end = augmentations[start], start
        while end < len(augmentations) and augmentations[end] is augmentation:
            end += 1
        parts.append(_repeat(augmentation, first + jnp.arange(start, end), keys, images))
        start = end
    return jnp.concatenate(parts) if len(parts) > 1 else parts[0]


def _repeat(augmentation: Augmentation, numbers: jax.Array, keys: jax.Array, images: Images) -> jax.Array:
    """[V, B, ...]: the views of these numbers, all of one augmentation."""

    def together(numbers, keys, images):
        return jax.vmap(lambda number: augmentation(fold_keys(keys, number), images))(numbers)

    def in_turn(numbers, keys, images):
        def view(number):
            keys_of_view = fold_keys(keys, number)
            return jax.lax.map(
                lambda one: augmentation(*jax.tree.map(lambda x: x[None], one))[0], (keys_of_view, images)
            )

        return jax.lax.map(view, numbers)

    # A CPU is fastest with one image at a time: it stays in the cache, and augmentations that are not drawn
    # for it are not computed. On several devices a loop over the batch would gather all of it on each of
    # them.
    if min(jax.tree.leaves(images)[0].shape[1:3]) < SMALL or jax.device_count() > 1:
        return together(numbers, keys, images)
    return jax.lax.platform_dependent(numbers, keys, images, cpu=in_turn, default=together)


def multi_crop(
    *global_views: Augmentation,
    local_view: Augmentation | None = None,
    locals: int = 0,
    beside: Mapping[str, Augmentation] = {},
) -> Views:
    """Makes global views, each by an augmentation of its own, and a number of local ones by another.

    Args:
        global_views: one augmentation per global view, all of one size.
        local_view: the local views' augmentation.
        locals: how many local views there are.
        beside: name=augmentation of further views, one for each global view and drawn with its keys: steps
            that both begin with, such as a crop, are the same.
    Returns:
        (key, batch) -> {"global": [G, B, H, W, C], "local": [L, B, h, w, C] if any, other entries}.
    Raises:
        ValueError: where the batch lacks "image" or "index", or their shapes disagree.
    References:
        arXiv:2006.09882
    """
    if not global_views:
        raise ValueError("multi_crop needs at least one global view")
    if locals and local_view is None:
        raise ValueError(f"locals={locals} needs local_view, the augmentation of the local views")

    def views(key, batch):
        images = images_of(batch)
        keys = sample_keys(key, batch["index"])
        result = others_of(batch)
        result["global"] = _stack(global_views, keys, images, 0)
        for name, augmentation in beside.items():
            result[name] = _stack([augmentation] * len(global_views), keys, images, 0)
        if locals:
            result["local"] = _stack([local_view] * locals, keys, images, len(global_views))
        return result

    return views


def two_views(first: Augmentation, second: Augmentation | None = None) -> Views:
    """Makes two views, by one augmentation or by one each.

    Returns:
        (key, batch) -> {"global": [2, B, H, W, C], and the batch's other entries}.
    """
    return multi_crop(first, first if second is None else second)


def tiled(views: Views, whole: Augmentation, *, cells: int = 3, side: int) -> Views:
    """Adds the tiles of one more view of each image, in random order.

    Args:
        views: (key, batch) -> views.
        whole: the augmentation of the image that is cut.
        cells, side: as for `shuffled_tiles`.
    Returns:
        (key, batch) -> views, and "tiles" [B, cells * cells, side, side, C].
    """

    def both(key, batch):
        keys = fold_keys(sample_keys(key, batch["index"]), TILES)
        (seen,) = _stack([whole], fold_keys(keys, 0), images_of(batch), 0)
        tiles = shuffled_tiles(fold_keys(keys, 1), seen, cells=cells, side=side)
        return views(key, batch) | {"tiles": tiles}

    return both


def renormalized(views: Views, made: Statistics, wanted: Statistics) -> Views:
    """Normalises views by other constants than they were made with, such as those of published weights.

    Args:
        views: (key, batch) -> views, normalised.
        made: what they are normalised with.
        wanted: what they shall be normalised with.
    Returns:
        The same views; `views` itself where the constants are the same.
    """
    if tuple(map(tuple, made)) == tuple(map(tuple, wanted)):
        return views

    def moved(images):
        (mean, std), (new_mean, new_std) = (jnp.array(one.of(images.shape[-1])) for one in (made, wanted))
        return images * (std / new_std) + (mean - new_mean) / new_std

    def others(key, batch):
        seen = views(key, batch)
        return seen | {
            name: moved(seen[name])
            for name in ("global", "local", "whole", "anchor", "tiles")
            if name in seen
        }

    return others
