"""The site has a page for everything public."""

import inspect
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from jssl.experiments import REGISTRY

import jssl

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.mark.parametrize("package", [jssl.methods, jssl.objectives, jssl.masks], ids=lambda x: x.__name__)
def test_the_page_of_the_interface_has_every_public_function(package):
    entry = re.compile(r"^::: (\S+)(?:\n    options: {members: \[(.*)\]})?$", re.MULTILINE)
    listed = {module: members for module, members in entry.findall((DOCS / "api.md").read_text())}
    for name in (name for name in package.__all__ if inspect.isfunction(getattr(package, name))):
        function = getattr(package, name)
        members = listed.get(function.__module__)
        assert members is not None, f"docs/api.md has no {function.__module__}"
        assert not members or function.__name__ in members.split(", "), f"docs/api.md leaves {name} out"


def test_every_page_is_in_the_sites_table():
    listed = (ROOT / "mkdocs.yml").read_text()
    assert all(f" {page.name}" in listed for page in DOCS.glob("*.md"))


def test_the_site_gets_a_page_for_each_system(monkeypatch):
    class File(NamedTuple):
        path: str
        content: str

        @classmethod
        def generated(cls, config, path, *, content):
            return cls(path, content)

    monkeypatch.setitem(sys.modules, "mkdocs.structure.files", SimpleNamespace(File=File))
    hooks = runpy.run_path(str(DOCS / "hooks.py"))
    config = SimpleNamespace(nav=[{"Start": "start.md"}, {"Systems": "systems.md"}])
    files = hooks["on_files"]([], hooks["on_config"](config))
    start, (systems,) = config.nav[0], config.nav[1].values()
    assert start == {"Start": "start.md"} and systems[0] == {"All settings": "systems.md"}
    assert [path for entry in systems[1:] for path in entry.values()] == [file.path for file in files]
    assert {file.path: file.content.split("\n")[0] for file in files} == {
        f"systems/{name}.md": f"# {system.title}" for name, system in REGISTRY.items()
    }


@pytest.mark.skipif("JSSL_SITE" not in os.environ, reason="JSSL_SITE says where mkdocs is installed")
def test_the_site_is_built_without_a_warning(tmp_path):
    build = [os.environ["JSSL_SITE"], "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "start" / "index.html").exists()
    assert all((tmp_path / "site" / "systems" / name / "index.html").exists() for name in REGISTRY)
