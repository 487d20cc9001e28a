"""Loads and saves weights: finds a file's family, checks that all its tensors fit, and writes them back."""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jssl.weights.archive import write_safetensors
from jssl.weights.directory import CONFIG as RUN
from jssl.weights.directory import run_config
from jssl.weights.engine import Family, File, Net, expected, few, is_kept, place, read, shapes, write
from jssl.weights.loaded import Loaded
from jssl.weights.own import FAMILY, load_own, own_form
from jssl.weights.preprocessing import Preprocess
from jssl.weights.published import CONFIG, locate
from jssl.weights.tables import FAMILIES
from jssl.weights.tables.export import DESCRIBED


@dataclass(frozen=True)
class Layout:
    """Where the networks of a file lie: {part: {name: Net}}, and the heads that all parts share."""

    parts: Mapping[str | None, Mapping[str, Net]]
    shared: Mapping[str, Net]


def load(
    source: Any, *, part: str | None = None, family: str | None = None, dtype: Any = np.float32
) -> Loaded:
    """Loads published weights.

    Args:
        source: A folder with config.json and model.safetensors, a .safetensors, .npz or .pth file, the
            directory of a run, or a published name such as "dinov2_vits14_reg",
            "timm/vit_small_patch16_224.dino" or "facebook/dinov2-small".
        part: Of files that hold several networks, such as "student"; by default what the authors evaluate.
        family: Where neither config nor names decide; `families` lists them.
        dtype: Of the parameters, whatever the file stores.
    Returns:
        The networks, their variables on the default device.
    Raises:
        ValueError: where the source is not found, is damaged, or does not fit; nothing is half-loaded.
    """
    if family in (None, FAMILY) and (own := load_own(source)) is not None:
        if part is not None:
            raise ValueError(
                f"{source} has no part {part!r}; of a network of the library one alone is loaded"
            )
        return replace(own, variables=_in(dtype, own.variables))
    place_ = locate(source)
    tensors, config = place_.open()
    file = File(config, tensors, label=place_.label)
    known = _family(family or place_.family, file, place_.label)
    prefixes = known.prefixes(file)
    if not prefixes:
        raise ValueError(_misfit(known, file, place_.label))
    if part is not None and part not in prefixes:
        held = ", ".join(str(name) for name in prefixes) if known.parts else "one network alone"
        raise ValueError(f"{place_.label} has no part {part!r}; it holds {held}")
    chosen = part if part is not None else next(iter(prefixes))
    layout = _layout(known, file, prefixes, place_.label)
    placed = _checked(known, file, layout, place_.label)
    try:
        networks = {
            at: {name: (net.module, read(placed[net.at, name], tensors, dtype)) for name, net in nets.items()}
            for at, nets in {**layout.parts, "": layout.shared}.items()
        }
        kept = {name: np.array(tensors[name].read()) for name in tensors if is_kept(known, name, tensors)}
    except MemoryError:
        raise ValueError(f"{place_.label} does not fit into memory") from None
    mine = {**networks.pop(chosen), **networks.pop("")}
    encoder, variables = mine.pop("encoder")
    sizes = {"image_size": layout.parts[chosen]["encoder"].native, **_known(config)}
    return Loaded(
        encoder,
        variables,
        heads=mine,
        preprocess=_pixels(known, File(sizes, tensors, label=place_.label)),
        family=known.name,
        part=chosen,
        config=config,
        citation=known.citation,
        licence=place_.licence or known.licence,
        others=networks,
        kept=kept,
        dtypes={name: tensor.dtype for name, tensor in tensors.items() if _other_float(tensor.dtype)},
        layout=layout,
    )


