"""A page made of a notebook, as `make tour` makes it: on a phone, in the dark, on paper, read aloud."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Browser, Page

from clcrkit import CLCR, viz
from clcrkit.pages import to_html
from tests.browser.conftest import axe
from tests.browser.explorer_driver import shots
from tests.browser.test_explorer_reach import CUT, SCROLLS

CODE = """for name in names:  # a comment
    print(name, "a long line of code that is wider than a phone is", 300 in numbers)
"""
TABLE = """<table><thead><tr><th></th><th>funded</th></tr></thead>
<tbody><tr><th>few</th><td>0.16</td></tr></tbody></table>"""


@pytest.fixture
def written(
    tmp_path: Path, make_batch: Callable[..., Any], make_model: Callable[..., CLCR], monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("CLCRKIT_EMBED_PAGES", "1")
    batch = make_batch(samples=12)
    model = make_model(batch)
    figure = go.Figure(go.Scatter(x=[0, 1], y=[1, 0], name="line"))
    figure.update_layout(title="A title of so many words that a phone cannot show them in one line", width=850)
    shown = [
        {"text/html": TABLE},
        {"application/vnd.plotly.v1+json": figure.to_plotly_json()},
        viz.Explorer(model.trace(batch), model)._repr_mimebundle_()[0],
    ]
    cells = [new_code_cell(CODE, outputs=[new_output("display_data", data=data)]) for data in shown]
    notebook = new_notebook(cells=[new_markdown_cell("# A page\n\nProse with [a link](#end) in it."), *cells])
    page = tmp_path / "page.html"
    page.write_text(to_html(notebook, "A page"), encoding="utf-8")
    return page


def opened(browser: Browser, written: Path, width: int, scheme: Any) -> Page:
    """The page, when the explorer in it has told how high it is."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(written.as_uri())
    page.locator("iframe").scroll_into_view_if_needed()
    page.frame_locator("iframe").locator(".clcr-panel").first.wait_for()
    inner = page.frames[1]
    inner.wait_for_function("innerHeight > 500 && document.documentElement.scrollHeight <= innerHeight")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_and_only_the_page_scrolls(browser: Browser, written: Path, scheme: str) -> None:
    page = opened(browser, written, 400, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    for place in page.frames:
        assert [name for name in place.evaluate(CUT) if name] == []
        assert place.evaluate(SCROLLS) == []
    title = page.locator(".gtitle").bounding_box()
    assert title is not None
    assert title["x"] + title["width"] <= 400
    page.screenshot(path=str(shots() / f"notebook-phone-{scheme}.png"), full_page=True)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_as_the_readers_system_is(browser: Browser, written: Path, scheme: str) -> None:
    page = opened(browser, written, 1000, scheme)
    luminance = "(c => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3)"
    paper = page.evaluate(f"{luminance}(getComputedStyle(document.body).backgroundColor)")
    ink = page.evaluate(f"{luminance}(getComputedStyle(document.querySelector('.gtitle')).fill)")
    assert (paper < 60 and ink > 150) if scheme == "dark" else (paper > 200 and ink < 110)
    assert page.frame_locator("iframe").locator(".clcr").get_attribute("data-theme") == scheme
    assert axe(page) == []
    page.close()


def test_paper_shows_the_still_instead_of_the_frame(browser: Browser, written: Path) -> None:
    page = opened(browser, written, 1400, "dark")
    printed = page.pdf(path=str(shots() / "notebook.pdf"), format="A4")
    assert len(re.findall(rb"/Type /Page\b", printed)) == 2
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(300)
    assert not page.locator("iframe").is_visible()
    assert page.locator(".still svg").is_visible()
    assert page.locator(".js-plotly-plot .main-svg").first.evaluate("e => e.clientWidth") <= 660
    page.close()
