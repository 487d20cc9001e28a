"""Arrays over many devices."""

import jax


def all_gather(x: jax.Array, axis_name: str) -> jax.Array:
    """The whole batch on every device, for losses inside `shard_map` or `jax.pmap`.

    Under `jit` with a sharded batch nothing is to be gathered: arrays are global there. Inside shard_map and pmap a
    loss sees one device's rows; gathered, it is the loss of the whole batch, the same on every device. Its gradient
    reaches the rows of all devices, summed over the devices that all compute it: average the loss or the gradients of
    the parameters over the devices (`jax.lax.pmean`), as data parallelism does, and they are those of one device.

    x: [B / devices, ...], this device's shard. axis_name: the mapped axis.

    Returns: [B, ...], the shards in the devices' order along the leading axis.

    Raises: NameError outside of a mapped axis of that name.

    >>> import jax.numpy as jnp
    >>> gathered = jax.vmap(lambda x: all_gather(x, "devices"), axis_name="devices")(jnp.arange(4.0).reshape(2, 2))
    >>> gathered.tolist()
    [[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]]
    """
    return jax.lax.all_gather(x, axis_name, tiled=True)
