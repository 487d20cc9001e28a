"""The network that a run has trained, alone: without its student, its heads and its optimizer.

    python -m jssl.run.export runs/dino --out dino.safetensors

The file holds flat names such as params/blocks/block_0/attn/qkv/kernel, float32; `load_encoder` nests them again:

    encoder("vit_s16").apply(load_encoder("dino.safetensors"), images)
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jssl.checkpoint import Checkpoints
from jssl.run.footprint import flattened, whole
from jssl.run.record import CHECKPOINTS, CONFIG, as_path, compared
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

    directory: of the run. out: the file.

    Returns: what was written, by name.

    Raises: ValueError where there is no run, or no checkpoint of it.
    """
    from safetensors.numpy import save_file

    path = as_path(directory)
    if not (path / CONFIG).exists():
        raise ValueError(f"{directory} holds no run: there is no {CONFIG} in it")
    config = json.loads((path / CONFIG).read_text())
    if EVALUATED not in config:
        raise ValueError(
            f"{directory}: its {CONFIG} does not say which network is evaluated; run it again to write it"
        )
    checkpoints = Checkpoints(path / CHECKPOINTS, config=compared(config))
    state = checkpoints.restore()
    checkpoints.close()
    if state is None:
        raise ValueError(f"{directory} has no checkpoint yet")
    arrays = {}
    for root in config[EVALUATED]:
        found = state
        for name in root.split("."):
            found = found[name]
        kind = (
            "" if root.startswith("memory") else "params/"
        )  # statistics say themselves what they are: batch_stats
        arrays |= {kind + name: np.asarray(value) for name, value in _flat(found).items()}
    save_file(arrays, str(out))
    return arrays


def load_encoder(path) -> dict[str, Any]:
    """The variables of an encoder's module: {"params": ..., and "batch_stats" where it has them}.

    path: of a file that `export_encoder` wrote.
    """
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", help="of the run")
    parser.add_argument("--out", required=True, help="the file to write, such as encoder.safetensors")
    arguments = parser.parse_args()
    try:
        arrays = export_encoder(arguments.directory, arguments.out)
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(f"{arguments.out}: {len(arrays)} arrays, {sum(x.size for x in arrays.values()):,} numbers")


if __name__ == "__main__":
    main()
