"""Pages of the site that are files of the repository's root, with their links as they are here."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = {
    "contributing.md": "CONTRIBUTING.md",
    "architecture.md": "ARCHITECTURE.md",
    "changes.md": "CHANGELOG.md",
}
HERE = {name: page for page, name in PAGES.items()}


def on_page_markdown(markdown, page, **_):
    """Gives a page the text of its file."""
    if page.file.src_path not in PAGES:
        return markdown
    text = (ROOT / PAGES[page.file.src_path]).read_text()
    text = re.sub(r"\]\((\w+\.md)", lambda link: f"]({HERE.get(link[1], link[1])}", text)
    return text.replace("](docs/", "](")
