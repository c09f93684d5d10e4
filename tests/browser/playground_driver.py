"""Driving the playground as a reader does, and waiting for its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import Watched

Stroke = Sequence[tuple[float, float]]  # places from (0, 0) to (1, 1)


def open_playground(watched: Watched, path: Path) -> Page:
    watched.page.goto(path.as_uri())
    watched.page.locator(".clcr-saying").first.wait_for()
    return watched.page


def answered(page: Page) -> None:
    """Wait until the model has been asked all, and what it said is drawn."""
    page.wait_for_timeout(100)
    page.evaluate(
        """async () => {
            const { model } = document.getElementById("explorer").app, network = await model.network;
            const wait = (ms) => new Promise((done) => setTimeout(done, ms));
            do { await wait(120); await network.last; } while (model.asking);
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        }"""
    )


def verdict(page: Page) -> str:
    answered(page)
    return page.locator(".clcr-verdict").inner_text()


def draw(page: Page, strokes: Sequence[Stroke]) -> None:
    """Draw with the mouse."""
    drawing = page.locator(".clcr-drawing")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    assert box is not None

    def go(x: float, y: float, steps: int = 1) -> None:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=steps)

    for stroke in strokes:
        go(*stroke[0])
        page.mouse.down()
        for x, y in stroke:
            go(x, y, 3)
        page.mouse.up()
