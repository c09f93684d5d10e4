"""The moving picture of the playground: a 3 is drawn, 'sieben' typed and an 8 spoken, and the budget turned down.

python -m tests.browser.playground_film build/playground.html notebooks/playground.webp
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests import chromium
from tests.browser.drawings import BY_HAND
from tests.browser.film import POINTER, Film
from tests.browser.playground_driver import answered

SIZE = 1200, 900
STYLE = """
.clcr-cards, .clcr-about, .clcr-gates, .clcr-attention, .clcr-note,
.clcr-panel.clcr-budget .clcr-side { display: none !important; }
.clcr-subspaces { display: none !important; }
#pointer { position: fixed; z-index: 99; width: 22px; pointer-events: none; filter: drop-shadow(0 1px 2px #0006); }
"""


def main(arguments: list[str] | None = None) -> None:
    """Film the page, and write an animated WebP."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.playground_film", description=main.__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args(arguments)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
        page.goto(options.page.resolve().as_uri())
        page.locator(".clcr-saying").first.wait_for()
        page.add_style_tag(content=STYLE)
        page.evaluate(POINTER)
        film = play(page)
        browser.close()
    first, *rest = film.frames
    first.save(
        options.picture, save_all=True, append_images=rest, duration=film.milliseconds, loop=0, quality=60, method=6
    )
    print(f"{options.picture}: {len(film.frames)} frames, {options.picture.stat().st_size / 1e3:.0f} kB")


def play(page: Page) -> Film:
    film = Film(page)
    film.point(*film.at)
    page.get_by_role("button", name="clear", exact=True).click()
    answered(page)
    film.shoot(900)
    box = page.locator(".clcr-drawing").bounding_box()
    assert box is not None
    ((first, *others),) = next(strokes for digit, strokes in BY_HAND if digit == 3)
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (first, *others)]
    film.go(*places[0])
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(x, y, steps=4)
        film.point(x, y)
        answered(page)
        film.shoot(220)
    page.mouse.up()
    film.milliseconds[-1] = 900
    word = page.get_by_label("The word", exact=True)
    box = word.bounding_box()
    assert box is not None
    film.go(box["x"] + 90, box["y"] + 20)
    word.fill("")
    for letter in "sieben":
        word.press(letter)
        answered(page)
        film.shoot(260)
    film.milliseconds[-1] = 1500
    digit = page.get_by_label("Spoken digit")
    box = digit.bounding_box()
    assert box is not None
    film.go(box["x"] + 20, box["y"] + 12)
    digit.select_option("8")
    answered(page)
    film.shoot(1800)
    slider = page.get_by_label("gamma, the budget multiplier")
    box = slider.bounding_box()
    assert box is not None
    film.go(box["x"] + box["width"] / 2, box["y"] + 12)
    for key in ("ArrowLeft", "ArrowRight"):
        film.turn(key, 14)
        film.milliseconds[-1] = 1500
    return film


if __name__ == "__main__":
    main()
