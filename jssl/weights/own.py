"""The library's own weights: run directories, and safetensors files whose header describes the network.

config.json of a run      {"network": {"encoder": ..., "preprocess": ...},
                           "evaluated": {"params": "teacher.encoder"}, ...}
header of a file          the same as `about` writes it, under "jssl"; tensors are named such as
                          params/blocks/block_0/attn/qkv/kernel
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jssl.arrays.stacks import unstack_blocks
from jssl.models.described import describe, plain, restored
from jssl.weights.archive import Archive, read_archive
from jssl.weights.directory import EVALUATED, NETWORK, encoder_variables, newest_state, run_config, take
from jssl.weights.engine import flatten
from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess, Spectrograms

FAMILY = "jssl"
KINDS = {kind.__name__: kind for kind in (Preprocess, Spectrograms)}
HEADER = "jssl"  # in a file's metadata: what `about` returns
STEP = "step"  # of the checkpoint that a run was opened at, beside what config.json says


def about(encoder: Any, preprocess: Any) -> dict[str, Any]:
    """Describes a network, for a run's config.json or a file's header.

    Args:
        encoder: A Linen module.
        preprocess: A `Preprocess`.
    Returns:
        JSON types.
    Raises:
        ValueError: for a network without a name, see `describe`.
    """
    kind = type(preprocess).__name__
    return {
        "encoder": describe(plain(encoder)),
        "preprocess": {"kind": kind, **dataclasses.asdict(preprocess)},
    }


def network_of(text: Any) -> tuple[Any, Preprocess | Spectrograms]:
    """Makes a network and its preprocessing from the description that `about` has written.

    Args:
        text: JSON types.
    Returns:
        (a Linen module, a `Preprocess` or `Spectrograms`).
    Raises:
        ValueError: where it is not such a description.
    """
    if not isinstance(text, Mapping) or not isinstance(text.get("preprocess"), Mapping):
        raise ValueError("it does not say which network it holds")
    stated: dict[str, Any] = {
        name: tuple(x) if isinstance(x, list) else x for name, x in text["preprocess"].items()
    }
    try:
        return restored(text.get("encoder")), KINDS[stated.pop("kind")](**stated)
    except (TypeError, KeyError) as error:
        raise ValueError(f"its preprocessing cannot be read ({error})") from None


def load_own(source: Any) -> Loaded | None:
    """Loads a run's newest checkpoint, or a file in the library's own form.

    Args:
        source: As `load` takes it.
    Returns:
        The evaluated encoder; None for what is neither.
    Raises:
        ValueError: where it is one of them and cannot be read.
    """
    if not isinstance(source, str | os.PathLike):
        return None
    if (config := run_config(source)) is not None:
        return _of_run(source, config)
    try:
        path = Path(source)
        held = path / "model.safetensors" if path.is_dir() else path
        if held.suffix != ".safetensors" or not held.is_file():
            return None
    except (OSError, ValueError):
        return None
    tensors, metadata = read_archive(held)
    return _of_file(str(source), tensors, metadata[HEADER]) if HEADER in metadata else None


def own_form(loaded: Loaded) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Names an encoder's variables as the library does.

    Args:
        loaded: The network.
    Returns:
        (arrays by name, the file's header, which describes the network).
    Raises:
        ValueError: for a network without a name, see `describe`.
    """
    flat = flatten(unstack_blocks(dict(loaded.variables)))
    arrays = {"/".join(path): np.asarray(value) for path, value in flat.items()}
    return arrays, {HEADER: json.dumps(about(loaded.encoder, loaded.preprocess))}


def _of_run(directory: Any, config: Mapping[str, Any]) -> Loaded:
    if config.get(NETWORK) is None or EVALUATED not in config:
        raise ValueError(
            f"{directory} is a run of a network of your own: use jssl.open_run({str(directory)!r}, kind=...)"
        )
    try:
        encoder, preprocess = network_of(config[NETWORK])
    except ValueError as error:
        raise ValueError(f"{directory}: {error}") from None
    state = newest_state(directory)
    variables = {
        kind: unstack_blocks(part) for kind, part in encoder_variables(state, config, directory).items()
    }
    params, statistics = heads_of_state(state, config[EVALUATED])
    heads: dict[str, tuple[Any, Any]] = {
        name: (None, {"params": part, **statistics.get(name, {})})
        for name, part in params.items()
        if name != "encoder"
    }
    jax.block_until_ready(variables)
    reached = {STEP: int(state[STEP])}
    return Loaded(encoder, variables, heads, preprocess, FAMILY, config={**config, **reached})


def heads_of_state(state: Any, places: Mapping[str, str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Selects the parameters and the batch statistics of the heads that lie beside the evaluated encoder.

    An encoder without statistics has no place for them: those of its heads are then the teacher's or the
    student's, as its parameters are.

    Args:
        state: A train state, or nested dicts.
        places: Of the encoder, {"params": ..., and "batch_stats" where it has them}.
    Returns:
        (parameters, statistics), each by the heads' names.
    """

    def beside(place):
        root = place.rpartition(".")[0]
        return take(state, root) if root else {}

    params = beside(places["params"])
    if "batch_stats" in places:
        return params, beside(places["batch_stats"].removesuffix(".batch_stats"))
    kept = take(state, "memory").get("statistics", {})
    return params, kept.get("teacher" if places["params"].startswith("teacher") else "student", kept)


def _of_file(source: str, tensors: Archive, text: str) -> Loaded:
    try:
        encoder, preprocess = network_of(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: {' '.join(str(error).split())[:200]}") from None
    variables: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *folders, last = name.split("/")
        at = variables
        for folder in folders:
            at = at.setdefault(folder, {}) if isinstance(at, dict) else {}
        if not folders or not isinstance(at, dict):
            raise ValueError(f"{source}: {name[:80]} is no name of a parameter")
        at[last] = jax.numpy.asarray(tensor.read())
    if "params" not in variables:
        raise ValueError(f"{source} holds no parameters")
    return Loaded(encoder, variables, preprocess=preprocess, family=FAMILY)
