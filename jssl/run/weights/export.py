"""Writes the encoder that a run has trained, without heads and optimizer state.

    jssl export runs/dino --out dino.safetensors              the library's own names
    jssl export runs/dino --as timm --out dino_timm           timm's; no suffix: a folder with config.json

Of a method with a teacher it is the network that the run evaluates, such as DINO's teacher.
`jssl.weights.load` reads the file; its header says encoder, size, normalisation, method and data.
"""

import argparse
import json
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jssl import weights
from jssl.arrays.trees import names
from jssl.methods.base import Method
from jssl.models.encoders.resnet import ResNet
from jssl.models.layers.transformer import SwiGlu
from jssl.sharding import check_devices
from jssl.train import TrainState
from jssl.weights.directory import read_config
from jssl.weights.loaded import Loaded
from jssl.weights.own import FAMILY

NAMES = ("timm", "meta", "hub", FAMILY)
ROOT = Path(__file__).parents[3]  # of a checkout


def evaluated(method: Method, state: TrainState) -> dict[str, str]:
    """Finds the evaluated encoder in a train state: the student's or the teacher's, and its statistics.

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


def export(directory, out, *, names: str = FAMILY) -> str:
    """Writes the evaluated encoder of a run's newest checkpoint as safetensors.

    Args:
        directory: Of the run.
        out: The file; without a suffix, a folder with model.safetensors and config.json.
        names: Whose names the arrays get: "timm", "meta", "hub" or "jssl".
    Returns:
        The family that was written, as `jssl.weights.families` lists it.
    Raises:
        ValueError: where there is no run, no checkpoint of it, or no such name for one of its parameters.
    """
    place = Path(out)
    if not place.absolute().parent.is_dir() or place.exists() and not (place.is_file() or place.is_dir()):
        raise ValueError(f"--out {out} is no place for a file; give a name in a folder that exists")
    check_devices()
    config, loaded = read_config(directory), weights.load(str(directory))
    family = family_of(names, loaded)
    weights.save(loaded, out, family=family, metadata=_told(config, loaded))
    return family


def family_of(names: str, loaded: Loaded) -> str:
    """Chooses the published family that an encoder is written as.

    Args:
        names: One of `NAMES`.
        loaded: The encoder.
    Raises:
        ValueError: for other names.
    """
    if names not in NAMES:
        raise ValueError(f"--as must be one of {', '.join(NAMES)}, got {names!r}")
    encoder, params = loaded.encoder, loaded.variables["params"]
    if names == FAMILY:
        return FAMILY
    if isinstance(encoder, ResNet):
        return "resnet_torchvision"
    registers, scaled = getattr(encoder, "registers", 0), getattr(encoder, "layer_scale", None) is not None
    newer = registers or scaled or getattr(encoder, "mlp", None) is SwiGlu
    if names == "timm":
        return "timm_vit"
    if names == "meta":
        return "dinov2" if newer or "mask_token" in params else "dino_vit"
    return ("hf_dinov2_registers" if registers else "hf_dinov2") if newer else "hf_vit"


def _told(config: Mapping[str, Any], loaded: Loaded) -> dict[str, str]:
    """The entries of the header besides the network's."""
    pixels: Any = loaded.preprocess
    settings = config["settings"]
    data = config.get("data", {})
    told = {
        "encoder": settings.get("start") or settings.get("encoder", ""),
        "size": getattr(pixels, "crop", ""),
        "mean": pixels.mean,
        "std": pixels.std,
        "method": config["experiment"],
        "data": data.get("name", "") if isinstance(data, Mapping) else data,
        **{
            name if name == "commit" else f"{name}_version": version
            for name, version in config.get("versions", {}).items()
        },
    }
    return {name: str(value) for name, value in told.items() if value not in ("", None)}


def code_version() -> dict[str, str]:
    """Returns the version of jssl where it is installed, and the commit where it is a checkout or was
    installed from a repository.
    """
    told: dict[str, str] = {}
    try:
        installed = metadata.distribution("jssl")
        told["jssl"] = installed.version
        origin = json.loads(installed.read_text("direct_url.json") or "{}")
        if commit := origin.get("vcs_info", {}).get("commit_id"):
            told["commit"] = commit
    except (metadata.PackageNotFoundError, ValueError):
        pass
    if (ROOT / ".git").exists():
        try:
            asked = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
            done = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True)
            told["commit"] = done.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return told


def main(arguments: list[str]) -> None:
    """Runs the command `jssl export`."""
    parser = argparse.ArgumentParser(
        prog="jssl export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", help="of the run")
    parser.add_argument("--as", dest="names", default=FAMILY, help=f"whose names: {', '.join(NAMES)}")
    parser.add_argument(
        "--out", required=True, help="the file to write, such as encoder.safetensors, or a folder"
    )
    chosen = parser.parse_args(arguments)
    family = export(chosen.directory, chosen.out, names=chosen.names)
    print(f"{chosen.out}: written as {family}; jssl.weights.load({chosen.out!r}) reads it")
