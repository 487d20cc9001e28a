"""The network that a run has trained, alone: without its student, its heads and its optimizer.

    python -m jssl.run.export runs/dino --out dino.safetensors

The file holds flat names such as params/blocks/block_0/attn/qkv/kernel, float32; `load_encoder` nests them again:

    encoder("vit_s16").apply(load_encoder("dino.safetensors"), images)
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jssl.arrays.trees import names
from jssl.checkpoint import Checkpoints
from jssl.methods.base import Method
from jssl.run.record import CHECKPOINTS, CONFIG, as_path, compared
from jssl.train import TrainState

EVALUATED = "evaluated"  # in config.json: where in the state the evaluated encoder lies


def evaluated(method: Method, state: TrainState) -> dict[str, str]:
    """Finds where in a train state the encoder lies that is evaluated: the student's or the teacher's, and its statistics.

    Args:
        method: its `encoder` selects the variables.
        state: arrays or their shapes.
    Returns:
        A path for each kind of variables, such as {"params": "teacher.encoder", "batch_stats":
        "memory.statistics.teacher.encoder.batch_stats"}.
    """
    parts = {"params": state.params, "teacher": state.teacher, "memory": state.memory}
    paths = jax.tree_util.tree_map_with_path(lambda path, _: ".".join(names(path)), parts)
    found = {}
    for kind, tree in method.encoder(**paths).items():
        for inside, path in jax.tree_util.tree_leaves_with_path(tree)[:1]:
            found[kind] = path.rsplit(".", len(inside))[0]
    return found


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
    for kind, root in config[EVALUATED].items():
        found = state
        for name in root.split("."):
            found = found[name]
        arrays |= {name: np.asarray(value) for name, value in _flat(found, f"{kind}/").items()}
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
