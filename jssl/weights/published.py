"""Finds weights: files, folders, and the names under which they are published."""

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jssl.weights.archive import Archive, read_archive
from jssl.weights.catalog import PUBLISHED, Published

CONFIGS = {  # a folder's file of weights -> the config beside it
    "model.safetensors": "config.json",
    "open_clip_model.safetensors": "open_clip_config.json",
    "pytorch_model.bin": "config.json",
    "open_clip_pytorch_model.bin": "open_clip_config.json",
}
INDEX = ".index.json"  # beside a name, where a publisher splits the file
CONFIG = "config"  # in a safetensors header, where the library has written the file
SUFFIXES = (".safetensors", ".npz", ".pth", ".pt", ".bin", ".tar")
# names of files that several publishers use
AMBIGUOUS = ("resnet50.pth", "checkpoint_teacher.pth", "checkpoint_0099.pth.tar")
WANTED = [
    "config.json",
    "preprocessor_config.json",
    "open_clip_config.json",
    "*.safetensors",
    f"*.safetensors{INDEX}",
]
OLDER = ["*pytorch_model*.bin", f"*pytorch_model.bin{INDEX}"]  # of repositories without safetensors


@dataclass(frozen=True)
class Place:
    """Weights that were found.

    Args:
        files: Of tensors; several where a publisher splits them.
        label: What to call them in messages.
        config: The config's file, or None.
        family, licence: Where the published name decides them.
    """

    files: tuple[Path, ...]
    label: str
    config: Path | None = None
    family: str | None = None
    licence: str = ""

    def open(self) -> tuple[Archive, dict[str, Any]]:
        """Opens them.

        Returns:
            The tensors, not read yet, and the config.
        Raises:
            ValueError: where a file is damaged.
        """
        tensors: Archive = {}
        header: dict[str, str] = {}
        for file in self.files:
            found, header = read_archive(file)
            if both := sorted(set(found) & set(tensors)):
                raise ValueError(f"{self.label}: {both[0]} stands in two of its files")
            tensors |= found
        if self.config is None or not self.config.exists():
            return tensors, _table(header.get(CONFIG, "{}"))
        config, pixels = _json(self.config), self.config.with_name("preprocessor_config.json")
        return tensors, config | ({"preprocessor": _json(pixels)} if pixels.exists() else {})


def locate(source: Any) -> Place:
    """Finds weights.

    Args:
        source: A file, a folder, or a published name.
    Returns:
        Where they lie.
    Raises:
        ValueError: where they are not found, with the file to fetch and where to put it.
    """
    if not isinstance(source, str | os.PathLike):
        raise ValueError(f"weights are loaded from a path or a published name, got {type(source).__name__}")
    name = os.fspath(source)
    try:
        path = Path(name)
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return Place((path,), str(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(name)[:200]!r} cannot be read ({_short(error)})") from None
    known = PUBLISHED.get(name)
    if known is not None:
        return _known(name, known)
    if re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", name) and path.suffix not in SUFFIXES:
        return _hub(name, Published(name, "", ""))
    close = difflib.get_close_matches(name, PUBLISHED, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "jssl.weights.names() lists the published names"
    raise ValueError(f"{str(name)[:200]!r} is no file, no folder and no published name; {hint}")


def names() -> list[dict[str, str]]:
    """Lists the published names that `locate` knows.

    Returns:
        A row for each: name, family, licence, and where it comes from.
    """
    return [
        {"name": name, "family": known.family, "licence": known.licence, "from": known.at}
        for name, known in PUBLISHED.items()
    ]


def _known(name: str, known: Published) -> Place:
    if not known.is_file:
        return _hub(name, known)
    places = [
        folder / given
        for folder in _own_folders()
        for given in (known.file, f"{name}.pth", f"{name}/{known.file}")
    ]
    places = [place for place in places if place.name not in AMBIGUOUS or place.parent.name == name]
    if known.file not in AMBIGUOUS:
        cache = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache/torch"))
        places.append(cache / "hub/checkpoints" / known.file)
    for place in places:
        if place.is_file():
            return Place((place,), name, None, known.family, known.licence)
    folder = next(iter(_own_folders()), None)
    where = f"{folder}/{name}.pth" if folder else f"a folder named by $JSSL_WEIGHTS, as {name}.pth"
    raise ValueError(f"{name} is not on this machine: fetch {known.at} and put it at {where}")


def _hub(name: str, known: Published) -> Place:
    """A repository of the Hugging Face hub: in $JSSL_WEIGHTS, in its cache, or downloaded."""
    folders = [folder / given for folder in _own_folders() for given in (name, name.split("/")[-1])]
    found, why = next((folder for folder in folders if folder.is_dir()), None) or _cached(name), ""
    if found is None:
        found, why = _downloaded(name)
    if found is None:
        own = next(iter(_own_folders()), None)
        where = f"{own}/{name}/" if own else f"$JSSL_WEIGHTS/{name}/"
        raise ValueError(
            f"{name} is not on this machine, and {why}: fetch config.json and model.safetensors, "
            f"or pytorch_model.bin, of https://huggingface.co/{known.at} and put them into {where}"
        )
    place = _folder(found)
    return Place(place.files, name, place.config, known.family or None, known.licence)


def _own_folders() -> list[Path]:
    return [Path(folder) for folder in os.environ.get("JSSL_WEIGHTS", "").split(os.pathsep) if folder]


def _cached(name: str) -> Path | None:
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache/huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    snapshots = cache / f"models--{name.replace('/', '--')}" / "snapshots"
    if not snapshots.is_dir():
        return None
    names = (*CONFIGS, *(f"{name}{INDEX}" for name in CONFIGS))
    held = [folder for folder in snapshots.iterdir() if any((folder / name).exists() for name in names)]
    return max(held, key=lambda folder: folder.stat().st_mtime, default=None)


def _downloaded(name: str) -> tuple[Path | None, str]:
    """The folder, or why there is none."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return None, "huggingface_hub, which would download it, is not installed"
    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*WANTED, *OLDER]))
        return folder, ""
    except Exception as error:  # no network, no such repository, no permission: many kinds
        return None, f"cannot be downloaded ({_short(error)})"


def _folder(path: Path) -> Place:
    there = (name for name in CONFIGS if any((path / f"{name}{end}").is_file() for end in ("", INDEX)))
    name = next(there, None)
    if name is not None and (index := path / f"{name}{INDEX}").is_file():
        listed = _json(index).get("weight_map", {})
        if not isinstance(listed, Mapping):
            raise ValueError(f"{index} holds no table weight_map")
        files = tuple(sorted({path / Path(str(file)).name for file in listed.values()}))
        if absent := [file.name for file in files if not file.is_file()]:
            raise ValueError(f"{path} lacks {', '.join(absent[:3])}, which its index names")
        return Place(files, str(path), path / CONFIGS[name])
    if name is None:
        others = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        if not others and (path / "checkpoints").is_dir():
            raise ValueError(f"{path} is a run of jssl; open it with jssl.open_run({str(path)!r})")
        if len(others) != 1:
            told = (
                "several files of weights" if others else f"no file of weights, such as {next(iter(CONFIGS))}"
            )
            raise ValueError(f"{path} holds {told}; name the file itself")
        name = others[0].name
    return Place((path / name,), str(path), path / CONFIGS.get(name, "config.json"))


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({_short(error)})") from None
    if not isinstance(value, Mapping):
        raise ValueError(f"{path} must hold a table, it holds {type(value).__name__}")
    return dict(value)


def _table(text: str) -> dict[str, Any]:
    """The config in a file's header; {} where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
