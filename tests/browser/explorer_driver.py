"""Driving the explorer as a reader does, and waiting for what it draws."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SCREENSHOTS

VIEWS = ("subspaces", "gates", "budget", "attention")


def ink(page: Page, view: str) -> str:
    """All that a view's canvases show, and its text: equal if and only if the view looks the same."""
    shown: str = page.locator(f".clcr-{view}").first.evaluate(
        "el => el.innerText + [...el.querySelectorAll('canvas')].map(c => c.toDataURL()).join()"
    )
    return shown


def changed(page: Page, view: str, before: str) -> str:
    """Wait until a view looks different and has come to rest; returns what it shows then."""
    last, now = before, ink(page, view)
    for _ in range(60):
        if now not in (before, last) or (now != before and now == last):
            if now == last:
                return now
            last = now
        page.wait_for_timeout(100)
        now = ink(page, view)
    raise AssertionError(f"{view} did not change")


def some_point(canvas: Locator, away: float = 30) -> dict[str, float]:
    """Where a coloured mark lies, some way from the picked sample's black ring, in the canvas's coordinates."""
    script = """(c, away) => {
          const {width: w, height: h} = c, d = c.getContext('2d').getImageData(0, 0, w, h).data, k = w / c.clientWidth;
          const at = (x, y) => d.slice(4 * (y * w + x), 4 * (y * w + x) + 4);
          const vivid = p => p[3] > 250 && Math.max(p[0], p[1], p[2]) - Math.min(p[0], p[1], p[2]) > 90;
          let black = [0, 0, 0];
          for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
            const p = at(x, y);
            if (p[3] > 250 && p[0] < 40 && p[1] < 45 && p[2] < 50) { black[0] += x; black[1] += y; black[2]++; }
          }
          const [bx, by] = [black[0] / black[2], black[1] / black[2]];
          for (let y = 4; y < h - 4; y++) for (let x = 4; x < w - 4; x++)
            if (vivid(at(x, y)) && vivid(at(x + 1, y + 1)) && Math.hypot(x - bx, y - by) > away * k)
              return {x: x / k, y: y / k};
          return null;
        }"""
    for _ in range(50):  # a busy machine draws late
        found: dict[str, float] | None = canvas.evaluate(script, away)
        if found:
            return found
        canvas.page.wait_for_timeout(200)
    raise AssertionError("no point to click")


def settled(page: Page) -> None:
    page.locator(".clcr-panel").first.wait_for()
    page.wait_for_timeout(600)


def assert_linked(page: Page) -> None:
    """Click a point among the subspaces, then one among the gates: every view follows both times."""
    for source, canvas in (("subspaces", ".clcr-subspaces canvas"), ("gates", "[data-gate=level_gate] canvas")):
        box = page.get_by_label("Sample id")
        old = box.input_value()
        for view in ("subspaces", "gates"):
            page.locator(f".clcr-{view}").get_by_label("zoom in").set_checked(source == view)
        page.wait_for_timeout(200)
        target = page.locator(canvas).first
        target.scroll_into_view_if_needed()
        before = {view: ink(page, view) for view in VIEWS}
        target.click(position=some_point(target))  # type: ignore[arg-type]
        expect(box).not_to_have_value(old)
        page.mouse.move(2, 2)
        for view in VIEWS:
            changed(page, view, before[view])
        expect(page.locator(".clcr-chip")).to_have_text(re.compile("^1 selected"))


def assert_gamma(page: Page, key: str) -> None:
    """Move gamma by keyboard: allocation, weighted attention and prediction change, and then gates too."""
    numbers = page.locator(".clcr-prediction .clcr-number")
    before, old = {view: ink(page, view) for view in VIEWS}, numbers.all_inner_texts()
    caption = page.locator(".clcr-lane-caption").first.inner_text()
    slider = page.get_by_label("gamma, the budget multiplier")
    slider.focus()
    value = slider.input_value()
    for _ in range(3):
        page.keyboard.press(key)
    expect(slider).not_to_have_value(value)
    for view in ("budget", "attention", "gates"):
        changed(page, view, before[view])
    assert page.locator(".clcr-lane-caption").first.inner_text() != caption
    expect(page.locator(".clcr-said")).to_have_text(re.compile("^at γ"))
    assert numbers.all_inner_texts() != old


