"""The report of a run on one self-contained page: results, then figures, then settings."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jssl.evaluate.figures.style import DPI
from jssl.evaluate.protocols.base import heading, is_share, shown
from jssl.evaluate.table import LEARNED, Table, metrics_of

CSS_DPI = 96  # pixels of a page in an inch

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5f6c7b; --line: #e3e7ec; --page: #fbfcfd;
  --card: #ffffff; --accent: #2f66d0; --tint: #eaf0fb; --alarm: #b3372f; --alarm-tint: #fdefed; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaef; --soft: #98a4b1; --line: #2b333d;
  --page: #12161b; --card: #1a2027; --accent: #7ea6f4; --tint: #1e2a40; --alarm: #f29a92;
  --alarm-tint: #36201f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 0.75rem; }
h2 { font-size: 1.15rem; margin: 3rem 0 1rem; }
p { max-width: 44rem; margin: 0 0 0.75rem; color: var(--soft); }
ul.alarm { list-style: none; margin: 1.5rem 0; padding: 0.9rem 1.2rem; border-left: 3px solid var(--alarm);
  background: var(--alarm-tint); border-radius: 6px; }
.scroll { overflow-x: auto; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.2rem 1.2rem; margin: 1.5rem 0;
  font-size: 0.9rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 0.8rem 1rem;
  overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 0.85rem/1.7 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
table.results { width: 100%; max-width: 44rem; margin: 2rem 0; }
th { font-weight: 600; text-align: left; }
table.results thead th { color: var(--soft); font-size: 0.85rem; }
table.results th, table.results td { padding: 0.55rem 0.9rem; border-bottom: 1px solid var(--line); }
table.results tbody th { font-weight: 400; white-space: nowrap; }
table.results tr.learned { background: var(--tint); }
table.results tr.learned th, table.results tr.learned .number { font-weight: 700; color: var(--accent); }
td .number { display: inline-block; width: 3.2rem; text-align: right; margin-right: 0.8rem; }
td .bar { display: inline-block; height: 0.5rem; border-radius: 3px; background: var(--soft); opacity: 0.45;
  vertical-align: middle; }
tr.learned .bar { background: var(--accent); opacity: 1; }
figure { margin: 0 0 2rem; }
figure div { background: #ffffff; border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { color: var(--soft); font-size: 0.9rem; margin-top: 0.6rem; max-width: 44rem; }
table.settings { font-size: 0.88rem; width: 100%; }
table.settings th, table.settings td { padding: 0.25rem 1rem 0.25rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
table.settings th { color: var(--soft); font-weight: 400; white-space: nowrap; width: 1%; }
table.settings td { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; min-width: 9rem; }
h1, h2, p, li { overflow-wrap: anywhere; }
@media (max-width: 34rem) { main { padding: 2rem 1rem 3rem; } h1 { font-size: 1.5rem; }
  figure div { padding: 0.4rem; } td .bar { display: none; }
  table.settings th { white-space: normal; overflow-wrap: anywhere; width: 55%; }
  table.settings td { min-width: 0; }
  table.results th, table.results td { padding: 0.5rem 0.5rem; } }
"""


def render_report(
    *,
    title: str,
    summary: str,
    table: Table,
    figures: Sequence[tuple[str, bytes]],
    config: Mapping[str, Any],
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    about: Mapping[str, str] = MappingProxyType({}),
    following: Sequence[str] = (),
) -> str:
    """Writes the page as HTML without scripts or downloads, for light and dark screens.

    Args:
        title: Of the run.
        summary: Plain text; empty lines part paragraphs.
        table: {row: {metric: value}}, such as `score_table` gives; the row "learned" is highlighted.
        figures: (caption, bytes of a PNG file), in order.
        config: The run's settings, possibly nested.
        warnings: Sentences of `diagnose`, shown in a frame of their own.
        notes: Lines below the figures, such as which of them could not be drawn.
        about: Facts of the run by name, such as its date, duration, device and command, below the results.
        following: Commands that usually come next.
    Returns:
        The HTML text; characters that UTF-8 cannot hold, as in an odd file name, become question marks.
    Raises:
        ValueError: for a figure that is no PNG file.
    """
    alarm = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in warnings)
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *(
            f"<p>{html.escape(paragraph.strip())}</p>"
            for paragraph in summary.split("\n\n")
            if paragraph.strip()
        ),
        f'<ul class="alarm">{alarm}</ul>' if alarm else "",
        _results(table) if table else "",
        _about(about) if about else "",
        f"<h2>Next</h2><pre>{html.escape(chr(10).join(following))}</pre>" if following else "",
        "<h2>Figures</h2>" if figures else "",
        *(_figure(caption, image) for caption, image in figures),
        *(f"<p>{html.escape(line)}</p>" for line in notes),
        f"<h2>Settings</h2>{_settings(config)}" if config else "",
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    body = "\n".join(part for part in parts if part)
    page = f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n'
    page += f"<body><main>\n{body}\n</main></body>\n</html>\n"
    return page.encode("utf-8", "replace").decode("utf-8")


def write_report(path: str | Path, **parts: Any) -> None:
    """Writes a report to one file; its folder is made.

    Args:
        path: Of the file, a string or anything with pathlib's methods, such as a path in a cloud bucket.
        **parts: Keyword arguments of `render_report`.
    """
    path = Path(path) if isinstance(path, str) else path
    page = render_report(**parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _results(table: Table) -> str:
    metrics = metrics_of(table)

    def cell(metric: str, value: float | None) -> str:
        if value is None:
            return "<td></td>"
        number = f'<span class="number">{shown(metric, value)}</span>'
        width = 9 * min(max(value, 0.0), 1.0) if is_share(metric) and value == value else 0.0
        return f'<td>{number}<span class="bar" style="width:{width:.2f}rem"></span></td>'

    def row(name: str, scores: Mapping[str, float]) -> str:
        mark = ' class="learned"' if name == LEARNED else ""
        cells = "".join(cell(metric, scores.get(metric)) for metric in metrics)
        return f'<tr{mark}><th scope="row">{html.escape(name)}</th>{cells}</tr>'

    heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in ("", *map(heading, metrics)))
    rows = "\n".join(row(name, scores) for name, scores in table.items())
    page = f'<table class="results"><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>'
    return f'<div class="scroll">{page}</div>'


def _about(about: Mapping[str, str]) -> str:
    rows = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in about.items())
    return f"<dl>{''.join(rows)}</dl>"


def _figure(caption: str, image: bytes) -> str:
    if not image.startswith(b"\x89PNG"):
        raise ValueError(f"the figure {caption!r} must be the bytes of a PNG file, got {image[:8]!r}")
    text, data = html.escape(caption), base64.b64encode(image).decode()
    pixels = int.from_bytes(image[16:20], "big")  # its header's width; in inches, all text has one size
    width = max(1, round(pixels * CSS_DPI / DPI))
    picture = f'<div><img alt="{text}" width="{width}" src="data:image/png;base64,{data}"></div>'
    return f"<figure>{picture}<figcaption>{text}</figcaption></figure>"


def _settings(config: Mapping[str, Any]) -> str:
    def flatten(tree: Mapping[str, Any], prefix: str = ""):
        for name, value in tree.items():
            if isinstance(value, Mapping):
                yield from flatten(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, default=str)

    rows = (
        f'<tr><th scope="row">{html.escape(n)}</th><td>{html.escape(v)}</td></tr>' for n, v in flatten(config)
    )
    return f'<div class="scroll"><table class="settings">{"".join(rows)}</table></div>'
