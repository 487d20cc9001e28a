"""The network that a run has trained, alone: without its student, its heads and its optimizer.

    jssl export runs/dino --out dino.safetensors

The file holds flat names such as params/blocks/block_0/attn/qkv/kernel, float32; `load_encoder` nests them again:

    encoder("vit_s16").apply(load_encoder("dino.safetensors"), images)
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jssl.checkpoint import Checkpoints
from jssl.extras import extra
from jssl.run.footprint import flattened, whole
from jssl.run.record import CHECKPOINTS, CONFIG, as_path, compared, read_config
from jssl.train import TrainState

EVALUATED = "evaluated"  # in config.json: where in the state the evaluated encoder lies


def evaluated(features: Callable, state: TrainState, images) -> list[str]:
    """Where in a train state the encoder lies that is evaluated: the student's or the teacher's, and its statistics.

    features: (params, teacher, memory, images) -> features, a method's. state, images: arrays or their shapes.

    Returns: paths such as ["teacher.encoder", "memory.statistics.teacher.encoder"]: the parts that the features depend on.
    """
    parts = {"params": state.params, "teacher": state.teacher, "memory": state.memory}
    traced = jax.make_jaxpr(lambda p, x: features(p["params"], p["teacher"], p["memory"], x))(parts, images)
    operations, _, _, results = flattened(traced.jaxpr, whole)
    needed = set(results)
    for operation in reversed(operations):
        if needed & set(operation.writes):
            needed |= set(operation.reads)
    paths = [
        path for path, _ in jax.tree_util.tree_leaves_with_path(parts)
    ]  # the arguments are numbered in this order
    roots = [
        _root(tuple(entry.key for entry in path if hasattr(entry, "key")))
        for i, path in enumerate(paths)
        if i in needed
    ]
    return list(dict.fromkeys(".".join(root) for root in roots))


def export_encoder(directory, out) -> dict[str, np.ndarray]:
    """Writes the evaluated encoder of a run's newest checkpoint as safetensors.

    Args:
        directory: Of the run.
        out: The file.
    Returns:
        What was written, by name.
    Raises:
        ValueError: where there is no run, or no checkpoint of it.
    """
    with extra():
        from safetensors.numpy import save_file

    config = read_config(directory)
    variables = encoder_variables(newest_state(directory, config), config, directory)
    arrays = {name: np.asarray(value) for name, value in _flat(variables).items()}
    save_file(arrays, str(out))
    return arrays


def newest_state(directory, config: Mapping[str, Any], like: TrainState | None = None) -> Any:
    """Reads the newest checkpoint of a run.

    Args:
        directory: Of the run.
        config: What its config.json holds.
        like: A state of the wanted structure; None: nested dicts.
    Raises:
        ValueError: where there is none.
    """
    checkpoints = Checkpoints(as_path(directory) / CHECKPOINTS, config=compared(config))
    state = checkpoints.restore(like)
    checkpoints.close()
    if state is None:
        raise ValueError(f"{directory} has no checkpoint yet")
    return state


def encoder_variables(state: Any, config: Mapping[str, Any], directory) -> dict[str, Any]:
    """Takes the evaluated encoder out of a state.

    Args:
        state: A train state, or nested dicts.
        config: What the run's config.json holds.
        directory: Of the run, for what is said.
    Returns:
        The variables of the encoder's module: {"params": ..., and "batch_stats" where it has them}.
    Raises:
        ValueError: where the configuration does not say where in the state the encoder lies.
    """
    if EVALUATED not in config:
        raise ValueError(
            f"{directory}: its {CONFIG} does not say which network is evaluated; run it again to write it"
        )
    variables: dict[str, Any] = {}
    for root in config[EVALUATED]:
        found = state
        for name in root.split("."):
            found = found[name] if isinstance(found, Mapping) else getattr(found, name)
        # statistics say themselves what they are: batch_stats
        variables |= dict(found) if root.startswith("memory") else {"params": dict(found)}
    return variables


def load_encoder(path) -> dict[str, Any]:
    """Reads an encoder that `export_encoder` wrote.

    Args:
        path: Of the file.
    Returns:
        The variables of the encoder's module: {"params": ..., and "batch_stats" where it has them}.
    """
    with extra():
        from safetensors.numpy import load_file

    variables: dict[str, Any] = {}
    for name, value in load_file(str(path)).items():
        *folders, last = name.split("/")
        place = variables
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return variables


def _root(path: tuple[str, ...]) -> tuple[str, ...]:
    """The part of a path that names the network: up to "encoder", or to whose statistics they are."""
    ends = [path.index(name) + 1 for name in ("encoder", "student", "teacher") if name in path[1:]]
    return path[: ends[0]] if ends else path[:1]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in tree.items():
        named |= _flat(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {prefix + name: value}
    return named


def main(arguments: list[str]) -> None:
    """The command `jssl export`."""
    parser = argparse.ArgumentParser(
        prog="jssl export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", help="of the run")
    parser.add_argument("--out", required=True, help="the file to write, such as encoder.safetensors")
    chosen = parser.parse_args(arguments)
    arrays = export_encoder(chosen.directory, chosen.out)
    print(f"{chosen.out}: {len(arrays)} arrays, {sum(x.size for x in arrays.values()):,} numbers")
