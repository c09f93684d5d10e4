"""The exported explorer for everyone: on a phone, in the dark, by touch, on paper, in forced colours, read aloud."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from clcrkit import CLCR, CLCRConfig, viz
from clcrkit.datasets import digits
from tests.browser.conftest import axe
from tests.browser.explorer_driver import VIEWS, changed, ink, settled, shots, some_point

CUT = """() => [...document.querySelectorAll("body *")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && (box.left < 0 || box.right > innerWidth + 0.5);
}).map((e) => e.className || e.tagName)"""
SCROLLS = """() => [...document.querySelectorAll("body *")].filter((e) => {
    const {overflowX, overflowY} = getComputedStyle(e), can = /auto|scroll/;
    return (can.test(overflowY) && e.scrollHeight > e.clientHeight + 1)
        || (can.test(overflowX) && e.scrollWidth > e.clientWidth + 1);
}).map((e) => e.className || e.tagName)"""
# what a finger hits around the middle of a target, 24 px wide and high, is the target
SMALL = """() => [...document.querySelectorAll(".clcr :is(button, select, input[type=text], input[type=range], label,"
    + " .clcr-term)")].filter((e) => e.offsetParent).filter((e) => {
    e.scrollIntoView({block: "center"});
    const box = e.getClientRects()[0], x = box.left + box.width / 2, y = box.top + box.height / 2;
    return [[-11, 0], [11, 0], [0, -11], [0, 11]].some(([dx, dy]) => {
        const hit = document.elementFromPoint(x + dx, y + dy);
        return !(hit && (e.contains(hit) || hit.contains(e) && hit.matches("label")));
    });
}).map((e) => e.innerText || e.ariaLabel)"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = digits(seed=0)
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split.train, width=32, rank=8, private_rank=8, heads=2))
    explorer = viz.Explorer(model.trace(split.test.select(range(60))), model, split, color="voice")
    return explorer.export(tmp_path_factory.mktemp("page") / "page.html", gammas=(0.25, 0.5, 1.0))


@pytest.fixture
def phone(browser: Browser, written: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page on a screen for fingers, 400 px wide."""
    scheme: Any = getattr(request, "param", "light")
    context = browser.new_context(
        viewport={"width": 400, "height": 800}, offline=True, has_touch=True, is_mobile=True, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(written.as_uri())
    settled(page)
    yield page
    context.close()


def colours(shown: Locator, share: float = 0.02) -> int:
    """How many colours fill at least this share of an element's picture."""
    image = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    counts = image.getcolors(image.width * image.height) or []
    return sum(count >= share * image.width * image.height for count, _ in counts)


def inked(shown: Locator) -> float:
    """The share of an element's picture that is not paper."""
    image = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    counts = image.getcolors(image.width * image.height) or []
    return 1 - max(counts)[0] / (image.width * image.height)


@pytest.mark.parametrize("phone", ["light", "dark"], indirect=True)
def test_a_phone_shows_all_and_only_the_page_scrolls(phone: Page) -> None:
    phone.locator(".clcr").screenshot(
        path=str(shots() / f"phone-{phone.locator('.clcr').get_attribute('data-theme')}.png")
    )
    assert phone.evaluate("document.documentElement.scrollWidth") == 400
    assert phone.evaluate(CUT) == []
    assert phone.evaluate(SCROLLS) == []


def test_targets_are_as_wide_as_a_finger(phone: Page) -> None:
    assert phone.evaluate(SMALL) == []


def test_a_finger_scrolls_the_page_and_a_tap_picks(phone: Page) -> None:
    canvas = phone.locator(".clcr-subspaces canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    picked, at = phone.get_by_label("Sample id").input_value(), phone.evaluate("scrollY")
    finger = phone.context.new_cdp_session(phone)
    x, y = box["x"] + 100, box["y"] + 250
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 16):
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y - 10 * step}]})
        phone.wait_for_timeout(20)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert phone.evaluate("scrollY") > at + 100
    assert phone.get_by_label("Sample id").input_value() == picked
    before = ink(phone, "budget")
    spot = some_point(canvas)
    canvas.tap(position=spot)  # type: ignore[arg-type]
    changed(phone, "budget", before)
    assert phone.get_by_label("Sample id").input_value() != picked


def test_what_a_finger_has_opened_stays_until_it_touches_something_else(phone: Page) -> None:
    told = phone.locator(".clcr-tip")
    phone.locator(".clcr-lane canvas").first.tap(position={"x": 80, "y": 40})
    told.wait_for()
    phone.wait_for_timeout(300)
    assert "evidence" in told.inner_text()
    phone.locator(".clcr-lane canvas").nth(1).tap(position={"x": 80, "y": 40})
    assert "evidence" in told.inner_text()
    phone.get_by_label("Sample id").tap()
    told.wait_for(state="hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, written: Path, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True, color_scheme=scheme)
    page = context.new_page()
    page.goto(written.as_uri())
    settled(page)
    assert axe(page) == []
    page.locator(".clcr-legend button").first.click()  # some selected, and a token told
    page.locator(".clcr-lane canvas").first.hover(position={"x": 80, "y": 40})
    page.locator(".clcr-tip").wait_for()
    assert axe(page) == []
    context.close()


def test_forced_colours_keep_bars_and_swatches(browser: Browser, written: Path) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(
            viewport={"width": 1000, "height": 900}, offline=True, color_scheme=scheme, forced_colors="active"
        )
        page = context.new_page()
        page.goto(written.as_uri())
        settled(page)
        page.locator(".clcr").screenshot(path=str(shots() / f"forced-{scheme}.png"))
        for name in (".clcr-best .clcr-bar", ".clcr-probe-bar", ".clcr-segments", ".clcr-lane canvas"):
            assert colours(page.locator(name).first) > 1, name
        paper = page.evaluate("getComputedStyle(document.querySelector('.clcr')).backgroundColor")
        for name in (".clcr-filled", ".clcr-pale", ".clcr-dot"):
            fill = page.locator(name).first.evaluate("e => getComputedStyle(e).backgroundColor")
            assert fill not in (paper, "rgba(0, 0, 0, 0)"), name
        context.close()


def test_paper_shows_every_view(browser: Browser, written: Path) -> None:
    context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True)
    page = context.new_page()
    page.goto(written.as_uri())
    settled(page)
    printed = page.pdf(path=str(shots() / "explorer.pdf"), format="A4")
    drawn = page.locator("canvas:visible").count()
    assert len(re.findall(rb"/Subtype /Image\b", printed)) >= drawn > 6
    page.set_viewport_size({"width": 720, "height": 1000})  # what A4 has between its margins
    page.emulate_media(media="print")
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 720
    for view in VIEWS:
        for canvas in page.locator(f".clcr-{view} canvas:visible").all():
            assert inked(canvas) > 0.01, view
    context.close()
