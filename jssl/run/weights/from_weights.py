"""Starts a run from weights in place of random numbers: the encoder of a published file or of another run."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from jssl import weights
from jssl.arrays.stacks import in_form_of
from jssl.arrays.trees import by_path
from jssl.methods.base import Method
from jssl.models.described import describe, restored
from jssl.run.weights.export import evaluated
from jssl.train import TrainState
from jssl.weights.directory import take
from jssl.weights.engine import few
from jssl.weights.loaded import Loaded
from jssl.weights.own import about, network_of

HEADS = "heads"


class Start(NamedTuple):
    """The arrays that a run begins with.

    Attributes:
        tree: What `init_state` lays over the state: {"params": ..., "memory": ...}.
        sentence: What was taken, resized, left over and made anew.
        evaluated: Whether the network that is evaluated begins with them.
    """

    tree: Mapping[str, Any]
    sentence: str
    evaluated: bool = True

    @property
    def read(self) -> bool:
        """Whether the weights were read; otherwise shapes stand in for the arrays."""
        return not any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(self.tree))


def opened(source: str | Loaded, told: Mapping[str, Any] | None, *, flag: str) -> Loaded:
    """Opens weights. For a run that has begun, config.json describes their network, and nothing is read.

    Args:
        source: As `Training.start`.
        told: The network's description in the run's own config.json; None before the run has begun.
        flag: The setting that names them, for the error.
    Returns:
        A `Loaded`; where nothing was read, its variables are None and those of its heads are shapes.
    Raises:
        ValueError: as `jssl.weights.load`.
    """
    if isinstance(source, Loaded):
        return source
    if told is not None:
        encoder, preprocess = network_of(told)
        heads = {
            name: (restored(head["module"]), _as_shapes(head["shapes"]))
            for name, head in told.get(HEADS, {}).items()
        }
        return Loaded(encoder, None, heads, preprocess)
    try:
        return weights.load(source)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"--{flag} {source}: {error}") from None


def in_words(loaded: Loaded) -> dict[str, Any] | None:
    """Describes a network and its heads for config.json, as `opened` reads it; None where one has no name.

    Args:
        loaded: Weights, or what stands in for them.
    """
    try:
        heads = {
            name: {"module": describe(module), "shapes": jax.tree.map(lambda x: list(np.shape(x)), variables)}
            for name, (module, variables) in loaded.heads.items()
        }
        return about(loaded.encoder, loaded.preprocess) | {HEADS: heads}
    except ValueError:
        return None


def _as_shapes(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _as_shapes(below) for name, below in tree.items()}
    return jax.ShapeDtypeStruct(tuple(tree), np.float32)


def beside(start: Start | None, given: Mapping[str, Any] | None) -> Start | None:
    """Adds an experiment's own weights, such as a frozen target's, to those that a run starts from, on the
    host: those of another run were read to one device, and the state lies on all.

    Args:
        start: Of --start; None without one.
        given: As `Experiment.given`.
    Returns:
        A `Start` of both; None where there is neither.
    """
    if given is None:
        return start
    given, told = jax.device_get(given), "a frozen network begins with weights of its own"
    if start is None:
        return Start(given, told, evaluated=False)
    leaves = by_path(given) | by_path(start.tree)
    return Start(unflatten_dict(leaves), f"{start.sentence}; {told}")


def fitted(loaded: Loaded, method: Method, shapes: tuple[Any, Any], *, side: int, name: str) -> Start:
    """Finds the place of an encoder, its batch statistics and its heads in the state of a method.

    Stored positions are resized to the run's images. A teacher needs none: it starts as the student's copy.

    Args:
        loaded: The weights; without variables, the shapes of the method's own stand in for them.
        method: What is trained.
        shapes: Of params and memory, as `Method.init` makes them.
        side: Of the run's images, in pixels.
        name: Of the weights, for messages.
    Returns:
        A `Start`.
    Raises:
        ValueError: for an array of another shape, naming it.
    """
    params, memory = shapes
    teacher = None if method.teacher is None else jax.eval_shape(method.teacher.init, params)
    state = {"params": params, "memory": memory}
    unread: Any = None
    found = evaluated(method, TrainState(unread, params, teacher, memory, None, unread))["params"]
    place = _own_place(state, found)
    target = take(state, place)
    if loaded.variables is None:
        return Start(unflatten_dict({place: target, **_statistics(memory, {}, place)}, sep="."), "")
    variables = weights.resize(loaded.variables, size=side, encoder=loaded.encoder)
    given, wanted = by_path(in_form_of(dict(variables["params"]), target)), by_path(target)
    taken = {path: leaf for path, leaf in given.items() if path in wanted}
    for path, leaf in taken.items():
        if leaf.shape != wanted[path].shape:
            raise ValueError(
                f"--start {name} does not fit: encoder/{'/'.join(path)} has shape {leaf.shape} there, "
                f"{wanted[path].shape} here; choose data and settings of its kind"
            )
    heads = dict(_heads(loaded, params, place))
    tree = {place: unflatten_dict(taken)}
    tree |= _statistics(memory, dict(variables.get("batch_stats", {})), place) | heads
    for at in heads:
        tree |= _statistics_of_head(memory, loaded.heads, at.removeprefix("params."))
    own = {f"encoder/{'/'.join(path)}" for path in wanted if path not in given}
    own |= {
        part
        for part in params
        if part != "encoder" and not any(at.startswith(f"params.{part}") for at in heads)
    }
    left = [f"encoder/{'/'.join(path)}" for path in given if path not in wanted]
    told = [
        f"starts from {name}, in place of --encoder: {len(taken)} arrays of its encoder ({loaded.family})"
    ]
    told += [
        f"{word} resized from {old} to {new}" for word, old, new in _resized(loaded.variables, variables)
    ]
    told += [f"head {at.removeprefix('params.')} taken" for at in heads]
    told += [f"new here: {few(sorted(own))}"] if own else []
    told += [f"left over: {few(left)}"] if left else []
    return Start(jax.device_get(unflatten_dict(tree, sep=".")), "; ".join(told))


def _own_place(state: Mapping[str, Any], found: str) -> str:
    """The student's path of the evaluated encoder: the teacher's, without what only the teacher has."""
    root, *path = found.split(".")
    if root != "teacher":
        return found
    while path:
        at = ".".join(("params", *path))
        try:
            take(state, at)
            return at
        except KeyError:
            path = path[1:]
    return "params"


def _statistics(memory: Any, given: Any, place: str) -> dict[str, Any]:
    """The encoder's batch statistics at every place of the memory: the student's and the teacher's."""
    if place.startswith("memory") and not given:
        return {}
    wanted = _shapes(given)
    return {
        at: given
        for at, node in _nodes(memory, "memory")
        if given and at.endswith(".batch_stats") and _shapes(node) == wanted
        if place.startswith("memory") or ".frozen." not in at
    }


