import base64
import html
import html.parser
import re
import shutil
import subprocess

import numpy as np
import pytest

from jssl.evaluate import figures, render_report, write_report

TABLE = {
    "raw pixels": {"knn_top1": 0.131, "linear_top1": 0.3},
    "random network": {"knn_top1": 0.18, "linear_top1": 0.333},
    "learned": {"knn_top1": 0.714, "linear_top1": 0.8},
}


class Page(html.parser.HTMLParser):
    """Collects tags and text, and complains about tags left open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def write(tmp_path, **change):
    arguments = dict(title="SimCLR", summary="One.\n\nTwo.", table=TABLE, figures=[], config={}) | change
    path = tmp_path / "deep" / "report.html"
    write_report(path, **arguments)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_holds_everything_itself(tmp_path):
    png = figures.png(figures.loss_curve([0, 1, 2], [3.0, 2.0, 1.0]))
    text, page = write(tmp_path, figures=[("the loss", png)], config={"batch": 256})
    (source,) = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == png
    assert not re.search(r"https?://|<script|<link|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text and "color-scheme: light dark" in text


def test_results_come_first_and_settings_last(tmp_path):
    png = figures.png(figures.loss_curve([0, 1], [2.0, 1.0]))
    config = {"data": "digits", "optimizer": {"name": "adamw", "decay": 0.05}, "mesh": None}
    _, page = write(tmp_path, figures=[("the loss", png)], config=config)
    text = " ".join(page.text)
    parts = "One.", "Two.", "13.1", "71.4", "80.0", "the loss", "optimizer.decay", "0.05"
    order = [text.index(part) for part in parts]
    assert order == sorted(order)
    assert [attributes for tag, attributes in page.tags if tag == "tr" and attributes] == [
        {"class": "learned"}
    ]


def test_words_are_escaped_and_failures_shown(tmp_path):
    settings = {"<b>": "<script>alert(1)</script>"}
    text, page = write(tmp_path, title="a < b & c", config=settings, warnings=["entropy > log K"])
    assert "<script" not in text and "a < b & c" in page.text
    assert ("ul", {"class": "alarm"}) in page.tags and "entropy > log K" in page.text


def test_a_failed_probe_and_an_empty_table_still_make_a_page(tmp_path):
    assert "nan" in write(tmp_path, table={"learned": {"knn_top1": np.nan}})[0]
    assert "<table" not in write(tmp_path, table={})[0]


def test_a_table_may_have_any_metrics(tmp_path):
    table = {"raw pixels": {"knn_top1": 0.1}, "learned": {"knn_top1": 0.7, "depth_rmse": 1.25}}
    text, page = write(tmp_path, table=table)
    assert {"kNN top-1, %", "depth rmse", "70.0", "1.25"} <= set(page.text)
    assert text.count("<td>") + text.count("<td></td>") == 2 * 2 + 1 and text.count('class="bar"') == 3


def test_what_could_not_be_drawn_and_names_that_are_no_utf8_cost_a_line(tmp_path):
    _, page = write(tmp_path, title="folder:caf\udce9", notes=["The figure loss could not be drawn: <x>"])
    assert "folder:caf?" in page.text and "The figure loss could not be drawn: <x>" in page.text


def test_what_is_not_a_png_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the figure 'the loss' must be the bytes of a PNG"):
        write(tmp_path, figures=[("the loss", b"GIF89a")])
    assert not (tmp_path / "deep").exists()


ABOUT = {"finished": "2026-11-27 16:20 UTC", "command": "jssl train dino --data photos --out " + "x" * 300}


def whole_page(tmp_path):
    """A page with everything on it, and words longer than a telephone is wide."""
    wide = {f"{row}, {'w' * 40}": {f"{'m' * 20}_{i}_top1": 0.5 for i in range(8)} for row in TABLE}
    page = render_report(
        title="dino on folder:" + "photos" * 20,
        summary="One sentence " + "y" * 200,
        table=TABLE | wide,
        figures=[("the loss", figures.png(figures.loss_curve([0, 1, 2], [3.0, 2.0, 1.0])))],
        config={"data": "/a/" + "path/" * 60},
        warnings=["z" * 200],
        notes=["n" * 200],
        about=ABOUT,
        following=["jssl open runs/dino", "jssl embed runs/dino photos --out " + "f" * 200],
    )
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    return page


def inside(page, tag, container):
    """Whether every element of a kind has an element of a class around it."""
    found = []

    class Nested(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []
            self.feed(page)

        def handle_starttag(self, name, attributes):
            if name == tag:
                found.append(any(container in one for one in self.open))
            if name not in ("meta", "img"):
                self.open.append(dict(attributes).get("class") or "")

        def handle_endtag(self, name):
            self.open.pop()

    Nested()
    return found and all(found)


def test_nothing_on_the_page_is_wider_than_a_telephone(tmp_path):
    page = whole_page(tmp_path)
    tags = Page(page).tags
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags
    assert inside(page, "table", "scroll") and ".scroll { overflow-x: auto; }" in page
    assert re.search(r"figure img \{[^}]*max-width: 100%;[^}]*height: auto", page)
    assert re.search(r"pre \{[^}]*overflow-x: auto", page) and re.search(
        r"dd \{[^}]*overflow-wrap: anywhere", page
    )
    assert "h1, h2, p, li { overflow-wrap: anywhere; }" in page
    (image,) = [attributes for tag, attributes in tags if tag == "img"]
    pixels = int.from_bytes(base64.b64decode(image["src"].partition(",")[2])[16:20], "big")
    assert int(image["width"]) == round(pixels * 96 / 160)  # by its inches, as all figures: one size of type


def test_the_page_says_what_made_it_and_what_comes_next(tmp_path):
    text = " ".join(Page(whole_page(tmp_path)).text)
    parts = (
        "80.0",
        "finished",
        "2026-11-27 16:20 UTC",
        "jssl train dino",
        "Next",
        "jssl open runs/dino",
        "the loss",
    )
    order = [text.index(part) for part in parts]
    assert order == sorted(order)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_nothing_is_cut(width, tmp_path):
    page = html.escape(whole_page(tmp_path))
    measure = (
        "const page = document.querySelector('iframe').contentDocument;"
        "const parts = [...page.querySelectorAll('pre, .scroll:has(table.settings)')];"
        "const cut = parts.filter(part => part.scrollWidth > part.clientWidth);"
        "document.title = page.documentElement.scrollWidth + ' ' + cut.length"
    )
    frame = f'<iframe style="width:{width}px;border:0" onload="{measure}" srcdoc="{page}"></iframe>'
    (tmp_path / "frame.html").write_text(f"<!doctype html><title></title>{frame}", encoding="utf-8")
    asked = [CHROMIUM, "--headless", "--no-sandbox", "--virtual-time-budget=5000", "--dump-dom"]
    asked += ["--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*asked, (tmp_path / "frame.html").as_uri()], capture_output=True, text=True, timeout=60
    )
    assert re.findall(r"<title>(.*?)</title>", done.stdout)[0] == f"{width} 0"  # nothing has to be moved
    assert "CONSOLE" not in done.stderr
