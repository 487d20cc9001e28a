"""Arrays on many devices, and runs of many processes."""

import os
import zlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

COUNTS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")  # environment variables with the number of processes
# where Google's machines ask for the hosts of their TPU slice; ssh tells none of them in its environment
HOSTS = "http://metadata.google.internal/computeMetadata/v1/instance/attributes/worker-network-endpoints"


def all_gather(x: jax.Array, axis_name: str) -> jax.Array:
    """Gathers the rows of all devices, for a loss inside `shard_map` or `jax.pmap`.

    Under `jit` with a sharded batch it is not needed, since arrays are global there. Inside `shard_map` and
    `pmap` a loss gets the rows of one device; on gathered rows it is the loss of the whole batch, the same on
    every device. Its gradient by a device's rows is the sum over all devices, each of which computes the
    loss. So average the loss or the gradients of the parameters over the devices (`jax.lax.pmean`), as data
    parallelism does, to get the gradients of one device.

    Args:
        x: [B / devices, ...], the rows of this device.
        axis_name: the name of the mapped axis.
    Returns:
        [B, ...], the rows in the order of the devices.
    Raises:
        NameError: outside of a mapped axis of that name.
    Examples:
        >>> import jax.numpy as jnp
        >>> rows = jnp.arange(4.0).reshape(2, 2)
        >>> jax.vmap(lambda x: all_gather(x, "devices"), axis_name="devices")(rows).tolist()
        [[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]]
    """
    return jax.lax.all_gather(x, axis_name, tiled=True)


