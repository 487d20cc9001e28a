"""Arrays over many devices."""

import os
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


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


def make_mesh(spec: str | None = None, *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The devices as a grid of `data` by `fsdp`: the batch is spread over both, parameters over fsdp.

    spec: "data=8", "data=4,fsdp=2"; None: all devices on data. devices: by default all there are.

    Returns: a `jax.sharding.Mesh` with the axes ("data", "fsdp").

    Raises: ValueError for another form, or a product that is not the number of devices.

    >>> make_mesh("data=1").shape["fsdp"]
    1
    """
    devices = jax.devices() if devices is None else devices
    sizes = {"data": 1, "fsdp": 1} if spec else {"data": len(devices), "fsdp": 1}
    for part in (spec or "").split(",") if spec else ():
        axis, _, size = part.strip().partition("=")
        if axis not in sizes or not size.isdigit() or int(size) < 1:
            raise ValueError(f"--mesh {spec}: expected such as data=8 or data=4,fsdp=2, found {part!r}")
        sizes[axis] = int(size)
    if sizes["data"] * sizes["fsdp"] > len(devices):
        raise ValueError(
            f"--mesh {spec} needs {sizes['data'] * sizes['fsdp']} devices, there are {len(devices)}"
        )
    grid = np.asarray(devices[: sizes["data"] * sizes["fsdp"]]).reshape(sizes["data"], sizes["fsdp"])
    return Mesh(grid, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_batch(mesh: Mesh) -> NamedSharding:
    """Rows spread over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def state_sharding(mesh: Mesh, state, *, smallest: int = 2**14):
    """Where the arrays of a train state lie: large ones spread over fsdp along their longest axis, the rest everywhere.

    The rule looks at an array's shape alone, so that parameters, their teacher and their moments lie together.

    state: arrays or `jax.ShapeDtypeStruct`s. smallest: entries from which on an array is spread.

    Returns: `NamedSharding`s, in a pytree of the same structure.
    """
    parts = mesh.shape["fsdp"]

    def place(x):
        axes = [axis for axis, size in enumerate(x.shape) if size % parts == 0]
        if parts == 1 or x.size < smallest or not axes:
            return replicated(mesh)
        longest = max(axes, key=lambda axis: x.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*(None,) * longest, "fsdp"))

    return jax.tree.map(place, state)


def on_one_device(tree):
    """The whole arrays on this process's first device, where code that knows nothing of meshes can use them.

    Every process of a run has to ask. What lies on one device already is returned as it is.

    tree: arrays. Returns: a pytree of the same structure.
    """
    leaves = jax.tree.leaves(tree)
    if not leaves or len(leaves[0].sharding.device_set) == 1:
        return tree
    whole = jax.jit(lambda tree: tree, out_shardings=replicated(leaves[0].sharding.mesh))(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), whole)


def join_processes(
    coordinator: str | None = None, *, processes: int | None = None, process: int | None = None
) -> None:
    """Makes the processes of a pod, or of several machines, one run: before any other use of jax.

    coordinator: host:port of process 0. Without it the environment is asked: TPU pods, Slurm and Open MPI tell.
    processes, process: how many there are, and which one this is; to be given with the coordinator.

    Raises: ValueError where only some of the three are given.
    """
    given = [value is not None for value in (coordinator, processes, process)]
    if any(given):
        if not all(given):
            raise ValueError("--coordinator, --processes and --process belong together; give all three")
        jax.distributed.initialize(coordinator, num_processes=processes, process_id=process)
    elif _of_many(os.environ):
        jax.distributed.initialize()


def _of_many(environment) -> bool:
    """Whether the environment is one in which several processes were started together."""
    counts = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
    if any(environment.get(name, "1").isdigit() and int(environment.get(name, "1")) > 1 for name in counts):
        return True
    return (
        "," in environment.get("TPU_WORKER_HOSTNAMES", "") or "MEGASCALE_COORDINATOR_ADDRESS" in environment
    )
