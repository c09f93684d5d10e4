"""The course's site, from the disk and without a network: every page and link, in all sizes, light and dark."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import ROOT, SCREENSHOTS, Watched, axe, missing

LESSONS = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
PAGES = ["index", *LESSONS, "reproducing", "notation", "glossary", "api", "search"]
MAX_LESSON_BYTES = 3_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the stored outputs by a learner who keeps their progress."""
    if importlib.util.find_spec("sphinx") is None:
        missing("sphinx is missing: pip install clcrkit[site]")
    folder = tmp_path_factory.mktemp("course") / "site"
    kept = folder.with_name("kept.json")
    kept.write_text(json.dumps({"predictions": {}, "exercises": {"lesson_08.rate": "2026-01-01"}}), encoding="utf-8")
    playground = folder.with_name("made.html")  # a stand-in: test_playground.py has the page
    tell = (
        'const tell = () => parent.postMessage({ clcrkitHeight: 1234 }, "*"); tell(); addEventListener("message", tell)'
    )
    playground.write_text(f"<!doctype html><title>The playground</title><script>{tell}</script>", encoding="utf-8")
    command = [sys.executable, str(ROOT / "notebooks/site/build.py"), str(folder), "--playground", str(playground)]
    environment = {**os.environ, "CLCRKIT_PROGRESS": str(kept)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=[(400, "light"), (1000, "dark"), (1600, "light")], ids=lambda p: f"{p[0]}-{p[1]}")
def view(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[str, Watched]]:
    """A page of some width and theme, with the network cut off."""
    width, theme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, color_scheme=theme)
    yield f"{width}-{theme}", Watched(context)
    context.close()


def open_page(page: Page, site: Path, name: str) -> None:
    """Open a page and draw all its figures, also those far below."""
    page.goto((site / f"{name}.html").as_uri())
    page.evaluate("figures.forEach(draw)")
    page.wait_for_function("figures.every((figure) => figure.querySelector('.main-svg'))")


def test_the_index_shows_the_progress_that_is_kept(site: Path, offline: Watched) -> None:
    offline.page.goto((site / "index.html").as_uri())
    told = offline.page.get_by_role("table").filter(has_text="Your progress").get_by_role("row")
    offline.page.get_by_role("heading", name="Your progress").scroll_into_view_if_needed()
    offline.shoot("site-progress", full=False)
    assert told.filter(has_text="1 of ").count() == 1
    assert "1 of " in told.filter(has=offline.page.locator("a[href='08_training.html']")).inner_text()


def test_the_index_leads_to_the_playground(site: Path, offline: Watched) -> None:
    offline.page.goto((site / "index.html").as_uri())
    offline.page.get_by_role("link", name="The playground", exact=True).click()
    assert offline.page.title() == "The playground"
    offline.assert_quiet()


def test_the_tour_holds_the_playground_whole(site: Path, offline: Watched) -> None:
    page = offline.page
    page.goto((site / "00_tour.html").as_uri())
    frame = page.locator("iframe[title='The CLCR playground']")
    frame.scroll_into_view_if_needed()
    page.wait_for_function("(frame) => frame.clientHeight === 1234", arg=frame.element_handle())
    page.get_by_role("link", name="Open the playground on a page of its own").click()
    assert page.title() == "The playground"
    offline.assert_quiet()


def test_every_page_opens_and_fits(site: Path, view: tuple[str, Watched]) -> None:
    name, watched = view
    for page_name in PAGES:
        open_page(watched.page, site, page_name)
        overflow = watched.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{page_name} is {overflow} px wider than the window"
        if page_name in ("index", "04_budget", "09_looking_inside"):
            watched.shoot(f"site-{page_name}-{name}")
    watched.assert_quiet()


