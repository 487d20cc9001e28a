"""Small data: it lives on the device as uint8, and the batch of a step is a function of the seed and the step."""

from typing import Any

import jax
import jax.numpy as jnp

from jssl.data.reading.order import shuffled
from jssl.data.source import Source


def steps_per_epoch(n: int, batch: int) -> int:
    """How many whole batches n samples give; the last, partial one is dropped.

    Raises: ValueError where there is not even one.

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
    """The source's arrays on the device: {"image": uint8 [N, H, W, C], "label": int32 [N], and its extras}.

    sharding: where to put them; by default the default device. Replicate them over a mesh.

    Returns: a dict of arrays.
    """
    return {name: jax.device_put(values, sharding) for name, values in source.arrays.items()}


def epoch_permutation(seed: int | jax.Array, epoch: int | jax.Array, n: int) -> jax.Array:
    """The order of the samples in an epoch, a function of seed and epoch.

    Returns: [n] int32.
    """
    return shuffled(seed, epoch, jnp.arange(n), n=n)


def batch_indices(seed: int | jax.Array, step: int | jax.Array, *, n: int, batch: int) -> jax.Array:
    """The samples of one step, a function of seed and step: nothing has to be stored to resume.

    Batches are consecutive pieces of `epoch_permutation`, found without computing the rest of it.

    Returns: [batch] int32.

    Raises: ValueError where the batch is larger than the data.
    """
    steps = steps_per_epoch(n, batch)
    positions = (step % steps) * batch + jnp.arange(batch)
    return shuffled(seed, step // steps, positions, n=n)


def take(data: dict[str, jax.Array], indices: jax.Array) -> dict[str, jax.Array]:
    """The batch of these samples.

    data: from `resident`; indices: [B].

    Returns: {"image": [B, H, W, C], "label": [B], "index": int32 [B], ...}.
    """
    return {name: values[indices] for name, values in data.items()} | {"index": indices.astype(jnp.int32)}
