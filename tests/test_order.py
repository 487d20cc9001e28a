"""The order of the house: imports run one way, every module is found under its name, and a name means one
thing.
"""

import ast
import graphlib
import importlib
import itertools
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = (  # what a layer may import: itself and those above it in this list
    ("arrays", "checkpoint", "citations", "extras", "sharding"),
    ("masks", "objectives", "models", "optim"),
    ("data", "weights"),
    ("methods",),
    ("train",),
    ("evaluate",),
    ("run",),
    ("experiments", "command", "__main__", "jssl"),  # jssl: the names that `import jssl` offers
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FOLDERS = [ROOT / name for name in ("jssl", "experiments", "tests", "benchmarks")]
TEXTS = (".py", ".md", ".toml", ".txt", ".cff", ".ipynb", ".yml", ".yaml", ".cfg")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for folder in ("jssl", "experiments")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def imported(name: str, path: Path, modules=MODULES) -> Iterator[tuple[str, int]]:
    """Yields the modules that one imports by name, in functions too, each with its line."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: 1 - node.level or None]) if node.level else ""
            base = ".".join(part for part in (base, node.module) if part)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            found = [module if module in modules else base for module in inner]
        else:
            continue
        for module in dict.fromkeys(found):
            if module in modules and module != name:
                yield module, node.lineno


def layer(module: str) -> str:
    """The folder or file right inside jssl that a module belongs to.

    >>> layer("jssl.models.encoders.vit"), layer("jssl"), layer("experiments.dino")
    ('models', 'jssl', 'experiments')
    """
    parts = module.split(".")
    return parts[1] if parts[0] == "jssl" and len(parts) > 1 else parts[0]


def test_every_module_has_a_layer():
    unknown = {layer(module) for module in MODULES} - set(RANK)
    assert not unknown, f"{', '.join(sorted(unknown))}: say in LAYERS where this belongs"


def test_no_arrow_runs_back():
    back = [
        f"{path.relative_to(ROOT)}:{line}: {layer(name)} imports {module}"
        for name, path in MODULES.items()
        for module, line in imported(name, path)
        if RANK.get(layer(module), 0) > RANK.get(layer(name), 0)
    ]
    assert not back, "imports that run back:\n" + "\n".join(back)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other around, the first again at the end; empty where there is no circle."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1][::-1]
    return []


def test_no_circle_of_imports():
    graph = {name: {module for module, _ in imported(name, path)} for name, path in MODULES.items()}
    graph["jssl"] = set()  # whatever it offers is below it; what is below imports it in no layer but the last
    assert not (found := circle(graph)), " -> ".join(found)


def test_a_circle_and_an_import_in_a_function_are_seen(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    from jssl.b import g\n")
    (tmp_path / "b.py").write_text("import jssl.a as a\n")
    modules = {"jssl.a": tmp_path / "a.py", "jssl.b": tmp_path / "b.py"}
    graph = {name: {found for found, _ in imported(name, path, modules)} for name, path in modules.items()}
    assert graph == {"jssl.a": {"jssl.b"}, "jssl.b": {"jssl.a"}}
    assert (
        set(circle(graph)) == {"jssl.a", "jssl.b"} and circle({"jssl.a": {"jssl.b"}, "jssl.b": set()}) == []
    )


@pytest.mark.parametrize("package", ["jssl", "experiments"])
def test_every_module_is_found_under_its_name(package):
    hidden = []
    for info in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        parent, _, name = info.name.rpartition(".")
        if name == "__main__":
            continue
        importlib.import_module(info.name)
        if getattr(sys.modules[parent], name) is not sys.modules[info.name]:
            hidden.append(f"{info.name} is hidden by {getattr(sys.modules[parent], name)!r}")
    assert not hidden, "\n".join(hidden)


def one_letter_apart(a: str, b: str) -> bool:
    """Whether one letter more, less or another makes two names equal.

    >>> [one_letter_apart("plan", b) for b in ("plans", "plank", "play", "plan", "planes")]
    [True, True, True, False, False]
    """
    short, long = sorted((a, b), key=len)
    same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(short, long, strict=False))))
    if len(short) == len(long):
        return short != long and short[same + 1 :] == long[same + 1 :]
    return len(long) - len(short) == 1 and short[same:] == long[same + 1 :]


def stems(folder: Path) -> set[str]:
    entries = (path for path in folder.iterdir() if path.is_dir() or path.suffix == ".py")
    return {path.stem for path in entries if not path.name.startswith(("_", "."))}


SYSTEMS = stems(ROOT / "experiments")  # their papers have named them: CLIP, SLIP
ONE_AND_MANY = {"source", "sources"}  # of jssl/data: what a source is, and the folder of them


def test_no_two_names_differ_by_one_letter():
    alike = []
    for folder in [path for top in FOLDERS for path in (top, *top.rglob("*/")) if path.is_dir()]:
        names = stems(folder) | ({"experiments"} if folder == ROOT / "jssl" else set())
        for a, b in itertools.combinations(sorted(name.removeprefix("test_") for name in names), 2):
            if one_letter_apart(a, b) and not ({a, b} <= SYSTEMS or {a, b} == ONE_AND_MANY):
                alike.append(f"{folder.relative_to(ROOT)}: {a} and {b}")
    assert not alike, "\n".join(alike)


def test_no_file_is_named_for_nothing():
    empty = {"utils", "util", "helpers", "helper", "common", "misc"}
    found = [path for top in FOLDERS for path in top.rglob("*") if path.stem in empty]
    assert not found, found


def texts() -> Iterator[Path]:
    for folder in [*FOLDERS, ROOT / "docs", ROOT / "notebooks"]:
        yield from (path for path in sorted(folder.rglob("*")) if path.suffix in TEXTS)
    yield from (path for path in sorted(ROOT.iterdir()) if path.suffix in TEXTS or path.name == "Makefile")


def test_a_word_that_meant_three_things_is_gone():
    word = "epicer"[::-1]  # backwards, so that nobody finds it here either
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts()
        for number, line in enumerate([path.name, *path.read_text().splitlines()])
        if word in line.lower()
    ]
    assert not found, f"{len(found)} lines say {word!r}:\n" + "\n".join(found)