def test_every_link_leads_somewhere(site: Path, offline: Watched) -> None:
    anchors = {}
    links = set()
    for name in PAGES:
        offline.page.goto((site / f"{name}.html").as_uri())
        anchors[f"{name}.html"] = set(offline.page.eval_on_selector_all("[id]", "all => all.map((x) => x.id)"))
        found = offline.page.eval_on_selector_all("a[href]", "all => all.map((x) => x.href)")
        links |= {(name, link) for link in found if link.startswith("file:")}
    assert len(links) > 400
    for name, link in links:
        url, anchor = urldefrag(link)
        file = Path(unquote(url).removeprefix("file://"))
        assert file.exists(), f"{name}: {link}"
        if anchor and file.name in anchors:
            assert unquote(anchor) in anchors[file.name], f"{name}: {link}"


def test_lessons_are_light_and_lead_to_each_other(site: Path, offline: Watched) -> None:
    for name in LESSONS:
        assert (site / f"{name}.html").stat().st_size <= MAX_LESSON_BYTES
    offline.page.goto((site / "index.html").as_uri())
    for name in LESSONS:
        offline.page.locator("a", has_text="Next").last.click()
        assert offline.page.url.endswith(f"/{name}.html")


def test_search_finds_a_word_without_a_server(site: Path, offline: Watched) -> None:
    offline.page.goto((site / "search.html").as_uri() + "?q=simplex")
    offline.page.locator("#search-results li a", has_text="4. Budgets").first.wait_for()
    offline.assert_quiet()


def test_code_folds_all_at_once_and_cell_by_cell(site: Path, offline: Watched) -> None:
    open_page(offline.page, site, "04_budget")
    code, one = offline.page.locator(".cell_input .highlight"), offline.page.locator("button.fold").first
    assert code.first.is_visible()
    one.click()
    assert not code.first.is_visible()
    assert code.nth(1).is_visible()
    offline.page.get_by_role("button", name="hide all code").click()
    assert not any(code.nth(i).is_visible() for i in range(code.count()))
    open_page(offline.page, site, "05_exchange")
    assert not offline.page.locator(".cell_input .highlight").first.is_visible()  # as the reader left it
    offline.page.get_by_role("button", name="show all code").click()
    assert offline.page.locator(".cell_input .highlight").first.is_visible()


def test_figures_follow_the_theme(site: Path, offline: Watched) -> None:
    open_page(offline.page, site, "04_budget")
    ink = "getComputedStyle(document.querySelector('figure.plot .gtitle')).fill"
    light = offline.page.evaluate(ink)
    offline.page.emulate_media(color_scheme="dark")
    offline.page.wait_for_function(f"{ink} !== '{light}'")


def test_without_scripts_a_figure_is_a_picture(site: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((site / "04_budget.html").as_uri())
    stills = page.locator("figure.plot img")
    assert stills.count() == page.locator("figure.plot").count() > 3
    assert stills.first.bounding_box()["width"] > 300  # type: ignore[index]
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "notation", "search", "01_asynchrony", "04_budget", "09_looking_inside"])
def test_axe_finds_nothing(site: Path, browser: Browser, name: str, theme: str) -> None:
    context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    open_page(page, site, name)
    assert axe(page) == []
    context.close()


def test_a_lesson_prints(site: Path, browser: Browser) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for name in ("04_budget", "07_objective", "09_looking_inside"):
        open_page(page, site, name)
        page.emulate_media(media="print")
        wide = page.eval_on_selector_all("pre", "all => all.filter((x) => x.scrollWidth > x.clientWidth + 1).length")
        assert wide == 0, f"{wide} pieces of code are cut off"
        page.pdf(path=str(SCREENSHOTS / f"site-{name}.pdf"), format="A4")
    context.close()


def test_the_folder_moves_as_one(site: Path, tmp_path: Path, offline: Watched) -> None:
    """All that pages need lies in the folder, also in one whose name has a blank."""
    copy = tmp_path / "a course"
    shutil.copytree(site, copy)
    open_page(offline.page, copy, "05_exchange")
    offline.assert_quiet()
