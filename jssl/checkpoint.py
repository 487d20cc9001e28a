"""Checkpoints of a run, written asynchronously and atomically; damaged ones are detected and skipped."""

import itertools
import json
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from jssl.arrays.fingerprints import fingerprint
from jssl.arrays.keys import as_key, as_numbers
from jssl.arrays.trees import names
from jssl.sharding import of_first_process

State = Any
ABOUT = "metadata"  # the file with a checkpoint's configuration and metrics, in its folder "about"


class Unusable(ValueError):
    """Raised if there are checkpoints, but none from which this run can continue."""


class Checkpoints:
    """Writes and reads the checkpoints of one run, in a directory of their own, one folder per step.

    A checkpoint holds a whole train state, the configuration it belongs to, and a checksum of every array, by
    which damage is detected.

    Args:
        directory: a path, or a bucket's address such as gs://bucket/run/checkpoints; the first save makes it
            if it is missing.
        config: the settings with which a state must have been trained to be restored, in JSON types. None:
            any settings, for reading only.
        keep: how many of the newest checkpoints are kept.
        best: the name of a metric; the checkpoint with its highest value is kept too. None: only the newest
            are kept.
    """

    def __init__(
        self, directory, *, config: Mapping[str, Any] | None = None, keep: int = 3, best: str | None = None
    ):
        import orbax.checkpoint as ocp

        handler = ocp.CompositeCheckpointHandler(arrays=_arrays(ocp), about=ocp.JsonCheckpointHandler(ABOUT))
        self._orbax, self._checkpointer = ocp, ocp.AsyncCheckpointer(handler)
        self._keep, self._best = keep, best
        self._saving: int | None = None
        self._scores: dict[int, float | None] = {}
        self.config = None if config is None else json.loads(json.dumps(config))
        self.directory = _absolute(directory)

    @property
    def steps(self) -> list[int]:
        """The steps that have a complete checkpoint, in order; one that is being written is not included."""
        if not self.directory.exists():
            return []
        whole = self._orbax.utils.is_checkpoint_finalized
        return sorted(
            int(path.name) for path in self.directory.iterdir() if path.name.isdigit() and whole(path)
        )

    def save(self, step: int, state: State, metrics: Mapping[str, float] | None = None) -> None:
        """Starts to save a state, and returns while it is being written.

        A save that fails does not end the run: a warning gives the reason and names the last good checkpoint.

        Args:
            step: the state's step; if it is saved already, it is not saved again.
            state: the train state.
            metrics: saved with the state; the metric named `best` ranks checkpoints.
        """
        self.wait()
        if step in self._listed():
            return
        args, tree = self._orbax.args, {"state": state, "fingerprint": fingerprint(state)}
        about = {"config": self.config or {}, "metrics": dict(metrics or {})}
        items = args.Composite(arrays=args.PyTreeSave(as_numbers(tree)), about=args.JsonSave(about))
        self._saving, self._scores[step] = step, self._score(about["metrics"])
        try:
            if jax.process_index() == 0:
                self.directory.mkdir(parents=True, exist_ok=True)
            self._checkpointer.save(self.directory / str(step), args=items)
        except Exception as error:  # Orbax and tensorstore raise their own kinds for a full disk
            self._failed(error)

    def wait(self) -> None:
        """Waits until all saves are on disk, and removes the checkpoints that are not kept."""
        try:
            self._checkpointer.wait_until_finished()
        except Exception as error:
            self._failed(error)
        if self._saving is not None and jax.process_index() == 0:
            self._prune()
        self._saving = None

    def close(self) -> None:
        """Waits as `wait` does, then ends the writing threads."""
        self.wait()
        self._checkpointer.close()

    def metrics(self, step: int) -> dict[str, float]:
        """Reads the metrics that were saved with a checkpoint; empty where they cannot be read.

        Args:
            step: one of `steps`.
        """
        return self._about(step).get("metrics", {})

    def restore(self, like: State | None = None) -> State | None:
        """Reads the newest undamaged state, to continue from it.

        A damaged checkpoint is moved aside, with a warning that names it and the one that is used instead. To
        read without continuing, as an evaluation does, use `read`.

        Args:
            like: a state of the expected structure; its arrays, or `jax.ShapeDtypeStruct`s, give the
                shardings. None reads any structure, as nested dicts and lists on this process's first device.
        Returns:
            A state, or None if there is no checkpoint.
        Raises:
            Unusable: if the checkpoint has another configuration or structure, with the first difference in
                the message; or if all checkpoints are damaged.
        """
        state, damaged = self._newest(like)
        for step in damaged:
            self._set_aside(step)
        return state

    def read(self, like: State | None = None) -> State | None:
        """Reads as `restore` does, without changing any files, since the run may be somebody else's, or still
        running.

        Args:
            like: as `restore`.
        Returns:
            As `restore`.
        """
        return self._newest(like)[0]

    def _listed(self) -> list[int]:
        """The `steps` that process 0 sees; a network disk may show them to other machines a minute later."""
        steps = self.steps
        listed = np.zeros(int(of_first_process(len(steps))), np.int32)
        listed[: len(steps)] = steps[: len(listed)]
        return of_first_process(listed).tolist() if len(listed) else []

    def _newest(self, like: State | None) -> tuple[State | None, list[int]]:
        """Reads the newest undamaged state, and lists the steps of damaged ones."""
        damaged: dict[int, Exception] = {}
        for step in reversed(self._listed()):
            try:
                state = self._read(step, like)
            except _Damaged as reason:
                damaged[step] = reason
                continue
            for bad, why in damaged.items():
                text = f"checkpoint {bad} in {self.directory} is damaged"
                warnings.warn(f"{text}; using checkpoint {step} instead ({why})", stacklevel=3)
            return state, list(damaged)
        if damaged:
            step, why = next(iter(damaged.items()))
            raise Unusable(
                f"all checkpoints in {self.directory} are damaged ({', '.join(map(str, damaged))}); "
                f"remove the directory to start over; {step}: {why}"
            )
        return None, []

    def forget_after(self, step: int) -> None:
        """Removes the checkpoints after a step."""
        if jax.process_index() == 0:
            for later in self.steps:
                if later > step:
                    (self.directory / str(later)).rmtree()

    def _read(self, step: int, like: State | None) -> State:
        where = f"checkpoint {step} in {self.directory}"
        args, folder = self._orbax.args, self.directory / str(step)
        about = self._about(step)
        if "config" not in about:
            raise _Damaged("its configuration cannot be read")
        if self.config is not None and (difference := first_difference(about["config"], self.config)):
            raise Unusable(f"{where} belongs to another configuration: {difference}")
        with _reading():
            found = self._checkpointer.metadata(folder).item_metadata["arrays"]["state"]
            as_found = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), found)
        named = like is None  # read as nested dicts, whose order differs from that of the saved state
        like = as_found if named else like
        raw = as_numbers(like)
        if difference := first_difference(_shapes(found), _shapes(raw)):
            raise Unusable(f"{where} holds another train state: {difference}")
        marks = jax.ShapeDtypeStruct((max(1, len(jax.tree.leaves(raw))),), jnp.uint32)
        wanted = _placed({"state": raw, "fingerprint": marks})
        with _reading():
            places = self._orbax.checkpoint_utils.construct_restore_args(wanted)
            items = args.Composite(arrays=args.PyTreeRestore(wanted, restore_args=places))
            tree = self._checkpointer.restore(folder, args=items).arrays
        both = [np.asarray(marks) for marks in (tree["fingerprint"], fingerprint(tree["state"]))]
        if not np.array_equal(*(map(np.sort, both) if named else both)):
            raise _Damaged("its arrays are not those that were written")
        return jax.tree.map(as_key, like, tree["state"])

    def _about(self, step: int) -> dict[str, Any]:
        # not by Orbax, whose `restore` waits for all processes: process 0 prunes alone
        try:
            return dict(json.loads((self.directory / str(step) / "about" / ABOUT).read_text()))
        except Exception:
            return {}

    def _score(self, metrics: Mapping[str, float]) -> float | None:
        return None if self._best is None else metrics.get(self._best)

    def _prune(self) -> None:
        if not (old := self.steps[: -self._keep]):
            return
        for step in self.steps:
            if step not in self._scores:  # saved by an earlier run
                self._scores[step] = self._score(self.metrics(step))
        scores = {step: score for step in self.steps if (score := self._scores[step]) is not None}
        best = max(scores, key=scores.__getitem__, default=None)
        for step in old:
            if step != best:
                (self.directory / str(step)).rmtree()

    def _set_aside(self, step: int) -> None:
        if jax.process_index() == 0:
            names = itertools.chain(
                [f"damaged_{step}"], (f"damaged_{step}_{again}" for again in itertools.count(2))
            )
            free = next(path for path in map(self.directory.__truediv__, names) if not path.exists())
            (self.directory / str(step)).rename(free)

    def _failed(self, error: Exception) -> None:
        step, self._saving = self._saving, None
        left = f"the last good one is {self.steps[-1]}" if self.steps else "there is none yet"
        reason = " ".join(str(error).split())[:300]
        warnings.warn(
            f"checkpoint {step} could not be saved in {self.directory}: {reason}; {left}", stacklevel=3
        )


