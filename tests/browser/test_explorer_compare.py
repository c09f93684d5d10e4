"""Two traces side by side, the selection as a table, all heads at once, pictures: in a page and in JupyterLab."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, expect

from clcrkit import viz
from clcrkit.viz.explorer import comparison
from tests.browser.conftest import Lab, Watched, axe
from tests.browser.explorer_driver import changed, ink, settled, shots
from tests.browser.test_explorer_reach import CUT, SCROLLS, SMALL

SET_UP = """
import ipywidgets, torch
from clcrkit import CLCR, CLCRConfig, viz
from clcrkit.datasets import digits
split = digits(size=200, seed=0)
def traced(seed):
    torch.manual_seed(seed)
    model = CLCR(CLCRConfig.of(split.train, width=16, rank=4, private_rank=4, heads=2))
    return model.trace(split.test)
explorer = viz.Explorer(traced(0), split=split, compare=traced(1), color="a or b")
"""
SHOW = """
said = ipywidgets.HTML()
def tell(change):
    said.value = f"<code class='said'>{len(explorer.selection)} selected, {explorer.picked}</code>"
explorer.observe(tell, names=["selection", "picked"])
display(explorer, said)
"""
DONE = 'print("ALL-" + "DONE")'


@pytest.fixture(scope="module")
def explorer() -> viz.Explorer:
    space: dict[str, Any] = {}
    exec(SET_UP, space)
    made: viz.Explorer = space["explorer"]
    return made


@pytest.fixture(scope="module")
def written(explorer: viz.Explorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return explorer.export(tmp_path_factory.mktemp("page") / "page.html")


def assert_compared(page: Page) -> None:
    """Filter by what changed, choose from the list, select a verdict, and go from one trace's cloud to the other's."""
    only, chip = page.get_by_label("changed only"), page.locator(".clcr-chip")
    says = page.locator(".clcr-says").inner_text()
    count = int(says.split()[0])
    only.check()
    expect(chip).to_have_text(f"{count} selected ✕")
    lines = page.get_by_label("Changed predictions", exact=True).locator("tbody tr")
    line = lines.nth(1)
    line.locator("button").click()
    expect(page.get_by_label("Sample id")).to_have_value(line.locator("button").inner_text())
    expect(page.locator(".clcr-said-both")).to_contain_text(f"id {line.locator('button').inner_text()}: a says ")
    expect(line).to_have_attribute("aria-current", "true")
    expect(chip).to_have_text(f"{count} selected ✕")  # the filter stays
    first = lines.first.locator("button").inner_text()
    page.get_by_label("Changed predictions: further lines").click()
    expect(lines.first.locator("button")).not_to_have_text(first)
    only.uncheck()
    expect(chip).to_be_hidden()
    verdict = page.locator(".clcr-comparison .clcr-legend button").first
    verdict.click()
    expect(chip).to_have_text(f"{verdict.inner_text().split()[-1]} selected ✕")
    page.locator(".clcr-cloud").first.press("Escape")
    page.wait_for_timeout(300)
    before = ink(page, "subspaces")
    page.get_by_label("Trace", exact=True).select_option("b")
    changed(page, "subspaces", before)
    expect(page.locator(".clcr-subspaces")).to_contain_text(re.compile(r"Procrustes\): [\d.]+ of the spread"))
    page.get_by_label("Trace", exact=True).select_option("a")
    canvas = page.locator(".clcr-comparison canvas")
    canvas.scroll_into_view_if_needed()
    canvas.hover(position={"x": 120, "y": 24})
    expect(page.locator(".clcr-tip")).to_contain_text("level gate ω, shallow: b − a")
    page.locator(".clcr-lane canvas").first.hover(position={"x": 80, "y": 40})
    expect(page.locator(".clcr-tip")).to_contain_text(re.compile(r"allocation b − a = [+−]?\d"))
    note, slider = page.locator(".clcr-comparison .clcr-note").first, page.get_by_label("gamma, the budget multiplier")
    expect(note).to_be_hidden()
    slider.press("ArrowLeft")
    expect(note).to_have_text(
        "Here both are as traced, at γ = 1.00, nothing muted. The token lanes show both at γ = 0.95."
    )
    page.get_by_role("button", name="reset").click()
    expect(note).to_be_hidden()


def assert_words(page: Page, explorer: viz.Explorer) -> None:
    """A word is found in all samples that spell it, also in those whose tokens only the kernel has."""
    batch, describe = explorer.trace.batch, explorer.split.describe["language"]  # type: ignore[union-attr]
    rows = zip(batch.tokens["language"], batch.masks["language"], strict=True)
    spelt = ["".join(describe(tokens[real])) for tokens, real in rows]
    word = max(spelt, key=len)[:4]
    wanted = [str(i) for i, text in zip(batch.ids.tolist(), spelt, strict=True) if word in text]
    find = page.get_by_label("Find samples")
    find.fill(word.upper())
    find.press("Enter")
    expect(page.locator(".clcr-found")).to_have_text(f"{len(wanted)} found")
    expect(page.locator(".clcr-chip")).to_have_text(f"{len(wanted)} selected ✕")
    expect(page.get_by_label("Sample id")).to_have_value(wanted[0])
    page.locator(".clcr-cloud").first.press("Escape")


def assert_table(page: Page) -> list[list[str]]:
    """Open the table, slice it, select a slice by keyboard, and take the CSV file: its lines."""
    drawer = page.locator(".clcr-drawer")
    drawer.locator("summary").click()
    page.get_by_label("Slice by").select_option("voice")
    line = page.get_by_label("Slices", exact=True).locator("tbody tr").nth(1)
    voice, count = line.locator("th").inner_text(), line.locator("td").first.inner_text()
    line.locator("button").press("Enter")
    expect(page.locator(".clcr-chip")).to_have_text(f"{count} selected ✕")
    expect(drawer.locator("summary")).to_have_text(f"Samples as a table: the {count} selected of 50")
    expect(page.get_by_label("Slices", exact=True).locator("tbody tr")).to_have_count(2)
    expect(drawer.get_by_text("Wilson's 95 % interval")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="download CSV").click()
    assert download.value.suggested_filename == "samples.csv"
    with open(download.value.path(), encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    assert len(lines) == int(count) + 1
    assert {line[lines[0].index("voice")] for line in lines[1:]} == {voice}
    return lines


def assert_all_heads(page: Page) -> None:
    """All heads and levels at a glance; a click opens the one, at its level."""
    page.get_by_label("Drawn as").select_option("all")
    maps = page.locator(".clcr-multiple button")
    expect(maps).to_have_count(6)
    assert all(inked(canvas) for canvas in page.locator(".clcr-thumbnail").all())
    page.locator(".clcr-attention").screenshot(path=str(shots() / "all-heads.png"))
    page.get_by_label("open mid, head 2").click()
    expect(page.get_by_label("mid", exact=True)).to_be_checked()
    expect(page.get_by_label("Head", exact=True)).to_have_value("1")
    expect(page.get_by_label("Drawn as")).to_have_value("heat")
    expect(maps.first).to_be_hidden()
    canvas = page.locator(".clcr-attention canvas:not(.clcr-thumbnail)")
    canvas.hover(position={"x": 300, "y": 60})
    expect(page.locator(".clcr-tip")).to_contain_text("listens to")


def inked(canvas: Locator) -> bool:
    """Does it show more than one colour?"""
    pixels = "c => [...new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)]"
    return len(set(canvas.evaluate(pixels))) > 1


def assert_pictures(page: Page) -> None:
    """Below the tokens of vision the scan is drawn, another one for another sample; other lanes have none."""
    lane = page.locator(".clcr-lane[data-modality=vision] canvas")
    lane.scroll_into_view_if_needed()
    # how many pixels are a pure grey on the scan's black ground, left of the first token's middle
    script = """c => { const k = c.width / c.clientWidth, h = c.height;
        const d = c.getContext("2d").getImageData(60 * k, h - 66 * k, 36 * k, 40 * k).data; let dark = 0;
        for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 250 && d[i] < 20 && d[i + 1] < 20 && d[i + 2] < 20) dark++;
        return dark / (d.length / 4); }"""
    assert lane.evaluate(script) > 0.1
    before = lane.evaluate("c => c.toDataURL()")
    page.get_by_label("Next sample", exact=True).click()
    page.wait_for_function("([c, old]) => c.toDataURL() !== old", arg=[lane.element_handle(), before])


def test_page_gives_the_selection_as_a_table(offline: Watched, written: Path, explorer: viz.Explorer) -> None:
    page = offline.page
    page.goto(written.as_uri())
    settled(page)
    lines = assert_table(page)
    explorer.selection = [int(line[0]) for line in lines[1:]]
    wanted = pd.read_csv(io.StringIO(explorer.table().to_csv()), dtype=str, keep_default_na=False)
    explorer.selection = []
    assert lines[0] == list(wanted.columns)
    for mine, theirs in zip(lines[1:], wanted.to_numpy().tolist(), strict=True):
        assert [x.removesuffix(".0") for x in theirs] == mine
    assert_all_heads(page)
    assert_pictures(page)
    assert axe(page) == []
    offline.assert_quiet()


def test_page_compares(offline: Watched, written: Path, explorer: viz.Explorer) -> None:
    page = offline.page
    page.goto(written.as_uri())
    settled(page)
    expect(page.locator(".clcr-says")).to_have_text(comparison.sentence(explorer.trace, explorer.compare))  # type: ignore[arg-type]
    assert_compared(page)
    assert_words(page, explorer)
    assert axe(page) == []
    offline.assert_quiet()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 400)])
def test_page_fits(offline: Watched, written: Path, scheme: Any, width: int) -> None:
    page = offline.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(written.as_uri())
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"
    page.locator(".clcr-drawer summary").click()
    page.get_by_label("Drawn as").select_option("all")
    page.wait_for_timeout(300)
    page.screenshot(path=str(shots() / f"compare-{scheme}-{width}.png"), full_page=True)
    if width == 400:
        for script in (CUT, SCROLLS, SMALL):
            assert page.evaluate(script) == []
    offline.assert_quiet()


@pytest.fixture(scope="module")
def live(lab: Lab) -> Watched:
    cells = [nbformat.v4.new_code_cell(source) for source in (SET_UP, SHOW, DONE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), lab.root / "compare.ipynb")
    watched = lab.run("compare.ipynb", "ALL-DONE")
    settled(watched.page)
    return watched


def test_lab_compares_and_tells_python(live: Watched, explorer: viz.Explorer) -> None:
    assert_compared(live.page)
    assert_words(live.page, explorer)
    expect(live.page.locator(".said")).to_contain_text("0 selected")
    lines = assert_table(live.page)
    expect(live.page.locator(".said")).to_contain_text(f"{len(lines) - 1} selected, {lines[1][0]}")
    live.page.locator(".clcr-cloud").first.press("Escape")
    assert_all_heads(live.page)  # the levels that are not picked come from the kernel
    assert_pictures(live.page)
    expect(live.page.locator(".clcr-error")).to_be_hidden()
    live.assert_quiet()