def save(
    loaded: Loaded, path: Any, *, family: str | None = None, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes weights under published names and layouts, as a safetensors file.

    What `load` gave is written bit for bit as the file had it. Other networks of the same architecture are
    written under the names of `family`.

    Args:
        loaded: What `load` gave or takes, an opened run, or `Loaded(encoder, variables)` of any network.
        path: The file; without a suffix a folder, where model.safetensors and config.json are written.
        family: Whose names to write; by default those it was loaded from; "jssl" has the library's own.
        metadata: Strings for the header, beside what is written anyway.
    Raises:
        ValueError: where the family has no name for a parameter, or the folder holds a run or something else.
    """
    _check_folder(Path(path))
    loaded = loaded if isinstance(loaded, Loaded) else load(str(getattr(loaded, "directory", loaded)))
    name = family or loaded.family
    if name not in FAMILIES and name != FAMILY:
        raise ValueError(f"{_unknown(name)}; say family=... to save a network of the library under its names")
    header = {"format": "pt", "family": name, "citation": loaded.citation, "licence": loaded.licence}
    config: Mapping[str, Any] = {}
    if name == FAMILY:
        arrays, told = own_form(loaded)
        header |= told
    elif loaded.layout is not None and name == loaded.family:
        arrays, config = _as_it_was(loaded), loaded.config
    else:
        arrays, config = _as_family(name, loaded)
        header[CONFIG] = json.dumps(config)
    path = Path(path)
    header |= dict(metadata or {})
    if not path.suffix:
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").write_text(json.dumps(dict(config), indent=1, default=str) + "\n")
        path = path / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, arrays, {key: str(value) for key, value in header.items() if value})


def _check_folder(path: Path) -> None:
    """Refuses a folder whose config.json is another one, such as a run's, which would be overwritten."""
    other = (path / RUN).exists() and not (path / "model.safetensors").exists()
    if not path.suffix and (other or run_config(path) is not None):
        raise ValueError(f"{path} has a {RUN} of a run or of something else; give a file or another folder")


def families() -> list[dict[str, str]]:
    """Lists the families.

    Returns:
        A row for each: family, architectures, publisher, parts, needs, licence, citation.
    """
    return [
        {
            "family": family.name,
            "architectures": family.architectures,
            "publisher": family.publisher,
            "parts": ", ".join(family.parts) if len(family.parts) > 1 else "",
            "needs": family.needs,
            "licence": family.licence,
            "citation": family.citation,
        }
        for family in FAMILIES.values()
    ]


def _as_it_was(loaded: Loaded) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(array) for name, array in loaded.kept.items()}
    mine = {"encoder": (loaded.encoder, loaded.variables), **loaded.heads}
    for part, nets in loaded.layout.parts.items():
        held = mine if part == loaded.part else loaded.others[part]
        for name, net in nets.items():
            arrays |= write(net, held[name][1], loaded.family)
    for name, net in loaded.layout.shared.items():
        arrays |= write(net, mine[name][1], loaded.family)
    return {
        name: np.asarray(array).astype(loaded.dtypes.get(name, array.dtype)) for name, array in arrays.items()
    }


def _as_family(family: str, loaded: Loaded) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    if family not in DESCRIBED:
        raise ValueError(f"networks of the library are not saved as {family}, but as {', '.join(DESCRIBED)}")
    side = getattr(loaded.preprocess, "crop", 224)
    net, variables, config = DESCRIBED[family](loaded.encoder, loaded.variables, side)
    if isinstance(loaded.preprocess, Preprocess):
        config = config | {"pretrained_cfg": loaded.preprocess.stated()}
    return write(net, jax.device_get(variables), family), config


def _family(name: str | None, file: File, label: str) -> Family:
    """The family of a file: the one named, else the one that config and names of tensors show."""
    if name is not None:
        if name not in FAMILIES:
            raise ValueError(_unknown(name))
        return FAMILIES[name]
    kind = _kind(file.config)
    called = [family for family in FAMILIES.values() if kind in family.kinds]
    ranked = sorted(called or FAMILIES.values(), key=lambda family: -_rank(family, file, label))
    best = ranked[0]
    if best.likeness(file) < (0.3 if called else 0.6):
        raise ValueError(
            f"{label} is of no family that is known: it holds {few(list(file.tensors))}; "
            f"the closest is {best.name}; say family=... where you know better"
        )
    return best


