"""What is known of each system besides its experiment, and the tables made of it."""

import difflib
import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

from jssl import weights
from jssl.run.experiment import Settings


class System(NamedTuple):
    """One system.

    Attributes:
        title: As its paper writes it.
        experiment: The name of its class.
        paper: arXiv number.
        kind: The engine that it runs on, and what is particular about it.
        needs: The data that it learns from.
        knn, linear: Top-1 accuracy in percent of the demo's random network and of what it learned; None: not measured.
    """

    title: str
    experiment: str
    paper: str
    kind: str
    needs: str = "images"
    knn: tuple[float, float] | None = None
    linear: tuple[float, float] | None = None

    @property
    def reaches(self) -> str:
        """What its demo reaches, in words."""
        probes = {"kNN": self.knn, "linear": self.linear}
        return (
            ", ".join(f"{probe} {pair[0]} -> {pair[1]}" for probe, pair in probes.items() if pair)
            or "not measured"
        )


def experiments() -> ModuleType:
    """The package of all systems' experiments. It stands above this one, so that it is imported when asked for alone."""
    return importlib.import_module("jssl.experiments")


def module_of(name: str) -> ModuleType:
    """The module of a system: its experiment's class and its `demo`.

    Raises:
        ValueError: for an unknown name, with the nearest one.
    """
    known = experiments().REGISTRY
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        meant = f", did you mean {near[0]}" if near else ""
        raise ValueError(f"unknown system {name!r}{meant}; `jssl list` shows them all")
    return importlib.import_module(f"{experiments().__name__}.{name}")


def named(name: str) -> type[Settings]:
    """The class of a system's settings, by the system's name."""
    return getattr(module_of(name), experiments().REGISTRY[name].experiment)


def markdown_table(registry: Mapping[str, System]) -> str:
    """All systems as the README shows them."""
    lines = [
        "| name | system | paper | kind | needs | its demo: random network -> learned |",
        "|---|---|---|---|---|---|",
    ]
    for name, system in registry.items():
        paper = f"[{system.paper}](https://arxiv.org/abs/{system.paper})"
        lines.append(
            f"| `{name}` | {system.title} | {paper} | {system.kind} | {system.needs} | {system.reaches} |"
        )
    return "\n".join(lines)


def text_table(registry: Mapping[str, System]) -> str:
    """All systems for a terminal."""
    rows = [("name", "paper", "kind", "needs", "its demo: random network -> learned")]
    return _aligned(rows + [(name, s.paper, s.kind, s.needs, s.reaches) for name, s in registry.items()])


def weights_table() -> str:
    """All published weights for a terminal: what `--start`, `jssl embed` and `jssl.weights.load` know by name."""
    columns = ("name", "family", "licence", "from")
    return _aligned([columns, *(tuple(row[column] for column in columns) for row in weights.names())])


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def listing(arguments: list[str]) -> None:
    """Prints all systems: `jssl list`, or `jssl list --markdown` for the README; `jssl list --weights` published weights."""
    tables = {
        "": lambda: text_table(experiments().REGISTRY),
        "--markdown": lambda: markdown_table(experiments().REGISTRY),
        "--weights": weights_table,
    }
    asked = " ".join(arguments)
    if asked not in tables:
        raise ValueError(f"jssl list takes --weights, --markdown or nothing, got {asked}")
    print(tables[asked]())


BEGIN, END = "<!-- systems -->", "<!-- /systems -->"


def with_table(text: str, registry: Mapping[str, System]) -> str:
    """A Markdown text with the table between its two marks made anew.

    Raises:
        ValueError: where the text lacks one of the marks.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"the text needs a line {BEGIN} and, after it, a line {END}")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{markdown_table(registry)}\n{END}{rest.partition(END)[2]}"
