"""Small data: it is kept on the device as uint8, and the batch of a step is a function of seed and step."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jssl.data.reading.order import shuffled
from jssl.data.source import Source


def steps_per_epoch(n: int, batch: int) -> int:
    """Counts the whole batches that n samples give; the last, partial one is dropped.

    Raises:
        ValueError: where there is not even one.
    Examples:
        >>> steps_per_epoch(1000, 128)
        7
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if batch > n:
        raise ValueError(
            f"batch of {batch} is larger than the data, which has {n} samples; use --batch {n} or less"
        )
    return n // batch


def resident(source: Source, *, sharding: Any = None) -> dict[str, jax.Array]:
    """Puts a source's arrays on the devices.

    Args:
        source: images in memory.
        sharding: where to put them, such as replicated over a mesh of several processes; by default the
            default device.
    Returns:
        {"image": uint8 [N, H, W, C], "label": int32 [N], and its extras}.
    """

    def put(values):
        if sharding is None:
            return jax.device_put(values)
        return jax.make_array_from_callback(np.shape(values), sharding, lambda part: np.asarray(values)[part])

    return {name: put(values) for name, values in source.arrays.items()}


def epoch_permutation(seed: int | jax.Array, epoch: int | jax.Array, n: int) -> jax.Array:
    """Orders the samples of an epoch, as a function of seed and epoch.

    Returns:
        [n] int32.
    """
    return shuffled(seed, epoch, jnp.arange(n), n=n)


def batch_indices(seed: int | jax.Array, step: int | jax.Array, *, n: int, batch: int) -> jax.Array:
    """Chooses the samples of one step, as a function of seed and step: nothing has to be stored to resume.

    Batches are consecutive pieces of `epoch_permutation`, found without computing the rest of it.

    Returns:
        [batch] int32.
    Raises:
        ValueError: where the batch is larger than the data.
    """
    steps = steps_per_epoch(n, batch)
    positions = (step % steps) * batch + jnp.arange(batch)
    return shuffled(seed, step // steps, positions, n=n)


def take(data: Mapping[str, jax.Array | np.ndarray], indices: jax.Array | np.ndarray) -> dict[str, Any]:
    """Gathers the batch of these samples.

    Args:
        data: from `resident`.
        indices: [B].
    Returns:
        {"image": [B, H, W, C], "label": [B], "index": int32 [B], ...}.
    """
    return {name: values[indices] for name, values in data.items()} | {"index": indices.astype(jnp.int32)}
