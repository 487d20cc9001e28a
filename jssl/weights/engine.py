"""The engine that reads and writes published weights, both by the same table of names and layouts."""

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from jssl.weights.archive import Archive
from jssl.weights.layouts import Entry, Layout
from jssl.weights.preprocessing import Preprocess

Row = tuple[Any, Layout]  # published name or names, a layout
Table = dict[str, Row]  # by our path; {i} stands for a number, the same in both names
Variables = dict[str, Any]
CONTAINERS = r"(?:(?:model|state_dict|module)\.)*"  # levels of names that have no meaning
BUFFERS = ("*num_batches_tracked",)


@dataclass(frozen=True)
class File:
    """A file as a family's table sees it: the config, and the tensors below a prefix.

    Args:
        config: What config.json holds; {} without one.
        tensors: All tensors of the file.
        at: The prefix of the network that is being built.
        part: Which of several networks it is; None where there is one.
        label: The name of the file or folder, used where neither config nor tensors decide.
    """

    config: Mapping[str, Any]
    tensors: Archive
    at: str = ""
    part: str | None = None
    label: str = ""

    def below(self, prefix: str) -> "File":
        """The same file below a longer prefix."""
        return replace(self, at=self.at + prefix)

    def beside(self, level: str, other: str) -> "File":
        """The same file at `other` in place of the prefix's last level, where that is `level`."""
        return replace(self, at=self.at.removesuffix(level) + other)

    def tower(self, *keys: str) -> "File":
        """The same file with one tower's config over its own."""
        inner = [self.config.get(key) for key in keys] + [_table(self.config.get("model_cfg")).get(keys[-1])]
        stated = next((dict(config) for config in inner if isinstance(config, Mapping)), {})
        return replace(self, config={**self.config, **stated})

    def __contains__(self, name: str) -> bool:
        return self.at + name in self.tensors

    def any(self, pattern: str) -> bool:
        """Whether a name below the prefix matches a regular expression from its start."""
        found = re.compile(re.escape(self.at) + pattern)
        return any(found.match(name) for name in self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor that the sizes come from."""
        if name not in self:
            raise ValueError(f"the tensor {self.at + name} is missing, which the sizes come from")
        return self.tensors[self.at + name].shape

    def value(self, name: str) -> np.ndarray:
        """A small tensor's numbers."""
        self.shape(name)
        return np.asarray(self.tensors[self.at + name].read())

    def count(self, stem: str) -> int:
        """One more than the largest number that follows `stem` in a name."""
        found = re.compile(re.escape(self.at + stem) + r"(\d{1,4})\.")
        numbers = [int(match[1]) for name in self.tensors if (match := found.match(name))]
        return 1 + max(numbers, default=-1)

    def get(self, *keys: str, default: Any = None) -> Any:
        """The config's first entry of these names that is not null."""
        for key in keys:
            if self.config.get(key) is not None:
                return self.config[key]
        return default


class Net(NamedTuple):
    """A network of a file.

    Args:
        module: A Linen module.
        table: Where its leaves lie in the file.
        init: (module, key) -> variables; traced, never run.
        at: The prefix of its names.
        rename: A plain name -> the file's, such as chunked blocks.
        native: The side of the images it was trained on, where it is an encoder of images.
    """

    module: nn.Module
    table: Table
    init: Callable[[Any, jax.Array], Any]
    at: str = ""
    rename: Callable[[str], str] = str
    native: int | None = None


@dataclass(frozen=True)
class Family:
    """A family of published weights: how its files are recognised, read and written.

    Args:
        name: Of the family.
        build: (file at a part's prefix) -> {"encoder": Net, head: Net ...}.
        anchor: A regular expression of a tensor that each of its encoders has, without prefix.
        kinds: What config.json calls it: `model_type`, or "timm" or "open_clip".
        signs: Regular expressions; a name of the file must match each.
        foreign: Regular expressions that no name of the file may match.
        parts: The networks a file may hold, the default first: name -> regular expression of the prefix.
        kept: Patterns of tensors that no network uses and that are written back as they are.
        label: A regular expression that the file's name matches where nothing else decides.
        preprocess: (file) -> Preprocess.
        shared: (file at the first part's prefix) -> heads that belong to no part, such as I-JEPA's predictor.
        publisher, architectures, needs, licence, citation: For the list of families.
    """

    name: str
    build: Callable[[File], dict[str, Net]]
    anchor: str
    kinds: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    label: str = ""
    preprocess: Callable[[File], Any] = Preprocess.of
    shared: Callable[[File], dict[str, Net]] | None = None
    publisher: str = ""
    architectures: str = ""
    needs: str = ""
    licence: str = ""
    citation: str = ""

    def prefixes(self, file: File) -> dict[str | None, str]:
        """Finds the prefixes of its encoders in a file: part -> prefix."""
        anchor = re.compile(rf"((?:.*\.)?){self.anchor}")
        found = sorted({match[1] for name in file.tensors if (match := anchor.fullmatch(name))})
        if not self.parts:
            return {None: found[0]} if len(found) == 1 else {}
        patterns = {part: re.compile(CONTAINERS + pattern) for part, pattern in self.parts.items()}
        places = {
            part: next((prefix for prefix in found if pattern.fullmatch(prefix)), None)
            for part, pattern in patterns.items()
        }
        known: dict[str | None, str] = {part: prefix for part, prefix in places.items() if prefix is not None}
        if not known and len(found) == 1:  # one network, below a name that belongs to no part
            return {next(iter(self.parts)): found[0]}
        return known

    @property
    def tensor(self) -> str:
        """The anchor as a name."""
        return re.sub(r"\(\?[^)]*\)|\\", "", self.anchor)

    def likeness(self, file: File) -> float:
        """The share of its signs that some name matches, between 0 and 1."""
        return float(np.mean([_shown(sign, file) for sign in (self.anchor + "$", *self.signs)]))

    def barred(self, file: File) -> bool:
        """Whether a name matches a pattern that no file of this family has."""
        return any(_shown(sign, file) for sign in self.foreign)


def _shown(sign: str, file: File) -> bool:
    found = re.compile(rf"(?:.*\.)?{sign}")
    return any(found.match(name) for name in file.tensors)


class Placed(NamedTuple):
    """An entry with its full paths and names."""

    leaves: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    entry: Entry
    specs: tuple[Any, ...]


def place(net: Net, variables: Any, family: str) -> list[Placed]:
    """Finds for each leaf of a network the row of its table.

    Args:
        net: The network.
        variables: Its variables, or their shapes.
        family: Its name, for the error.
    Returns:
        One `Placed` per entry.
    Raises:
        ValueError: where a leaf has no row.
    """
    flat = flatten(variables)
    rows = [(_pattern(path), path, row) for path, row in net.table.items()]
    groups: dict[tuple[str, ...], tuple[Any, dict[str, tuple[str, ...]], dict[str, str]]] = {}
    homeless = []
    for leaf in flat:
        path = "/".join(leaf[1:])
        found = next(((row, name, match) for at, name, row in rows if (match := at.match(path))), None)
        if found is None:
            homeless.append("/".join(leaf))
            continue
        row, name, match = found
        key = (name, *match.groupdict().values(), match[0].rstrip("/"))
        below = path[match.end() :]
        groups.setdefault(key, (row, {}, match.groupdict()))[1][below] = leaf
    if homeless:
        raise ValueError(f"{family} has no name for {few(homeless)}; choose another family to save as")
    placed = []
    for (theirs, layout), leaves, numbers in groups.values():
        specs = {below: flat[leaf] for below, leaf in leaves.items()}
        for entry in layout(specs, _numbered(theirs, numbers), net.module):
            names = tuple(_named(net, name) for name in entry.names)
            paths = tuple(leaves[leaf] for leaf in entry.leaves)
            placed.append(Placed(paths, names, entry, tuple(specs[leaf] for leaf in entry.leaves)))
    return placed


def _named(net: Net, name: str) -> str:
    """A row's name in the file: below the network's prefix, or as it is after a slash."""
    return name[1:] if name.startswith("/") else net.at + net.rename(name)


def _pattern(path: str) -> re.Pattern:
    return re.compile(re.sub(r"\\\{(\w)\\\}", r"(?P<\1>\\d+)", re.escape(path)) + r"(?:/|$)")


def _numbered(theirs: Any, numbers: Mapping[str, str]) -> Any:
    if callable(theirs):
        return theirs(**{name: int(number) for name, number in numbers.items()})
    if isinstance(theirs, tuple):
        return tuple(_numbered(name, numbers) for name in theirs)
    return theirs.format(**numbers) if numbers else theirs


def shapes(net: Net) -> Any:
    """The shapes of a network's variables."""
    return jax.eval_shape(lambda key: net.init(net.module, key), jax.random.key(0))


def expected(placed: Placed) -> dict[str, tuple[int, ...]]:
    """The shapes of the published tensors of an entry."""
    nothing = tuple(np.broadcast_to(np.float32(0), spec.shape) for spec in placed.specs)
    written = placed.entry.write(nothing)
    return {name: array.shape for name, array in zip(placed.names, written, strict=True)}


def read(placed: list[Placed], tensors: Archive, dtype: Any) -> Variables:
    """Reads a network's variables leaf by leaf; names and shapes have been checked already.

    Args:
        placed: From `place`.
        tensors: Of the file.
        dtype: Of the parameters.
    Returns:
        Nested variables.
    """
    flat: dict[tuple[str, ...], jax.Array] = {}
    for paths, names, entry, specs in placed:
        arrays = entry.read(
            tuple(np.asarray(tensors[name].read()).astype(np.float32, copy=False) for name in names)
        )
        for path, array, spec in zip(paths, arrays, specs, strict=True):
            kind = dtype if path[0] == "params" else np.float32
            flat[path] = jnp.array(np.ascontiguousarray(array).reshape(spec.shape), dtype=kind)
    return unflatten_dict(flat)


def write(net: Net, variables: Variables, family: str) -> dict[str, np.ndarray]:
    """Converts a network's variables to arrays under the published names, float32.

    Args:
        net: The network.
        variables: Its variables.
        family: Its name.
    Returns:
        Arrays by name.
    Raises:
        ValueError: where the family has no place for a leaf.
    """
    flat = flatten(variables)
    arrays: dict[str, np.ndarray] = {}
    for paths, names, entry, _ in place(net, variables, family):
        given = tuple(np.asarray(flat[path], np.float32) for path in paths)
        try:
            written = entry.write(given)
        except ValueError as error:
            raise ValueError(f"{family}: {'/'.join(paths[0])}: {error}") from None
        arrays |= dict(zip(names, written, strict=True))
    return arrays


def flatten(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The leaves of nested mappings by their paths."""
    if not isinstance(tree, Mapping):
        return {path: tree}
    flat: dict[tuple[str, ...], Any] = {}
    for name, value in tree.items():
        flat |= flatten(value, (*path, name))
    return flat


def is_kept(family: Family, name: str, tensors: Archive) -> bool:
    """Whether a tensor that no network uses is written back as it is; an empty one always is."""
    empty = 0 in tensors[name].shape  # such as no registers [1, 0, D]
    return empty or any(fnmatch.fnmatch(name, pattern) for pattern in (*BUFFERS, *family.kept))


def few(names: list[str]) -> str:
    """Writes the first names of a list, and how many more there are."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "nothing"


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
