"""Where weights lie: files, folders, and the names under which they are published."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jssl.weights.archive import Archive, read_archive

WEIGHTS = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
CONFIGS = ("config.json", "open_clip_config.json")
SUFFIXES = (".safetensors", ".npz", ".pth", ".pt", ".bin", ".tar")


class Place(NamedTuple):
    """A file of weights that was found.

    Args:
        files: Of tensors; several where a publisher splits them.
        config: The folder that holds config.json, or None.
        label: What to call it in messages.
        family, licence: Where the published name tells them.
    """

    files: tuple[Path, ...]
    config: Path | None
    label: str
    family: str | None = None
    licence: str = ""

    def open(self) -> tuple[Archive, dict[str, Any]]:
        """The tensors, not read yet, and the config.

        Raises:
            ValueError: where a file is damaged.
        """
        tensors: Archive = {}
        for file in self.files:
            found, _ = read_archive(file)
            tensors |= found
        return tensors, _config(self.config)


def _config(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    found = next((folder / name for name in CONFIGS if (folder / name).exists()), None)
    config = {} if found is None else _json(found)
    pixels = folder / "preprocessor_config.json"
    return config | ({"preprocessor": _json(pixels)} if pixels.exists() else {})


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({' '.join(str(error).split())[:80]})") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"{path} must hold a table, it holds {type(value).__name__}")
    return dict(value)


def locate(source: Any) -> Place:
    """Finds weights.

    Args:
        source: A file, a folder, or a published name.
    Returns:
        Where they lie.
    Raises:
        ValueError: where they are not found, with the file to put somewhere.
    """
    path = Path(os.fspath(source)) if isinstance(source, str | os.PathLike) else None
    if path is None:
        raise ValueError(f"weights are loaded from a path or a published name, got {type(source).__name__}")
    try:
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return Place((path,), None, str(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(source)[:200]!r} is no path ({error})") from None
    raise ValueError(f"{source} is not there")


def _folder(path: Path) -> Place:
    index = path / "model.safetensors.index.json"
    if index.exists():
        names = _json(index).get("weight_map", {})
        if not isinstance(names, Mapping):
            raise ValueError(f"{index} holds no table weight_map")
        files = sorted({path / Path(str(name)).name for name in names.values()})
        if absent := [file.name for file in files if not file.exists()]:
            raise ValueError(f"{path} lacks {', '.join(absent[:3])}, which its index names")
        return Place(tuple(files), path, str(path))
    found = next((path / name for name in WEIGHTS if (path / name).exists()), None)
    if found is None:
        others = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        if len(others) != 1:
            told = "several files of weights" if others else f"no {WEIGHTS[0]}"
            raise ValueError(f"{path} holds {told}; name the file itself")
        found = others[0]
    return Place((found,), path, str(path))