def assert_sound(page: Page) -> None:
    """Play the picked sample's sound by keyboard, stop it, let it end, and have it stopped by the next sample."""
    buttons = page.locator(".clcr-listen:visible")
    expect(buttons).to_have_count(1)
    expect(buttons).to_have_text("▶ listen")
    buttons.focus()
    page.keyboard.press("Enter")
    expect(buttons).to_have_text("■ stop")
    expect(page.get_by_label("stop: the sound of acoustic")).to_be_focused()
    page.keyboard.press("Enter")
    expect(buttons).to_have_text("▶ listen")
    page.keyboard.press("Enter")
    expect(buttons).to_have_text("■ stop")
    expect(buttons).to_have_text("▶ listen", timeout=15_000)  # it came to its end
    page.keyboard.press("Enter")
    expect(buttons).to_have_text("■ stop")
    page.get_by_label("Next sample", exact=True).click()
    expect(buttons).to_have_text("▶ listen", timeout=1_000)
    expect(page.locator("[aria-live].clcr-hidden")).not_to_contain_text("cannot be played")


def assert_enlarged(page: Page) -> None:
    """Enlarge the cloud by wheel, keys and buttons; what is under the pointer stays there, and all stays linked."""
    cloud, chip = page.locator(".clcr-subspaces canvas").first, page.locator(".clcr-chip")
    cloud.scroll_into_view_if_needed()
    gates, point = ink(page, "gates"), some_point(cloud)
    cloud.hover(position=point)  # type: ignore[arg-type]
    under, whole = page.locator(".clcr-tip strong").inner_text(), ink(page, "subspaces")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    changed(page, "subspaces", whole)
    cloud.hover(position={"x": point["x"] + 1, "y": point["y"]})
    expect(page.locator(".clcr-tip strong")).to_have_text(under)
    cloud.click(position=point)  # type: ignore[arg-type]
    expect(chip).to_have_text(re.compile("^1 selected"))
    expect(page.get_by_label("Sample id")).to_have_value(under.removeprefix("id ").split(",")[0])
    changed(page, "gates", gates)
    near = ink(page, "subspaces")
    for key in ("Shift+ArrowLeft", "+", "-"):
        cloud.focus()
        page.keyboard.press(key)
        near = changed(page, "subspaces", near)
    for name in ("Enlarge", "Shrink", "See all points"):
        page.get_by_role("button", name=name).click()
        near = changed(page, "subspaces", near)
    cloud.press("Escape")
    expect(chip).to_be_hidden()


def assert_moved(page: Page) -> None:
    """A loop selects what is seen: fewer once the cloud is enlarged; Alt and drag move it and select nothing."""
    cloud, chip = page.locator(".clcr-subspaces canvas").first, page.locator(".clcr-chip")
    _loop(cloud)
    expect(chip).to_be_visible()
    every = int(chip.inner_text().split()[0])
    page.get_by_role("button", name="Enlarge").click(click_count=3)
    page.wait_for_timeout(300)
    _loop(cloud)
    expect(chip).not_to_have_text(re.compile(f"^{every} "))
    assert int(chip.inner_text().split()[0]) < every
    before, selected = ink(page, "subspaces"), chip.inner_text()
    box = cloud.bounding_box()
    assert box is not None
    page.keyboard.down("Alt")
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 150, steps=4)
    page.mouse.up()
    page.keyboard.up("Alt")
    changed(page, "subspaces", before)
    assert chip.inner_text() == selected
    page.get_by_role("button", name="See all points").click()
    cloud.press("Escape")
    expect(chip).to_be_hidden()


def _loop(cloud: Locator) -> None:
    """Around all that the picture shows."""
    cloud.scroll_into_view_if_needed()
    box = cloud.bounding_box()
    assert box is not None
    corners = [(3, 3), (box["width"] - 3, 3), (box["width"] - 3, box["height"] - 3), (3, box["height"] - 3)]
    mouse = cloud.page.mouse
    mouse.move(box["x"] + 3, box["y"] + 3)
    mouse.down()
    for x, y in corners[1:]:
        mouse.move(box["x"] + x, box["y"] + y, steps=3)
    mouse.up()


def assert_nearest(page: Page) -> None:
    """The nearest samples are listed in order, joined by lines, picked and selected."""
    closed, near = ink(page, "subspaces"), page.locator(".clcr-neighbours")
    near.locator("summary").click()
    changed(page, "subspaces", closed)
    rows = near.locator("li")
    expect(rows).to_have_count(8)
    distances = [float(text.split()[-1]) for text in rows.all_inner_texts()]
    assert distances == sorted(distances)
    assert distances[0] >= 0
    first = rows.first.get_by_role("button").inner_text().removeprefix("id ")
    rows.first.get_by_role("button").press("Enter")
    expect(page.get_by_label("Sample id")).to_have_value(first)
    near.get_by_role("button", name="select these").click()
    expect(page.locator(".clcr-chip")).to_have_text(re.compile("^9 selected"))
    expect(page.get_by_label("Sample id")).to_have_value(first)


def shots() -> Path:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS
