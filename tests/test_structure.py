"""How the code is written: recipes are short, experiments too, and nothing is written twice."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from jssl import methods

ROOT = Path(__file__).resolve().parents[1]
METHODS, EXPERIMENTS = (
    sorted((ROOT / "jssl/methods").rglob("*.py")),
    sorted((ROOT / "experiments").glob("*.py")),
)
FRAMEWORK = ("base.py", "weighted.py")  # what recipes are made of
RUN = 6  # lines that may not be the same in two places


def functions():
    trees = {
        path: ast.parse(path.read_text())
        for path in (ROOT / "jssl/methods").glob("*.py")
        if path.name not in FRAMEWORK
    }
    return {
        node.name: node for tree in trees.values() for node in tree.body if isinstance(node, ast.FunctionDef)
    }


RECIPES = sorted(functions())


def test_every_recipe_is_looked_at():
    assert set(methods.__all__) - {"Method", "weighted_methods"} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_methods_are_at_most_thirty_lines(name):
    """Of code, after the docstring; a method's arguments and what they mean take what they take."""
    node = functions()[name]
    body = node.body[1:] if ast.get_docstring(node) else node.body
    assert body[-1].end_lineno - body[0].lineno + 1 <= 30


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_are_at_most_sixty_lines(path):
    assert len(path.read_text().splitlines()) <= 60


def runs(path):
    """Every run of six lines, without indentation, and where it begins; blank lines and imports do not count."""
    lines = [(number, line.strip()) for number, line in enumerate(path.read_text().splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(("import ", "from "))]
    for i in range(len(lines) - RUN + 1):
        yield "\n".join(line for _, line in lines[i : i + RUN]), f"{path.relative_to(ROOT)}:{lines[i][0]}"


def test_no_six_lines_stand_in_two_places():
    places = defaultdict(list)
    for path in [*METHODS, *EXPERIMENTS]:
        for text, place in runs(path):
            places[text].append(place)
    twice = [f"{' and '.join(where)}:\n{text}" for text, where in places.items() if len(where) > 1]
    assert not twice, f"{len(twice)} runs of {RUN} lines stand in two places:\n\n" + "\n\n".join(twice)