def _statistics_of_head(memory: Any, given: Any, head: str) -> dict[str, Any]:
    """A head's batch statistics at every place of the memory; of a cut head, those of its first layers."""
    held = by_path(dict(given.get(head, (None, {}))[1].get("batch_stats", {})))
    return {
        f"{at}.{'.'.join(path)}": held[path]
        for at, node in _nodes(memory, "memory")
        if at.endswith(f".{head}.batch_stats")
        for path, leaf in by_path(node).items()
        if path in held and np.shape(held[path]) == leaf.shape
    }


def _heads(loaded: Loaded, params: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Heads of the weights that fit a head of the method: of the same name, or the only one of this form.

    A head of the same name may have been cut: its first layers are taken.
    """
    nodes = {
        at: node for at, node in _nodes(params, "params") if at != place and not at.startswith(f"{place}.")
    }
    for name, (_, variables) in loaded.heads.items():
        given = dict(variables["params"]) if "params" in variables else {}
        fits = {}
        for at, node in nodes.items():
            formed, wanted = by_path(in_form_of(given, node)), by_path(node)
            if wanted and all(
                path in formed and formed[path].shape == leaf.shape for path, leaf in wanted.items()
            ):
                # a fixed scale may be missing, or all after a cut
                if len(wanted) >= len(formed) - 1 or at.rpartition(".")[2] == name:
                    fits[at] = unflatten_dict({path: formed[path] for path in wanted})
        same = [at for at in fits if at.rpartition(".")[2] == name]
        chosen = same[0] if same else next(iter(fits)) if len(fits) == 1 else None
        if chosen is not None:
            yield chosen, fits[chosen]
            nodes.pop(chosen)


def _resized(before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    for name, table in before["params"].items():
        for stored in {"table", "tables"} & set(table if isinstance(table, Mapping) else ()):
            old, new = (tree["params"][name][stored].shape for tree in (before, after))
            if old != new:
                yield name, f"{old[0]} x {old[1]}", f"{new[0]} x {new[1]}"


def _nodes(tree: Any, at: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items() if isinstance(tree, Mapping) else ():
        if isinstance(value, Mapping):
            yield f"{at}.{name}", value
            yield from _nodes(value, f"{at}.{name}")


def _shapes(tree: Any) -> dict[tuple[str, ...], tuple[int, ...]]:
    return {path: np.shape(leaf) for path, leaf in by_path(tree).items()}
