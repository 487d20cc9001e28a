"""The network that a run has trained, alone: without its student, its heads and its optimizer.

    jssl export runs/dino --out dino.safetensors

The file holds flat names such as params/blocks/block_0/attn/qkv/kernel, float32; `load_encoder` nests them
again:

    encoder("vit_s16").apply(load_encoder("dino.safetensors"), images)
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jssl.arrays.stacks import unstack_blocks
from jssl.arrays.trees import names
from jssl.checkpoint import Checkpoints
from jssl.extras import extra
from jssl.methods.base import Method
from jssl.run.record import CHECKPOINTS, CONFIG, as_path, compared, read_config
from jssl.train import TrainState

EVALUATED = "evaluated"  # in config.json: where in the state the evaluated encoder lies


def evaluated(method: Method, state: TrainState) -> dict[str, str]:
    """Finds where in a train state the encoder lies that is evaluated: the student's or the teacher's, and
    its statistics.

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
    for kind, tree in method.encoder(paths["params"], paths["teacher"], paths["memory"]).items():
        for inside, path in jax.tree_util.tree_leaves_with_path(tree)[:1]:
            found[kind] = path.rsplit(".", len(inside))[0]
    return found


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

    if (place := Path(out)).exists() and not place.is_file() or not place.absolute().parent.is_dir():
        raise ValueError(
            f"--out {out} is no place for a file; give the name of a file in a folder that exists"
        )
    config = read_config(directory)
    variables = unstack_blocks(encoder_variables(newest_state(directory, config), config, directory))
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
    variables = {}
    for kind, path in config[EVALUATED].items():
        found = state
        for name in path.split("."):
            found = found[name] if isinstance(found, Mapping) else getattr(found, name)
        variables[kind] = found
    return variables


def load_encoder(path) -> dict[str, Any]:
    """Reads an encoder that `export_encoder` wrote.

    Args:
        path: Of the file.
    Returns:
        The variables of the encoder's module: {"params": ..., and "batch_stats" where it has them}.
    Raises:
        ValueError: where it is not a safetensors file.
    """
    with extra():
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

    if not Path(path).is_file():
        raise ValueError(f"{path} is not a file; give one that `jssl export` wrote")
    try:
        arrays = load_file(str(path))
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not a safetensors file that can be read: {reason}") from None
    variables: dict[str, Any] = {}
    for name, value in arrays.items():
        *folders, last = name.split("/")
        place = variables
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise ValueError(f"{path}: {folder} in {name} is an array; `jssl export` writes no such file")
        place[last] = value
    return variables


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in tree.items():
        named |= _flat(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {prefix + name: value}
    return named


def main(arguments: list[str]) -> None:
    """Runs the command `jssl export`."""
    parser = argparse.ArgumentParser(
        prog="jssl export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", help="of the run")
    parser.add_argument("--out", required=True, help="the file to write, such as encoder.safetensors")
    chosen = parser.parse_args(arguments)
    arrays = export_encoder(chosen.directory, chosen.out)
    print(f"{chosen.out}: {len(arrays)} arrays, {sum(x.size for x in arrays.values()):,} numbers")
