"""Public docstrings have one form: a sentence, then Args, Returns, Raises, References as the documentation
renders them.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [path for path in sorted((ROOT / "jssl").rglob("*.py")) if not path.stem.startswith("_")]
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "References", "Examples", "Notes")
Public = ast.FunctionDef | ast.ClassDef


def public(tree: ast.Module) -> Iterator[tuple[str, Public]]:
    """Yields public functions and classes of a module, and the public methods of its classes."""
    for node in tree.body:
        if isinstance(node, Public) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                inner = (child for child in node.body if isinstance(child, ast.FunctionDef))
                yield from ((f"{node.name}.{child.name}", child) for child in inner if child.name[0] != "_")


def arguments(node: Public) -> list[str]:
    """The arguments of a function; of a class, its fields and those of its constructor."""
    if isinstance(node, ast.ClassDef):
        fields = [child.target.id for child in node.body if isinstance(child, ast.AnnAssign)]
        made = [
            child for child in node.body if isinstance(child, ast.FunctionDef) and child.name == "__init__"
        ]
        return fields + [name for child in made for name in arguments(child)]
    args = node.args
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    names += [arg.arg for arg in (args.vararg, args.kwarg) if arg]
    return [name for name in names if name not in ("self", "cls")]


def parts(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """Cuts a docstring into the lines before its sections, and the lines of each section."""
    before: list[str] = []
    sections: dict[str, list[str]] = {}
    lines = before
    for line in text.splitlines():
        name = line.removesuffix(":")
        if name in SECTIONS and line.endswith(":"):
            lines = sections.setdefault(name, [])
        elif line and not line.startswith(" ") and sections:
            lines = before  # prose again
            lines.append(line)
        else:
            lines.append(line)
    return before, sections


def documented(lines: list[str]) -> list[str]:
    """The names that a section of arguments has entries for, `a, b: text` being one for each."""
    entries = (re.match(r" {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \(.*?\))?:", line) for line in lines)
    return [name.lstrip("*") for entry in entries if entry for name in entry[1].split(", ")]


def faults(node: Public) -> list[str]:
    """Says what is wrong with the form of a docstring."""
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    names = arguments(node)
    if not text:
        return []
    before, sections = parts(text)
    found = [f"has {name} without entries" for name, lines in sections.items() if not any(lines)]
    sentence = text.partition("\n\n")[0].partition("arXiv:")[0].strip()
    if sentence[-1] not in ".:":
        found.append("does not begin with a sentence")
    for line in before:
        if line.startswith(">>>"):
            found.append("has an example that is not under Examples:")
        word = re.match(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*): ", line)
        if word and word[1] in SECTIONS:
            found.append(f"has text beside {word[1]}:")
        elif word and set(re.split(r"\W+", word[1])) & set(names):
            found.append(f"documents {word[1]} outside of Args:")
    given = documented(sections.get("Args", []))
    found += [f"documents {name}, which is no argument" for name in given if name not in names]
    entries = [line for line in sections.get("Raises", []) if re.match(r" {4}\S", line)]
    found += [f"has a line under Raises without an error: {line}" for line in entries if ": " not in line]
    order = [name for name in sections if name not in ("Notes", "Examples")]
    if order != sorted(order, key=SECTIONS.index):
        found.append(f"has {', '.join(order)} in another order than {', '.join(SECTIONS)}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_have_one_form(path):
    tree = ast.parse(path.read_text())
    found = [
        f"{path.name}:{node.lineno} {name} {fault}" for name, node in public(tree) for fault in faults(node)
    ]
    assert not found, "\n".join(found)


GOOD = '''
def f(images, *, size: int = 3):
    """Makes images small.

    Args:
        images: [B, H, W, C].
        size: the side of the result.
    Returns:
        [B, size, size, C].
    Raises:
        ValueError: where size is 0.
    Examples:
        >>> f(1)
    """
'''


@pytest.mark.parametrize(
    "old, new, fault",
    [
        ("[B, H", "[B, H", None),
        (
            "    Args:\n        images: [B, H, W, C].\n    ",
            "    images: [B, H, W, C].\n    ",
            "outside of Args",
        ),
        ("    Returns:\n        [B", "    Returns: [B", "text beside Returns"),
        ("        size: the", "        scale: the", "documents scale, which is no argument"),
        ("Makes images small.", "Small images", "does not begin with a sentence"),
        ("    Examples:\n        >>>", "\n    >>>", "an example that is not under Examples"),
        ("ValueError: where size is 0.", "As `g`.", "without an error"),
        ("        ValueError: where size is 0.\n", "", "Raises without entries"),
        ("    Args:", "    Raises:\n        KeyError: never.\n    Args:", "another order"),
    ],
)
def test_the_form_is_recognised(old, new, fault):
    assert old in GOOD
    (_, node), *_ = public(ast.parse(GOOD.replace(old, new)))
    found = faults(node)
    assert (found == []) if fault is None else any(fault in text for text in found), found
