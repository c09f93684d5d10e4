"""Finding samples in an exported page: enlarging the cloud, moving in it, searching, and what is pale."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, expect

from clcrkit import CLCR, CLCRConfig, viz
from clcrkit.datasets import digits
from clcrkit.viz.explorer import html
from tests.browser.conftest import Watched, axe
from tests.browser.explorer_driver import (
    assert_enlarged,
    assert_moved,
    assert_nearest,
    changed,
    ink,
    settled,
    some_point,
)

CHIP, CLOUD = ".clcr-chip", ".clcr-subspaces canvas"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = digits(seed=0, size=400)
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split.train, width=16, rank=4, private_rank=4, heads=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html, "TOKEN_BYTES", 100_000)  # of about half of the samples
        explorer = viz.Explorer(model.trace(split.test), split=split)
        return explorer.export(tmp_path_factory.mktemp("find") / "page.html")


def test_wheel_keys_and_buttons_enlarge_the_cloud(offline: Watched, written: Path) -> None:
    page = offline.page
    page.goto(written.as_uri())
    settled(page)
    point = some_point(page.locator(CLOUD).first)
    page.locator(CLOUD).first.hover(position=point)  # type: ignore[arg-type]
    whole = ink(page, "subspaces")  # with the ring around what is under the pointer
    page.mouse.wheel(0, 10)  # alone it scrolls the page
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    page.locator(CLOUD).first.hover(position=point)  # type: ignore[arg-type]
    assert ink(page, "subspaces") == whole
    assert_enlarged(page)
    offline.assert_quiet()


def test_alt_and_drag_moves_and_a_loop_selects_what_is_seen(offline: Watched, written: Path) -> None:
    offline.page.goto(written.as_uri())
    settled(offline.page)
    assert_moved(offline.page)
    offline.assert_quiet()


def test_search_selects_and_the_arrows_step_through(offline: Watched, written: Path) -> None:
    page, test = offline.page, digits(seed=0, size=400).test
    assert test.labels is not None
    page.goto(written.as_uri())
    settled(page)
    find, box = page.get_by_label("Find samples"), page.get_by_label("Sample id")
    wanted = [str(i) for i, label in zip(test.ids.tolist(), test.labels.tolist(), strict=True) if label == 3]
    find.fill("label: 3")
    find.press("Enter")
    expect(page.locator(".clcr-found")).to_have_text(f"{len(wanted)} found")
    expect(page.locator(CHIP)).to_have_text(re.compile(f"^{len(wanted)} selected"))
    for sample in [*wanted, wanted[0]]:
        expect(box).to_have_value(sample)
        page.get_by_label("Next sample", exact=True).click()
    find.fill("<img src=x onerror=alert(1)>")
    find.press("Enter")
    kept = re.findall(r"keeps the tokens of (\d+ of) its (\d+)", page.locator(".clcr-budget").inner_text())[0]
    expect(page.locator(".clcr-found")).to_have_text(f"0 found; words looked for in {' '.join(kept)} samples")
    expect(page.locator(CHIP)).to_be_hidden()
    find.fill(wanted[2])
    find.press("Enter")
    expect(box).to_have_value(wanted[2])
    offline.assert_quiet()


def test_points_whose_tokens_are_not_kept_are_pale(offline: Watched, written: Path) -> None:
    page = offline.page
    page.goto(written.as_uri())
    settled(page)
    expect(page.locator(".clcr-subspaces")).to_contain_text("Pale: this page keeps no tokens of theirs.")
    lacking = "[...document.getElementById('explorer').app.data.lacking].length"
    kept = int(re.findall(r"keeps the tokens of (\d+) of its", page.locator(".clcr-budget").inner_text())[0])
    total = len(digits(seed=0, size=400).test)
    if page.evaluate("Boolean(document.getElementById('explorer').app)"):
        assert page.evaluate(lacking) == total - kept
    assert 0 < kept < total
    strengths: Any = page.locator(CLOUD).first.evaluate(
        """c => {
            const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, seen = new Set();
            for (let i = 3; i < d.length; i += 4) if (d[i] > 40) seen.add(d[i]);
            return [seen.has(255), [...seen].some((a) => a > 70 && a < 110)];
        }"""
    )
    assert strengths == [True, True]
    offline.assert_quiet()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_new_controls_fit_and_axe_finds_nothing(browser: Browser, written: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    watched = Watched(context)
    watched.page.goto(written.as_uri())
    settled(watched.page)
    watched.shoot(f"find-{width}")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(watched.page) == []
    watched.assert_quiet()
    context.close()


def test_the_nearest_are_listed_and_picked(offline: Watched, written: Path) -> None:
    page = offline.page
    page.goto(f"{written.as_uri()}#space=private_code")  # every sample has a code
    settled(page)
    assert_nearest(page)
    offline.shoot("find-nearest")
    offline.assert_quiet()


def test_lines_enclose_where_points_crowd(offline: Watched, written: Path) -> None:
    page = offline.page
    page.goto(written.as_uri())
    settled(page)
    plain = ink(page, "subspaces")
    box = page.get_by_label("density")
    expect(box).not_to_be_checked()  # a few points need no lines
    box.check()
    lined = changed(page, "subspaces", plain)
    expect(page.locator(".clcr-subspaces")).to_contain_text("25, 50, 75, 95 % of the points in view")
    offline.shoot("find-density")
    page.get_by_role("button", name="Enlarge").click()
    changed(page, "subspaces", lined)
    offline.assert_quiet()


def test_an_address_holds_what_is_shown_and_opens_it_again(offline: Watched, written: Path) -> None:
    page = offline.page
    page.goto(written.as_uri())
    settled(page)
    assert "#" not in page.url
    page.get_by_label("Space", exact=True).select_option("private")
    page.get_by_label("Next sample", exact=True).click(click_count=3)
    page.get_by_label("deep", exact=True).check(force=True)
    page.get_by_label("gamma, the budget multiplier").press("ArrowLeft")
    page.get_by_role("button", name="Enlarge").click(click_count=2)
    page.keyboard.press("Escape")  # a selection is not part of the address
    page.wait_for_url(re.compile("view="))
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(300)
    shown = [ink(page, view) for view in ("subspaces", "gates", "budget")]
    again = page.context.new_page()
    again.goto(page.url)
    settled(again)
    assert [ink(again, view) for view in ("subspaces", "gates", "budget")] == shown
    expect(again.get_by_label("Sample id")).to_have_value(page.get_by_label("Sample id").input_value())
    again.evaluate("location.hash = ''")  # what is not named is as the page opens
    expect(again.get_by_label("Space", exact=True)).to_have_value("shared")
    offline.assert_quiet()


def test_an_address_that_asks_for_what_is_not_there_is_told(offline: Watched, written: Path) -> None:
    page = offline.page
    page.goto(f"{written.as_uri()}#level=9&picked=<img src=x onerror=alert(1)>&space=private_code&gamma=1e9&view=a")
    settled(page)
    error = page.locator(".clcr-error")
    expect(error).to_have_text(re.compile("asks for a picked, level, gamma, view that is not here"))
    assert "img" not in error.inner_text()
    expect(page.get_by_label("Space", exact=True)).to_have_value("private_code")
    offline.assert_quiet()