def first_difference(there: Any, here: Any, path: str = "") -> str | None:
    """Describes the first difference between two nested dicts.

    Args:
        there: the dict that the answer calls "there", such as a checkpoint's configuration.
        here: the dict that the answer calls "here".
        path: a prefix for the names in the answer.
    Returns:
        The difference in words, or None if there is none.
    Examples:
        >>> first_difference({"method": {"temperature": 0.1}}, {"method": {"temperature": 0.2}})
        'method.temperature is 0.1 there, 0.2 here'
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in [*here, *(name for name in there if name not in here)]:
            inner = f"{path}.{name}" if path else str(name)
            if found := first_difference(there.get(name, "absent"), here.get(name, "absent"), inner):
                return found
        return None
    words = ["present" if isinstance(side, Mapping) else side for side in (there, here)]
    return None if there == here else f"{path} is {words[0]} there, {words[1]} here"


def _shapes(tree) -> dict[str, Any]:
    """Type and shape of every array of a tree, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {".".join(names(path)): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def _placed(tree):
    """The shapes of a tree, each with a sharding; arrays without one are replicated over the devices of the
    others.
    """
    places = [getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(tree)]
    meshes = [place.mesh for place in places if isinstance(place, NamedSharding)]
    device = SingleDeviceSharding(jax.local_devices()[0])
    other = NamedSharding(meshes[0], PartitionSpec()) if meshes else device

    def place(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or other)

    return jax.tree.map(place, tree)


def _arrays(orbax):
    """Returns Orbax's handler of arrays, set so that several devices share the writing of large arrays only,
    since each split is compiled.
    """
    types = orbax.type_handlers
    arrays = types.ArrayHandler(min_slice_bytes_for_replica_parallel=2**20)
    registry = types.create_type_handler_registry((jax.Array, arrays), (np.ndarray, types.NumpyHandler()))
    return orbax.PyTreeCheckpointHandler(type_handler_registry=registry)


class _Damaged(Exception):
    """A checkpoint is not as it was written."""


@contextmanager
def _reading():
    try:
        yield
    except Exception as error:  # Orbax, tensorstore and parsers raise many kinds for broken files
        raise _Damaged(" ".join(str(error).split())[:200] or type(error).__name__) from error


def _absolute(directory):
    from etils import epath

    path = epath.Path(directory)
    return path if "://" in str(directory) else path.resolve()
