"""Tasks made of scenes: films whose objects are known in every frame, images to search, copies to find."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.keys import sample_keys
from jssl.data.augment.base import as_float, chain, with_probability
from jssl.data.augment.color import color_jitter, grayscale
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.augment.filters import gaussian_blur
from jssl.data.source import EASY, HARD, JUNK
from jssl.data.sources.scenes import ATTRIBUTES, render

SHAPE, COLOR, POSITION = (ATTRIBUTES.index(name) for name in ("shape", "color", "position"))


class Search(NamedTuple):
    """Query images, and the gallery that is searched for them.

    Attributes:
        queries: Q images, uint8 [Q, side, side, 3] or records of them.
        gallery: G images, likewise.
        relevance: int32 [Q, G]: `EASY`, `HARD`, `JUNK` of `jssl.data.source`, 0 for all other images.
    """

    queries: Any
    gallery: Any
    relevance: np.ndarray


def scene_films(
    *, count: int = 32, side: int = 32, frames: int = 8, pace: float = 2.0
) -> dict[str, np.ndarray]:
    """Draws short films of the test split's objects in motion, and where each object is.

    Args:
        count: Films F.
        side: Pixels.
        frames: Of each film, T.
        pace: Time from frame to frame; at 1 an object moves by up to 5 % of half the picture's side.
    Returns:
        {"image": uint8 [F, T, side, side, 3], "segmentation", "objects": int32 [F, T, side, side], as
        `render` draws them}.
    """

    @jax.jit
    def draw(time):
        drawn = render(jnp.arange(count), side=side, split="test", time=time)
        return {name: drawn[name] for name in ("image", "segmentation", "objects")}

    drawn = [jax.device_get(draw(pace * frame)) for frame in range(frames)]
    return {name: np.stack([frame[name] for frame in drawn], axis=1) for name in drawn[0]}


def same_object_search(*, queries: int = 64, gallery: int = 512, side: int = 32) -> Search:
    """Makes a search for the same object, at the same place or elsewhere in the image.

    An image with an object of the same shape and color at the same position is an easy answer, at another
    position a hard one. An image with the same shape in another color is ignored.

    Args:
        queries: How many, Q.
        gallery: How many other scenes there are to search, G.
        side: Pixels.
    Returns:
        A `Search`.
    """
    images, attributes = _drawn(np.arange(queries + gallery), side=side)
    return Search(images[:queries], images[queries:], answers(attributes[:queries], attributes[queries:]))


def answers(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Gives the relevance of each scene of the gallery to each query, as `same_object_search` defines it.

    Args:
        queries: [Q, 6] attributes.
        gallery: [G, 6] attributes.
    Returns:
        int32 [Q, G].
    Examples:
        >>> gallery = np.array([[3, 1, 0, 1, 2, 4], [3, 1, 2, 0, 0, 0], [3, 5, 0, 0, 0, 0]])
        >>> answers(np.array([[3, 1, 0, 0, 0, 0]]), gallery).tolist()
        [[1, 2, -1]]
    """
    same = queries[:, None] == gallery
    easy = same[..., [SHAPE, COLOR, POSITION]].all(-1)
    hard = same[..., [SHAPE, COLOR]].all(-1)
    return np.select([easy, hard, same[..., SHAPE]], [EASY, HARD, JUNK]).astype(np.int32)


def copy_search(*, queries: int = 64, others: int = 448, side: int = 32) -> Search:
    """Makes strongly altered copies of scenes, whose originals are searched for among other scenes.

    A copy is cropped to at least half of the area, flipped or not, changed in brightness, contrast,
    saturation and hue, sometimes grey, and blurred. Many of the other scenes have the same shape and color.

    Args:
        queries: How many copies, Q.
        others: How many scenes beside their originals, so that G = queries + others.
        side: Pixels.
    Returns:
        A `Search`; the gallery starts with the originals.
    """
    images, _ = _drawn(np.arange(queries + others), side=side)
    altered = jax.jit(_alteration(side))(
        sample_keys(jax.random.key(0), jnp.arange(queries)), as_float(jnp.asarray(images[:queries]))
    )
    copies = np.asarray(jnp.round(jnp.clip(altered, 0, 1) * 255).astype(jnp.uint8))
    return Search(copies, images, np.eye(queries, queries + others, dtype=np.int32))


def _alteration(side: int):
    return chain(
        random_resized_crop(size=side, scale=(0.5, 0.9)),
        horizontal_flip(),
        color_jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05),
        with_probability(0.2, grayscale()),
        gaussian_blur(sigma=(0.3, 1.0), kernel=max(3, side // 8 | 1)),
    )


def _drawn(index: np.ndarray, *, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(images, attributes) of the test split's scenes."""

    @jax.jit
    def draw(index):
        drawn = render(index, side=side, split="test")
        return drawn["image"], drawn["attributes"]

    return jax.device_get(draw(jnp.asarray(index)))
