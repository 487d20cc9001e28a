"""How the code is written: methods are short, experiments too, and nothing is written twice."""

import ast
import inspect
import re
from collections import defaultdict
from pathlib import Path

import pytest

from jssl import methods
from jssl.methods import Method

ROOT = Path(__file__).resolve().parents[1]
METHODS = sorted((ROOT / "jssl/methods").rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").glob("[a-z]*.py"))
FRAMEWORK = ("base.py", "weighted.py")  # what methods are made of
RUN = 6  # lines that may not be the same in two places
NOT_COUNTED = re.compile(  # blank, imports, closing brackets, and a setting's value with what it means: every
    # experiment says all of its own, so that two papers with the same numbers have the same lines
    r"|(import|from) .*|[)\]}]+,?|\w+=[^()]*,|\w+: .+ = .*[^,]|\"\"\".*\"\"\"|\"\"\""
)


def functions():
    trees = {
        path: ast.parse(path.read_text())
        for path in (ROOT / "jssl/methods").glob("*.py")
        if path.name not in FRAMEWORK
    }
    return {
        node.name: node for tree in trees.values() for node in tree.body if isinstance(node, ast.FunctionDef)
    }


NAMES = sorted(functions())


def lines_of_code(node) -> int:
    """How many lines a function, class or module has after its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1


def test_every_method_is_looked_at():
    made = {name for name in methods.__all__ if inspect.isfunction(getattr(methods, name))}
    assert made - {"ema", "weighted_methods"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_methods_are_at_most_thirty_lines(name):
    assert lines_of_code(functions()[name]) <= 30


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_are_at_most_a_page(path):
    assert len(path.read_text().splitlines()) <= 120  # with its sources and a published variant


def test_no_change_is_told_twice():
    entries = re.split(r"\n+(?=- |#)", (ROOT / "CHANGELOG.md").read_text())
    begun = [" ".join(entry.split())[:60] for entry in entries if entry.startswith("- ")]
    assert len(begun) > 50 and not {words for words in begun if begun.count(words) > 1}


def test_no_file_is_longer_than_350_lines():
    folders = ("jssl", "experiments", "benchmarks", "tests")
    lengths = {
        path.relative_to(ROOT): len(path.read_text().splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert not {str(path): length for path, length in lengths.items() if length > 350}


def told() -> str:
    """What ARCHITECTURE.md says of the length of each method, file by file in the order of the alphabet."""
    found = functions()
    lengths = {
        name: lines_of_code(found[name])
        for name in NAMES
        if name in methods.__all__ and inspect.signature(getattr(methods, name)).return_annotation is Method
    }
    return " · ".join(f"{name} {length}" for name, length in lengths.items())


def test_the_architecture_says_how_long_each_method_is():
    written = " ".join((ROOT / "ARCHITECTURE.md").read_text().split())
    assert told() in written, f"ARCHITECTURE.md should say, under Frames:\n\n{told()}"


def runs(path):
    """Every run of six lines, without indentation, and where it begins; lines of `NOT_COUNTED` are left
    out.
    """
    lines = [(number, line.strip()) for number, line in enumerate(path.read_text().splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if not NOT_COUNTED.fullmatch(line)]
    for i in range(len(lines) - RUN + 1):
        yield "\n".join(line for _, line in lines[i : i + RUN]), f"{path.relative_to(ROOT)}:{lines[i][0]}"


def test_no_six_lines_stand_in_two_places():
    places = defaultdict(list)
    for path in [*METHODS, *EXPERIMENTS]:
        for text, place in runs(path):
            places[text].append(place)
    twice = [f"{' and '.join(where)}:\n{text}" for text, where in places.items() if len(where) > 1]
    assert not twice, f"{len(twice)} runs of {RUN} lines stand in two places:\n\n" + "\n\n".join(twice)


def test_settings_are_left_out_and_code_is_not():
    settings = [
        "batch: Count = 2048",
        '"""Of the joint space."""',
        "epochs=10,",
        "rate: float | None = None",
        ")",
        "",
    ]
    code = [
        "network = self.network()",
        "momentum: float = 0.99,",
        "return clip(network, text)",
        "queue: int,",
    ]
    assert all(NOT_COUNTED.fullmatch(line) for line in settings)
    assert not any(NOT_COUNTED.fullmatch(line) for line in code)
