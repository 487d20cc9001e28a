"""Checkpoints of a run: whole, asynchronous and atomic; one that is damaged is noticed and passed over."""

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

State = Any


class Unusable(ValueError):
    """There are checkpoints, and none that this run can go on from."""


class Checkpoints:
    """Writes and reads the checkpoints of one run, in a directory of their own, one folder per step.

    A checkpoint holds a whole train state, the configuration it belongs to, and a fingerprint of every array,
    which shows whether the array was damaged.

    Args:
        directory: made by the first save where it is missing; a path, or a bucket's address such as
            gs://bucket/run/checkpoints.
        config: the settings that a state must have been trained with to be resumed; JSON types. None: any,
            to read.
        keep: how many of the newest checkpoints stay.
        best: a metric; the checkpoint with its highest value stays too. None: the newest alone stay.
    """

    def __init__(
        self, directory, *, config: Mapping[str, Any] | None = None, keep: int = 3, best: str | None = None
    ):
        import orbax.checkpoint as ocp

        handler = ocp.CompositeCheckpointHandler(arrays=_arrays(ocp), about=ocp.JsonCheckpointHandler())
        self._orbax, self._checkpointer = ocp, ocp.AsyncCheckpointer(handler)
        self._keep, self._best = keep, best
        self._saving: int | None = None
        self._scores: dict[int, float | None] = {}
        self.config = None if config is None else json.loads(json.dumps(config))
        self.directory = _absolute(directory)

    @property
    def steps(self) -> list[int]:
        """The steps that have a whole checkpoint, in order; one that is being written is not among them."""
        if not self.directory.exists():
            return []
        whole = self._orbax.utils.is_checkpoint_finalized
        return sorted(
            int(path.name) for path in self.directory.iterdir() if path.name.isdigit() and whole(path)
        )

    def save(self, step: int, state: State, metrics: Mapping[str, float] | None = None) -> None:
        """Starts to save a state and returns while it is being written.

        A save that fails does not end the run: a warning says why and names the last good checkpoint.

        Args:
            step: the state's step; a step that is saved already is not saved again.
            state: the train state.
            metrics: kept with the state; the one that is called as `best` ranks it.
        """
        self.wait()
        if step in self.steps:
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
        """Waits until what was saved is on disk, and removes the checkpoints that are not kept."""
        try:
            self._checkpointer.wait_until_finished()
        except Exception as error:
            self._failed(error)
        if self._saving is not None and jax.process_index() == 0:
            self._prune()
        self._saving = None

    def close(self) -> None:
        """Waits, then ends the threads that write."""
        self.wait()
        self._checkpointer.close()

    def metrics(self, step: int) -> dict[str, float]:
        """Reads the metrics that were saved with a checkpoint; empty where they cannot be read.

        Args:
            step: one of `steps`.
        """
        return self._about(step).get("metrics", {})

    def restore(self, like: State | None = None) -> State | None:
        """Reads the newest state that is not damaged, to go on from it.

        A damaged checkpoint is set aside, with a warning that names it and the one that is used instead.
        Others, such as an evaluation, `read`.

        Args:
            like: a state of the wanted structure; its arrays, or `jax.ShapeDtypeStruct`s, say where to put
                what is read. None reads whatever is there, as nested dicts and lists on this process's first
                device.
        Returns:
            A state, or None where there is no checkpoint.
        Raises:
            Unusable: where the checkpoint has another configuration or structure, naming the first
                difference; or where all checkpoints are damaged.
        """
        state, damaged = self._newest(like)
        for step in damaged:
            self._set_aside(step)
        return state

    def read(self, like: State | None = None) -> State | None:
        """Reads as `restore`, and leaves everything where it is: the run may be somebody else's, or going on.

        Args:
            like: as `restore`.
        Returns:
            As `restore`.
        """
        return self._newest(like)[0]

    def _newest(self, like: State | None) -> tuple[State | None, list[int]]:
        """The newest state that is not damaged, and the steps of those that are."""
        damaged: dict[int, Exception] = {}
        for step in reversed(self.steps):
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
        named = like is None  # as nested dicts, whose order is not that of what was saved
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
        args = self._orbax.args.Composite(about=self._orbax.args.JsonRestore())
        try:
            return dict(self._checkpointer.restore(self.directory / str(step), args=args).about)
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
    """Says where two nested dicts first differ.

    Args:
        there: the one that is named "there" in the answer, such as a checkpoint's configuration.
        here: the one that is named "here".
        path: what both are part of, written before the names.
    Returns:
        The difference in words, or None where there is none.
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
    """The shapes of a tree, each with a place; what has none goes where the others are, whole."""
    places = [getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(tree)]
    meshes = [place.mesh for place in places if isinstance(place, NamedSharding)]
    device = SingleDeviceSharding(jax.local_devices()[0])
    other = NamedSharding(meshes[0], PartitionSpec()) if meshes else device

    def place(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or other)

    return jax.tree.map(place, tree)


def _arrays(orbax):
    """Orbax's handler of arrays, set to cut up only large ones for several devices to write: each cut is
    compiled.
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
    except Exception as error:  # whatever Orbax, tensorstore or a parser make of broken files
        raise _Damaged(" ".join(str(error).split())[:200] or type(error).__name__) from error


def _absolute(directory):
    from etils import epath

    path = epath.Path(directory)
    return path if "://" in str(directory) else path.resolve()
