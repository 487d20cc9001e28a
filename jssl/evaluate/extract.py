"""Features of a whole dataset, batch by batch, with one compilation."""

import functools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jssl.data.augment.base import as_float
from jssl.sharding import over_batch, replicated

BRIGHTEST = 32.0  # above what any normalised image holds, below what floats in 0..255 hold


def extract_features(
    features_fn: Callable[[jax.Array], Any],
    images: jax.Array | np.ndarray,
    *,
    batch: int | None = None,
    view: Callable[[jax.Array], jax.Array] | None = None,
) -> Any:
    """Computes features_fn(view(images)) for all images, in batches of one shape.

    A function of parameters is best given as `jax.tree_util.Partial(features, params)`: the parameters are
    then arguments of the compiled function, and evaluating again during training compiles nothing. Where they
    lie on several devices, each batch is spread over the same devices.

    Args:
        features_fn: images float [batch, H, W, C] -> an array [batch, ...] or a pytree of such, `Features`
            for instance.
        images: [N, H, W, C] uint8 or float, on the host or on the device.
        batch: Images at a time; None: 64 on a CPU, whose caches hold the activations of no more, and 256
            elsewhere. The last batch is padded, and the padding is cut off.
        view: images as stored [batch, H, W, C] -> what features_fn takes; None: floats in [0, 1].
    Returns:
        What features_fn returns, with N in place of batch, on this process's first device.
    Raises:
        ValueError: where images is not [N, H, W, C] with N >= 1, holds floats up to 255, or batch is below 1.
        TypeError: for images that are neither uint8 nor floats.
    Examples:
        >>> extract_features(lambda x: x.mean((1, 2)), np.full((5, 4, 4, 3), 255, np.uint8), batch=2).shape
        (5, 3)
    """
    _check_images(images)
    if batch is None:
        batch = 64 if jax.default_backend() == "cpu" else 256
    if batch < 1:
        raise ValueError(f"extract_features: batch must be at least 1, got {batch}")
    features_fn, view = _argument(features_fn), _argument(view or as_float)
    mesh = _mesh((features_fn, view))
    devices = 1 if mesh is None else mesh.size
    batch = -(-min(batch, len(images)) // devices) * devices
    parts: list[Any] = []
    under_way: deque[Any] = deque()
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        if len(some) < batch:
            some = np.pad(np.asarray(some), [(0, batch - len(some))] + [(0, 0)] * 3)
        under_way.append(_features_on(mesh)(features_fn, view, _placed(some, mesh)))
        if len(under_way) > _ahead():
            parts.append(_on_host(under_way.popleft()))
    parts += map(_on_host, under_way)
    return jax.tree.map(lambda *arrays: jnp.asarray(np.concatenate(arrays)[: len(images)]), *parts)


def _ahead() -> int:
    """Returns how many batches may be under way while another is read. CPU devices share threads, so that
    many programs that exchange data wait for each other for ever there.
    """
    return 0 if jax.default_backend() == "cpu" else 1


def _on_host(part):
    return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), part)


def _check_images(images):
    if np.ndim(images) != 4 or len(images) == 0:
        raise ValueError(
            f"extract_features: images must be [N, H, W, C] with N >= 1, got shape {np.shape(images)}"
        )
    if images.dtype == np.uint8:
        return
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(
            f"extract_features: images must be uint8, or float in [0, 1], got {images.dtype}; "
            "divide by the largest value of their type"
        )
    if (brightest := float(images.max())) > BRIGHTEST:
        raise ValueError(
            f"extract_features: images must be uint8, or float in [0, 1], got floats up to {brightest:g}; "
            "divide by 255"
        )


def _argument(function: Callable) -> jax.tree_util.Partial:
    return function if isinstance(function, jax.tree_util.Partial) else jax.tree_util.Partial(function)


def _mesh(tree) -> Mesh | None:
    """The mesh of the first array that lies on several devices."""
    shardings: Iterator[Any] = (getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(tree))
    return next((s.mesh for s in shardings if hasattr(s, "mesh") and len(s.device_set) > 1), None)


def _placed(images, mesh: Mesh | None):
    if mesh is None:
        return images
    images = np.asarray(images)  # every process has all of them, and puts its part on its devices
    return jax.make_array_from_callback(images.shape, over_batch(mesh), images.__getitem__)


@functools.cache
def _features_on(mesh: Mesh | None):
    def features(features_fn, view, images):
        return features_fn(view(images))

    return jax.jit(features) if mesh is None else jax.jit(features, out_shardings=replicated(mesh))