def _rank(family: Family, file: File, label: str) -> float:
    named = bool(family.label and re.search(family.label, "/".join(Path(label.lower()).parts[-2:])))
    return family.likeness(file) - 2 * family.barred(file) + 0.01 * named + 0.0001 * len(family.signs)


def _kind(config: Mapping[str, Any]) -> str | None:
    if isinstance(config.get("model_type"), str):
        return config["model_type"]
    if "model_cfg" in config:
        return "open_clip"
    return "timm" if "architecture" in config else None


def _layout(family: Family, file: File, prefixes: Mapping[str | None, str], label: str) -> Layout:
    """The networks of the file, built from config and tensors."""
    flat = {**file.config, **_known(file.config.get("model_args"))}
    try:
        views = {part: File(flat, file.tensors, at, part, file.label) for part, at in prefixes.items()}
        parts = {part: family.build(view) for part, view in views.items()}
        shared = family.shared(next(iter(views.values()))) if family.shared else {}
    except ValueError as error:
        raise ValueError(f"{label} is no whole {family.name}: {error}") from None
    except (TypeError, KeyError, IndexError, ArithmeticError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{label}: config.json and tensors do not describe a {family.name} ({reason})"
        ) from None
    return Layout(parts, shared)


def _pixels(family: Family, file: File) -> Any:
    """The preprocessing of images, by family and config."""
    try:
        return family.preprocess(file)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{file.label}: its config does not say how images are prepared ({error})") from None


def _checked(family: Family, file: File, layout: Layout, label: str) -> dict[tuple[str, str], list]:
    """Checks that no tensor is missing, misshapen or left over, and returns all entries of all networks."""
    placed, wrong, wanted = {}, [], set()
    held = {name: tensor.shape for name, tensor in file.tensors.items()}
    for nets in (*layout.parts.values(), layout.shared):
        for name, net in nets.items():
            try:
                specs = shapes(net)
                placed[net.at, name] = place(net, specs, family.name)
                spans = [expected(entry) for entry in placed[net.at, name]]
            except Exception as error:  # a module refuses sizes in its own words
                reason = " ".join(str(error).split())[:200]
                raise ValueError(f"{label} is no {family.name} that can be built: {reason}") from None
            for span in spans:
                for tensor, shape in span.items():
                    wanted.add(tensor)
                    if tensor in held and held[tensor] != shape:
                        wrong.append(f"{tensor} {list(held[tensor])}, expected {list(shape)}")
    missing = sorted(wanted - set(held))
    left = sorted(name for name in set(held) - wanted if not is_kept(family, name, file.tensors))
    if missing or left or wrong:
        told = [f"missing: {few(missing)}"] if missing else []
        told += [f"left over: {few(left)}"] if left else []
        told += [f"of another shape: {few(wrong)}"] if wrong else []
        closest = _closest(family, file)
        raise ValueError(f"{label} does not fit {family.name}: {'; '.join(told)}{closest}")
    return placed


def _closest(family: Family, file: File) -> str:
    others = [other for other in FAMILIES.values() if other is not family]
    best = max(others, key=lambda other: other.likeness(file) - 2 * other.barred(file))
    return f"; of the other families its names are closest to {best.name}"


def _misfit(family: Family, file: File, label: str) -> str:
    return (
        f"{label} is no {family.name}: its tensor {family.tensor} is missing, or several networks hold one; "
        f"it holds {few(list(file.tensors))}{_closest(family, file)}"
    )


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, FAMILIES, n=3, cutoff=0.3)
    return f"unknown family {name!r}" + (f"; did you mean {', '.join(close)}?" if close else "")


def _known(value: Any) -> dict[str, Any]:
    return (
        {key: entry for key, entry in value.items() if entry is not None}
        if isinstance(value, Mapping)
        else {}
    )


def _in(dtype: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The same variables with floating-point parameters of this type."""

    def floats(leaf):
        return leaf.astype(dtype) if jax.numpy.issubdtype(leaf.dtype, np.floating) else leaf

    return {kind: jax.tree.map(floats, x) if kind == "params" else x for kind, x in variables.items()}


def _other_float(dtype: Any) -> bool:
    return dtype != np.float32 and dtype.kind not in "iub"
