"""Facts about each system besides its experiment, and the tables made of them."""

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any, NamedTuple

from jssl import weights
from jssl.run.settings.experiment import Settings


class System(NamedTuple):
    """One system.

    Attributes:
        title: As its paper writes it.
        experiment: The name of its class.
        paper: arXiv number.
        kind: The engine that it runs on, and what is particular about it.
        needs: The data that it learns from.
        knn, linear: Top-1 accuracy in percent of the demo's random network and of what it learned; None: not
            measured.
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
        """The scores of its demo, in words."""
        probes = {"kNN": self.knn, "linear": self.linear}
        return (
            ", ".join(f"{probe} {pair[0]} -> {pair[1]}" for probe, pair in probes.items() if pair)
            or "not measured"
        )


def experiments() -> ModuleType:
    """Imports the package of all experiments, in a function, because it is a layer above this one."""
    return importlib.import_module("jssl.experiments")


def module_of(name: str) -> ModuleType:
    """Imports the module of a system, which holds its experiment's class and its `demo`.

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
    """Finds the class of a system's settings by the system's name."""
    return getattr(module_of(name), experiments().REGISTRY[name].experiment)


def markdown_table(registry: Mapping[str, System]) -> str:
    """Writes the table of all systems that the README shows."""
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
    """Writes the table of all systems for a terminal."""
    rows = [("name", "paper", "kind", "needs", "its demo: random network -> learned")]
    return aligned(rows + [(name, s.paper, s.kind, s.needs, s.reaches) for name, s in registry.items()])


def weights_table() -> str:
    """Writes all published weights for a terminal: the names for `--start`, `jssl embed`, `weights.load`."""
    columns = ("name", "family", "licence", "from")
    return aligned([columns, *(tuple(row[column] for column in columns) for row in weights.names())])


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Writes rows as columns of equal width.

    Examples:
        >>> print(aligned([("a", "b"), ("long", "c")]))
        a     b
        long  c
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


# settings of how data is read and programs are compiled
NOT_PUBLISHED = {"data", "data_dir", "canvas", "scan", "remat", "attention"}
# settings that papers seldom state: shown where a run of the system differs from all others
OURS = {"share", "per_class", "only", "start", "continued_rate", "frozen_blocks", "lora"}


def settings_page(registry: Mapping[str, System]) -> str:
    """Writes docs/systems.md: all systems' settings as published and in our demos, with the source of each.

    A module says in SOURCES where its numbers come from, by the setting's name, and under "" for all others.
    """
    return "\n".join([PREFACE, *(_settings_of(name, system) for name, system in registry.items())])


PREFACE = """# Systems: as published, and our demos

Each experiment's own settings are one published run, whole. A demo runs on a CPU in minutes; its settings
are our own choice, and where a cell is empty they are the published ones. A column with a name is another
run, in the system's file under that name. Rates are given as their class has
them: `learning_rate` at the peak, for `rate_per` images; `start_rate` and `final_rate` as shares of the peak.
Spans (`warmup`, `drops`, `frozen` ...) are in epochs. Where code and paper differ, the code of the run that
made the quoted figure counts. Rates move step by step; where the source of `learning_rate` says so, once in
an epoch.

This page is made from the experiments: `jssl list --settings > docs/systems.md`.
"""


def _settings_of(name: str, system: System) -> str:
    paper = f"[{system.paper}](https://arxiv.org/abs/{system.paper})"
    return "\n".join(
        [f"## {system.title}", "", f"{paper} · `jssl train {name}`", "", settings_table(name), ""]
    )


def settings_table(name: str) -> str:
    """Writes a system's settings as published, in the other runs of its file and in our demo, with sources.

    Args:
        name: The system's.
    Returns:
        A table in Markdown; an empty cell means the published value.
    """
    kind: Any = named(name)  # every field has a default
    published, module = kind(), module_of(name)
    others = {title: run for title, run in vars(module).items() if isinstance(run, kind) and title != "demo"}
    runs = {f"`{title}`": run for title, run in others.items()} | {"our demo": module.demo}
    lines = [
        f"| setting | as published | {' | '.join(runs)} | source |",
        "|---|---" + "|---" * len(runs) + "|---|",
    ]
    for field in fields(published):
        if field.name in NOT_PUBLISHED:
            continue
        own = getattr(published, field.name)
        shown = [
            _cell(value) if value != own else ""
            for value in (getattr(run, field.name) for run in runs.values())
        ]
        ours = field.name in OURS and own == getattr(Settings, field.name, own)
        if ours and not any(shown):
            continue
        source = "" if ours or own is None else module.SOURCES.get(field.name, module.SOURCES[""])
        lines.append(f"| `{field.name}` | {_cell(own)} | {' | '.join(shown)} | {source} |")
    return "\n".join(lines)


def _cell(value) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_cell, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)
