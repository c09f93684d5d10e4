"""The moving picture of the README: the tour's explorer in use, filmed from the page that `make tour` writes.

    python -m tests.browser.film build/tour.html notebooks/explorer.webp

A click picks a sample, gamma is turned down step by step, a token is asked why it lost its share, and all goes back.
"""

from __future__ import annotations

import argparse
import html
import io
import re
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests import chromium
from tests.browser.explorer_driver import settled

SIZE = 1200, 750
# subspaces and budget side by side, and a pointer, which a screenshot would not have
STYLE = """
.clcr-grid { grid-template-columns: minmax(0, 42fr) minmax(0, 58fr) !important; }
.clcr .clcr-subspaces { grid-area: 1 / 1 !important; }
.clcr .clcr-budget { grid-area: 1 / 2 !important; }
.clcr-gates, .clcr-attention, .clcr-main > .clcr-note, .clcr-side.clcr-wide > .clcr-term ~ .clcr-term,
  .clcr-side.clcr-wide > canvas { display: none !important; }
#pointer { position: fixed; z-index: 99; width: 22px; pointer-events: none; filter: drop-shadow(0 1px 2px #0006); }
"""
POINTER = """() => {
    const at = document.createElement("div");
    at.id = "pointer";
    at.innerHTML = '<svg viewBox="0 0 20 20"><path d="M2 1v15l4-4 3 7 3-1-3-7h6z" fill="#111" stroke="#fff"/></svg>';
    document.body.append(at);
}"""


RING = """(c) => {
    const {width: w, height: h} = c, d = c.getContext("2d").getImageData(0, 0, w, h).data;
    let x = 0, y = 0, n = 0;
    for (let i = 0; i < w * h; i++) {
        const dark = d[4 * i + 3] > 250 && d[4 * i] < 40 && d[4 * i + 1] < 45;
        if (dark) [x, y, n] = [x + (i % w), y + Math.floor(i / w), n + 1];
    }
    return {x: x / n, y: y / n};
}"""


class Film:
    """Frames, and how long each is shown."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.at = (600.0, 420.0)
        self.frames: list[Image.Image] = []
        self.milliseconds: list[int] = []

    def shoot(self, milliseconds: int) -> None:
        self.frames.append(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        self.milliseconds.append(milliseconds)

    def point(self, x: float, y: float) -> None:
        move = (
            "([x, y]) => { const s = document.getElementById('pointer').style; s.left = x + 'px'; s.top = y + 'px'; }"
        )
        self.page.evaluate(move, [x, y])
        self.at = (x, y)

    def go(self, x: float, y: float, steps: int = 6) -> None:
        """The pointer glides to a place."""
        x0, y0 = self.at
        for step in range(1, steps + 1):
            part = step / steps
            self.point(x0 + (x - x0) * part, y0 + (y - y0) * part)
            self.shoot(60)

    def turn(self, key: str, steps: int) -> None:
        """Gamma by so many steps, with the pointer at the slider's thumb."""
        slider = self.page.get_by_label("gamma, the budget multiplier")
        for _ in range(steps):
            slider.press(key)
            self.page.wait_for_timeout(150)
            box = slider.bounding_box()
            part = slider.evaluate("e => (e.value - e.min) / (e.max - e.min)")
            assert box is not None
            self.point(box["x"] + 8 + part * (box["width"] - 16), box["y"] + box["height"] / 2)
            self.shoot(420)


def main(arguments: list[str] | None = None) -> None:
    """Film the explorer of the page, and write an animated WebP."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.film", description=main.__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args(arguments)
    found = re.search(r'<iframe[^>]* srcdoc="([^"]*)"', options.page.read_text(encoding="utf-8"))
    assert found, f"{options.page}: no explorer in it; make tour writes one"
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "explorer.html"
        alone.write_text(html.unescape(found[1]), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
        page.goto(alone.as_uri())
        settled(page)
        page.add_style_tag(content=STYLE)
        page.evaluate(POINTER)
        settled(page)
        film = play(page)
        browser.close()
    first, *rest = film.frames
    first.save(
        options.picture, save_all=True, append_images=rest, duration=film.milliseconds, loop=0, quality=72, method=6
    )
    print(f"{options.picture}: {len(film.frames)} frames, {options.picture.stat().st_size / 1e3:.0f} kB")


def scout(page: Page) -> dict[str, float]:
    """Where among the points a sample lies that shows much: of those tried, the one with most tokens to lose."""
    first, best = page.get_by_label("Sample id").input_value(), (0, "", {"x": 0.0, "y": 0.0})
    for _ in range(80):
        page.get_by_label("Next sample", exact=True).click()
        page.wait_for_timeout(40)
        funded = [re.findall(r"\d+", text) for text in page.locator(".clcr-funded").all_inner_texts()]
        seen, heard, read = ([int(number) for number in pair] for pair in funded)
        if "right" in page.locator(".clcr-facts").inner_text() and 15 <= heard[1] <= 25 and seen[0] + read[0] > best[0]:
            ring = page.locator(".clcr-subspaces canvas").evaluate(RING)
            best = (seen[0] + read[0], page.get_by_label("Sample id").input_value(), ring)
    box = page.get_by_label("Sample id")
    box.fill(first)
    box.press("Enter")
    page.locator(".clcr-chip").click()
    page.wait_for_timeout(300)
    return best[2]


def play(page: Page) -> Film:
    page.locator(".clcr-subspaces").get_by_label("zoom in").check()
    page.wait_for_timeout(500)
    spot = scout(page)
    film = Film(page)
    film.point(*film.at)
    film.shoot(1200)
    cloud = page.locator(".clcr-subspaces canvas")
    box = cloud.bounding_box()
    assert box is not None
    film.go(box["x"] + spot["x"], box["y"] + spot["y"])
    cloud.click(position=spot)  # type: ignore[arg-type]
    page.mouse.move(2, 2)
    page.wait_for_timeout(400)
    film.shoot(1600)
    slider = page.get_by_label("gamma, the budget multiplier")
    steps = int(slider.input_value())
    place = slider.bounding_box()
    assert place is not None
    film.go(place["x"] + place["width"] * 0.55, place["y"] + 12)
    film.turn("ArrowLeft", steps)
    film.milliseconds[-1] = 1500
    lane = page.locator(".clcr-lane canvas").last
    box = lane.bounding_box()
    assert box is not None
    film.go(box["x"] + 80, box["y"] + 30)
    lane.hover(position={"x": 80, "y": 30})
    page.wait_for_timeout(200)
    film.shoot(2600)
    page.mouse.move(2, 2)
    film.turn("ArrowRight", steps)
    film.milliseconds[-1] = 1200
    return film


if __name__ == "__main__":
    main()
