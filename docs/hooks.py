"""Pages that are made when the site is built: files of the repository's root, and one for each system."""

import re
from pathlib import Path

from jssl.experiments import REGISTRY

from jssl.run.pages import page as page_of

ROOT = Path(__file__).parent.parent
PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "architecture.md": "ARCHITECTURE.md",
    "changes.md": "CHANGELOG.md",
}
HERE = {name: page for page, name in PAGES.items()}


def on_config(config):
    """Puts the systems' pages under the page of all of them in the site's table."""
    ours = [{system.title: f"systems/{name}.md"} for name, system in REGISTRY.items()]
    nav = [
        {"Systems": [{"All settings": entry["Systems"]}, *ours]} if "Systems" in entry else entry
        for entry in config.nav
    ]
    config.nav = nav
    return config


def on_files(files, config):
    """Adds a page for each system, made of the registry."""
    from mkdocs.structure.files import File

    for name, system in REGISTRY.items():
        files.append(File.generated(config, f"systems/{name}.md", content=page_of(name, system)))
    return files


def on_page_markdown(markdown, page, **_):
    """Gives a page the text of its file."""
    if page.file.src_path not in PAGES:
        return markdown
    text = (ROOT / PAGES[page.file.src_path]).read_text()
    text = re.sub(r"\]\((\w+\.md)", lambda link: f"]({HERE.get(link[1], link[1])}", text)
    return text.replace("](docs/", "](")
