"""The losses that authors' numbers are checked of are those that methods train by."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ("test_objective_golden.py", "test_remembered_golden.py", "../methods/test_color_laws.py")


def named(tree) -> set[str]:
    """Every name that a piece of code reads or imports."""
    nodes = list(ast.walk(tree))
    imported = {one.name for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names}
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return imported | read | {node.id for node in nodes if isinstance(node, ast.Name)}


def parsed(folder):
    return [ast.parse(path.read_text()) for path in sorted((ROOT / folder).rglob("*.py"))]


OBJECTIVES = {
    node.name: named(node)
    for tree in parsed("jssl/objectives")
    for node in tree.body
    if isinstance(node, ast.FunctionDef)
}
TESTS = [
    node
    for file in GOLDEN
    for node in ast.parse((Path(__file__).parent / file).read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test") and "load" in named(node)
]


def trained_by() -> set[str]:
    """The functions of `jssl.objectives` that a method calls, itself or through another of them."""
    found, new = set(), set().union(*map(named, parsed("jssl/methods")))
    while new := (new & OBJECTIVES.keys()) - found:
        found |= new
        new = set().union(*(OBJECTIVES[name] for name in new))
    return found


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_a_golden_case_calls_what_a_method_trains_by(test):
    called = named(test) & OBJECTIVES.keys()
    decoding = {"annealed_mean"}  # makes pictures of colorization's outputs
    assert called - decoding <= trained_by(), called


def test_what_no_method_calls_is_found():
    assert "cached_gradients" in OBJECTIVES.keys() - trained_by()
    assert {"nt_xent", "koleo", "place_contrast"} <= trained_by()
