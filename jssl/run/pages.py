"""Writes what `jssl list` prints, and each system's page, from the registry, experiments and methods."""

import ast
import inspect
import textwrap
from types import FunctionType, ModuleType
from typing import Any

from jssl.run.settings.systems import (
    System,
    experiments,
    markdown_table,
    module_of,
    named,
    settings_page,
    settings_table,
    text_table,
    weights_table,
)

ENGINES = {  # by the first words of a system's kind
    "siamese": "One network sees every view of an image, and its outputs are compared.",
    "self-distillation": "A teacher, the running mean of the network that learns, makes the targets.",
    "masked prediction": "A part of each image is hidden and predicted from the rest.",
    "joint-predictive": "A teacher's features of some parts of an image are predicted from another part.",
    "towers": "Images and captions are encoded into one space by a network each.",
    "distillation": "A network learns to predict a frozen network's outputs for the same images.",
    "pretext": "A transform of the image makes the label to predict, so that nobody has to annotate it.",
    "autoencoder": "An image is reconstructed from a network's code of it.",
    "discrete autoencoder": "An image is reconstructed from a network's code of it.",
    "supervised": "A pretrained network is trained further with labels.",
}
ONLY_COMBINE = ("jssl.objectives.base", "jssl.methods.base", "jssl.methods.pairs", "jssl.methods.frames")


def page(name: str, system: System) -> str:
    """Writes the page of a system: what it is, its algorithm as code, the paper's numbers, our demo's.

    Args:
        name: The system's, in the registry.
        system: Its entry there.
    Returns:
        Markdown.
    """
    head, *paragraphs = (inspect.getdoc(named(name)) or "").split("\n\n")
    idea = " ".join(head.split(": ", 1)[-1].partition("arXiv:")[0].split())
    commands = [text for text in paragraphs if text.startswith("jssl ")]
    code = [f"{_first_sentence(part)}\n\n{_fenced(_code_of(part), 'python')}" for part in algorithm(name)]
    return "\n\n".join(
        [
            f"# {system.title}",
            f"{idea[0].upper()}{idea[1:]} {engine(system.kind)} It learns from {system.needs}.",
            f"[arXiv:{system.paper}](https://arxiv.org/abs/{system.paper}) · {system.kind}",
            *map(_fenced, commands),
            "## The algorithm",
            *code,
            "## The paper's numbers",
            *(text for text in paragraphs if text not in commands),
            settings_table(name),
            "## Our demo's figures",
            _figures_of(name, system),
        ]
    )


def engine(kind: str) -> str:
    """Says in one sentence what the engine of a kind does.

    Raises:
        ValueError: where `ENGINES` has no sentence for it.
    """
    for begins, sentence in ENGINES.items():
        if kind.startswith(begins):
            return sentence
    raise ValueError(f"no sentence for the kind {kind!r}; ENGINES of {__name__} has {', '.join(ENGINES)}")


def algorithm(name: str) -> list[FunctionType]:
    """Finds the functions that are a system's algorithm: its method, those that it is made of, their losses.

    Functions that only combine others, such as a frame or a sum of losses, are left out.

    Args:
        name: The system's, in the registry.
    Returns:
        Functions of `jssl.methods` and `jssl.objectives`, each once, the method first.
    """
    found: dict[FunctionType, None] = {}
    waiting = _named_in(named(name).build)
    while waiting:
        part = waiting.pop(0)
        if part in found or part.__module__.startswith(ONLY_COMBINE):
            continue
        if part.__module__.startswith(("jssl.methods", "jssl.objectives")):
            found[part] = None
        if part.__module__.startswith("jssl.methods"):
            waiting += _named_in(part)
    return list(found)


def _named_in(function: Any) -> list[FunctionType]:
    """The functions of modules that a function's code names, in its order."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    nodes = sorted(
        (node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)),
        key=lambda node: (node.lineno, node.col_offset),
    )
    values = [_value(node, function.__globals__) for node in nodes]
    return [value for value in values if isinstance(value, FunctionType)]


def _value(node: ast.Name | ast.Attribute, scope: dict[str, Any]) -> Any:
    """The value of a name, or of a name in a module; None for a local one."""
    if isinstance(node, ast.Name):
        value = scope.get(node.id)
    else:
        module = scope.get(node.value.id) if isinstance(node.value, ast.Name) else None
        value = getattr(module, node.attr, None) if isinstance(module, ModuleType) else None
    return inspect.unwrap(value) if callable(value) else value


def _first_sentence(function: FunctionType) -> str:
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


def _code_of(function: FunctionType) -> str:
    """A function's source without its docstring."""
    source = textwrap.dedent(inspect.getsource(function))
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.FunctionDef)
    told, *rest = tree.body
    lines = source.splitlines()
    if rest and ast.get_docstring(tree):
        lines = lines[: told.lineno - 1] + lines[told.end_lineno :]
    return "\n".join(lines)


def _fenced(code: str, language: str = "") -> str:
    return f"```{language}\n{code}\n```"


def _figures_of(name: str, system: System) -> str:
    probes = {"kNN": system.knn, "linear probe": system.linear}
    rows = [f"| {probe} | {pair[0]} | {pair[1]} |" for probe, pair in probes.items() if pair]
    if not rows:
        return f"Not measured yet. `jssl train {name} --demo` runs it."
    table = ["| top-1, % | random network | learned |", "|---|---|---|", *rows]
    return f"`jssl train {name} --demo`, some minutes on a CPU:\n\n" + "\n".join(table)


LISTING = """usage: jssl list [NAME | --weights | --markdown | --settings]

    jssl list                 every system: its paper, its data, what its demo reaches
    jssl list dino            one of them: its algorithm as code, the paper's numbers, our demo's
    jssl list --weights       published weights by name, with their licences
    jssl list --settings      every setting of every system, as published and in our demos
    jssl list --markdown      the table of the README"""


def listing(arguments: list[str]) -> None:
    """Prints all systems: `jssl list`; a system's page by its name; `--weights` published weights,
    `--markdown` the README's table, `--settings` docs/systems.md.
    """
    registry = experiments().REGISTRY
    pages = {
        "": lambda: text_table(registry),
        "--markdown": lambda: markdown_table(registry),
        "--settings": lambda: settings_page(registry),
        "--weights": weights_table,
    }
    asked = " ".join(arguments)
    if asked in ("-h", "--help"):
        print(LISTING)
    elif asked in pages:
        print(pages[asked]())
    elif asked.startswith("-"):
        raise ValueError(f"jssl list takes {', '.join(filter(None, pages))} or a system's name, got {asked}")
    else:
        module_of(asked)  # names the nearest system where there is none of this name
        print(page(asked, registry[asked]))