def make_mesh(spec: str | None = None, *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Arranges devices as a grid with the axes `data` and `fsdp`: the batch is sharded over both, parameters
    over `fsdp`.

    Args:
        spec: such as "data=8" or "data=4,fsdp=2"; None puts all devices on `data`.
        devices: the devices to use; a smaller grid uses the first of them. By default all devices of jax.
    Returns:
        A mesh with the axes ("data", "fsdp").
    Raises:
        ValueError: where `spec` has another form or asks for more devices than there are; where there are
            several processes that are not joined, or that would have no devices.
    Examples:
        >>> make_mesh("data=1").shape["fsdp"]
        1
    """
    whole = devices is None
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
    if whole and jax.process_count() > 1:
        _check_processes(grid.size, len(devices))
    return Mesh(grid, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def _check_processes(size: int, devices: int) -> None:
    count = jax.process_count()
    if not jax.distributed.is_initialized():
        raise ValueError(
            f"this is one of {count} processes that jax has found and that nobody has joined; give "
            "--coordinator, --processes and --process, or call jssl.sharding.join_processes() first"
        )
    if size < devices:
        raise ValueError(
            f"--mesh has {size} of the {devices} devices of {count} processes; it must have them all"
        )


def check_devices() -> None:
    """Checks that jax finds a device of the kind that JAX_PLATFORMS names.

    Raises:
        ValueError: if there is none, with the value of JAX_PLATFORMS.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # which one depends on jax's version and the platform
        config: Any = jax.config  # its options are added at run time
        asked, said = config.jax_platforms, " ".join(str(error).split())[:200]
        raise ValueError(
            f"JAX_PLATFORMS={asked}: jax finds no such device here{f' ({said})' if said else ''}; unset "
            "JAX_PLATFORMS to take what there is, or install jax for it, such as jax[cuda13]"
        ) from None


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding that puts the whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def check_alike(given: str) -> None:
    """Checks that all processes of a run were given the same; every process has to call it.

    Args:
        given: what this process was given, as text.
    Raises:
        ValueError: in all of them, with the numbers of those that were given something else than process 0.
    """
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    marks = multihost_utils.process_allgather(np.uint32(zlib.crc32(given.encode()))).reshape(-1)
    if others := np.flatnonzero(marks != marks[0]).tolist():
        raise ValueError(
            f"processes {', '.join(map(str, others))} were given other settings or other data than process "
            "0; start the same command on all machines, with data that is the same on all"
        )


def over_batch(mesh: Mesh) -> NamedSharding:
    """Returns the sharding that spreads the rows of an array over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def rows_over(mesh: Mesh, array: np.ndarray, *, axis: int = 0, pad: bool = True) -> jax.Array:
    """Puts an array on the devices, with its rows spread over all of them.

    Args:
        mesh: as `make_mesh` makes it.
        array: the whole array, the same in every process.
        axis: the axis of the rows.
        pad: whether to add rows of zeros until all devices have the same number; otherwise, an array whose
            rows cannot be divided equally is put whole on every device.
    Returns:
        A global array, including the padding.
    Examples:
        >>> rows_over(make_mesh("data=1"), np.ones((3, 2))).shape
        (3, 2)
    """
    short = -array.shape[axis] % mesh.size
    if short and pad:
        array = np.pad(array, [(0, short if at == axis else 0) for at in range(array.ndim)])
    elif short:
        return jax.device_put(array, replicated(mesh))
    spec = PartitionSpec(*(None,) * axis, *over_batch(mesh).spec)
    return jax.device_put(array, NamedSharding(mesh, spec))


def state_sharding(mesh: Mesh, state, *, smallest: int = 2**14):
    """Computes the sharding of a train state: large arrays are spread over `fsdp`, all others are on every
    device.

    An array is spread along its longest axis that the number of `fsdp` devices divides. The rule depends only
    on the shape of an array, so that parameters, teacher and moments are sharded alike.

    Args:
        mesh: as `make_mesh` makes it.
        state: arrays or `jax.ShapeDtypeStruct`s.
        smallest: the least number of entries of an array that is spread.
    Returns:
        A `NamedSharding` for every array, in a pytree of the same structure.
    """
    parts = mesh.shape["fsdp"]

    def place(x):
        axes = [axis for axis, size in enumerate(x.shape) if size % parts == 0]
        if parts == 1 or x.size < smallest or not axes:
            return replicated(mesh)
        longest = max(axes, key=lambda axis: x.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*(None,) * longest, "fsdp"))

    return jax.tree.map(place, state)


def placed(shapes, places):
    """Adds shardings to the shapes of arrays, so that programs can be traced and compiled before the arrays
    exist.

    Args:
        shapes: A tree of arrays or `jax.ShapeDtypeStruct`s.
        places: One sharding for all, or a tree of them.
    Returns:
        The tree as `jax.ShapeDtypeStruct`s with shardings.
    """
    if isinstance(places, jax.sharding.Sharding):
        places = jax.tree.map(lambda _: places, shapes)
    return jax.tree.map(lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), shapes, places)


def on_one_device(tree):
    """Copies whole arrays to this process's first device, for code that does not support meshes.

    Every process of a run has to call it. Arrays that are on one device already are returned as they are.

    Args:
        tree: arrays.
    Returns:
        A pytree of the same structure.
    """
    leaves = jax.tree.leaves(tree)
    if not leaves or len(leaves[0].sharding.device_set) == 1:
        return tree
    whole = jax.jit(lambda tree: tree, out_shardings=replicated(leaves[0].sharding.mesh))(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), whole)


def of_first_process(numbers: Any) -> np.ndarray:
    """Returns the numbers of process 0, in every process of a run.

    What a process reads from a directory or has rounded on its own devices may differ from what others have.
    A decision about what to do next is taken by these numbers, or some processes would wait for the others.
    Every process has to call it.

    Args:
        numbers: a number, or an array of the same shape in every process.
    Returns:
        An array of that shape.
    Examples:
        >>> int(of_first_process(3))
        3
    """
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(numbers)


def join_processes(
    coordinator: str | None = None, *, processes: int | None = None, process: int | None = None
) -> None:
    """Connects the processes of a pod, or of several machines, for one run. Call it before any other use of
    jax.

    Args:
        coordinator: host:port of process 0. Without it, the environment of TPU pods, Slurm and Open MPI says
            which processes belong together, or on Google's TPU machines their metadata server; without such
            an environment, this process runs alone.
        processes: the number of processes; to be given with `coordinator`.
        process: the number of this one; to be given with `coordinator`.
    Raises:
        ValueError: if only some of the three are given.
    """
    if coordinator is not None or processes is not None or process is not None:
        if coordinator is None or processes is None or process is None:
            raise ValueError("--coordinator, --processes and --process belong together; give all three")
        host, colon, port = coordinator.rpartition(":")
        if not (host and colon and port.isdigit() and 0 < int(port) < 2**16):
            raise ValueError(f"--coordinator must be host:port of process 0, got {coordinator!r}")
        if not 0 <= process < processes:
            raise ValueError(
                f"--process must be from 0 to {processes - 1}, one less than --processes, got {process}"
            )
        jax.distributed.initialize(coordinator, num_processes=processes, process_id=process)
    elif _of_many(os.environ):
        try:
            jax.distributed.initialize()
        except (ValueError, RuntimeError, KeyError, IndexError) as error:
            found = ", ".join(name for name in COUNTS if os.environ.get(name, "1") != "1")
            raise ValueError(
                f"{found or 'the environment'} says that several processes belong together, and not which "
                f"({error}); start them by srun or mpirun, give --coordinator, --processes and --process, or "
                f"unset {found or 'it'} to run alone"
            ) from None


def _of_many(environment) -> bool:
    """Tells whether, by the environment, several processes were started together."""
    if any(environment.get(name, "1").isdigit() and int(environment.get(name, "1")) > 1 for name in COUNTS):
        return True
    if "," in environment.get("TPU_WORKER_HOSTNAMES", "") or "MEGASCALE_COORDINATOR_ADDRESS" in environment:
        return True
    # jax itself sets this variable where it finds no TPU
    return "TPU_SKIP_MDS_QUERY" not in environment and find_spec("libtpu") is not None and "," in _tpu_hosts()


def _tpu_hosts() -> str:
    """The hosts of this machine's TPU slice, separated by commas; "" where nobody can tell."""
    from urllib import request

    asked = request.Request(HOSTS, headers={"Metadata-Flavor": "Google"})
    try:
        with request.urlopen(asked, timeout=10) as answer:
            return str(answer.read(), "utf-8")
    except OSError:
        return ""
