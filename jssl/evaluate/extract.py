"""Features of a whole dataset, batch by batch, with one compilation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def extract_features(
    features_fn: Callable[[jax.Array], Any],
    images: jax.Array | np.ndarray,
    *,
    batch: int = 256,
    view: Callable[[jax.Array], jax.Array] | None = None,
) -> Any:
    """features_fn(view(images)) over all images, in batches of one shape; what pads the last batch is cut off.

    A function of parameters is best given as `jax.tree_util.Partial(features, params)`: the parameters are then
    arguments of the compiled function, and evaluating again during training compiles nothing.

    features_fn: images float [batch, H, W, C] -> an array [batch, ...] or a pytree of such, `Features` for instance.
    images:      [N, H, W, C] uint8 or float, on the host or on the device.
    batch:       images at a time.
    view:        images as stored [batch, H, W, C] -> what features_fn takes; None: floats in [0, 1].

    Returns: what features_fn returns, with N in place of batch, on the device.
    Raises:  ValueError if images is not [N, H, W, C] with N >= 1, or if batch is below 1.

    >>> extract_features(lambda x: x.mean((1, 2)), np.full((5, 4, 4, 3), 255, np.uint8), batch=2).shape
    (5, 3)
    """
    if np.ndim(images) != 4 or len(images) == 0:
        raise ValueError(
            f"extract_features: images must be [N, H, W, C] with N >= 1, got shape {np.shape(images)}"
        )
    if batch < 1:
        raise ValueError(f"extract_features: batch must be at least 1, got {batch}")
    count, batch = len(images), min(batch, len(images))
    features_fn, view = _argument(features_fn), _argument(view or to_float)
    parts = []
    for start in range(0, count, batch):
        some = images[start : start + batch]
        padding = [(0, batch - len(some))] + [(0, 0)] * 3
        parts.append(
            _features(features_fn, view, some if len(some) == batch else np.pad(np.asarray(some), padding))
        )
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays)[:count], *parts)


def to_float(images: jax.Array) -> jax.Array:
    """uint8 images as floats in [0, 1]; floats as they are.

    Returns: float32 images of the same shape.

    >>> float(to_float(jnp.array(255, jnp.uint8)))
    1.0
    """
    images = jnp.asarray(images)
    return images / jnp.float32(255) if images.dtype == jnp.uint8 else images.astype(jnp.float32)


def _argument(function: Callable) -> jax.tree_util.Partial:
    return function if isinstance(function, jax.tree_util.Partial) else jax.tree_util.Partial(function)


@jax.jit
def _features(features_fn, view, images):
    return features_fn(view(images))
