"""What the playground is measured by: how soon it answers, and what it makes of drawings. Printed, not asserted.

python -m tests.browser.playground_figures build/playground.html
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from clcrkit.datasets import digits
from clcrkit.datasets.digits import load_scans
from tests import chromium
from tests.browser.conftest import Watched
from tests.browser.drawings import BY_HAND, after_scan
from tests.browser.playground_driver import Stroke, answered, draw

STEPS = 25
# From an input event to the end of the frame that shows the answer to it, in milliseconds.
CHANGES = """async ([selector, steps, from, by]) => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const { app } = document.getElementById("explorer"), input = document.querySelector(selector), times = [];
  for (let i = 0; i < steps; i++) {
    await new Promise((done) => setTimeout(done, 250));
    await new Promise((done) => requestAnimationFrame(done));
    await new Promise((done) => setTimeout(done, 4));
    const started = performance.now();
    const before = app.model.pass;
    input.value = typeof from === "number" ? from + by * i : from.slice(0, 1 + (i % from.length));
    input.dispatchEvent(new Event("input", { bubbles: true }));
    while (app.model.pass === before) await new Promise((done) => setTimeout(done));
    await drawn();
    times.push(performance.now() - started);
  }
  return times;
}"""
# The renderer's own time on the processor, in seconds: what the wait would be on an idle machine.
_CLOCK = {"timeDomain": "threadTicks"}


def main(arguments: list[str] | None = None) -> None:
    """Open the page, change inputs, draw digits, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.playground_figures", description=main.__doc__)
    parser.add_argument("page", type=Path)
    path = parser.parse_args(arguments).page
    print(f"page: {path.stat().st_size / 1e6:.1f} MB")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        watched = Watched(browser.new_context(viewport={"width": 1000, "height": 900}, offline=True))
        page = watched.page
        clock = page.context.new_cdp_session(page)
        clock.send("Performance.enable", _CLOCK)
        page.goto(path.resolve().as_uri())
        page.locator(".clcr-workbench .clcr-best").wait_for()
        busy = next(m["value"] for m in clock.send("Performance.getMetrics")["metrics"] if m["name"] == "TaskDuration")
        first = page.evaluate("performance.now()") / 1e3
        print(f"first prediction: {first:.1f} s, of which the page computed {busy:.1f} s")
        answered(page)
        for name, steps in (("gamma", [".clcr-gamma", STEPS, 0.3, 0.05]), ("word", [".clcr-word", STEPS, "sieben", 0])):
            times = page.evaluate(CHANGES, steps)
            print(f"{name} to redraw: median {statistics.median(times):.0f} ms, least {min(times):.0f} ms")
        _drawings(page)
        watched.assert_quiet()
        browser.close()


def _drawings(page: Page) -> None:
    scans, digit = load_scans()
    unseen = digits(seed=0).test.attributes["scan"].numpy()
    rows = [int(np.random.default_rng(0).permutation(unseen[digit[unseen] == d])[i]) for d in range(10) for i in (0, 1)]
    for name in ("acoustic", "language"):
        page.get_by_label(f"{name} is there").uncheck()
    for name, drawings in (
        ("after scans that training never saw", [(int(digit[i]), after_scan(scans[i])) for i in rows]),
        ("by hand", BY_HAND),
    ):
        said = [(label, _seen(page, strokes)) for label, strokes in drawings]
        right = sum(label == says for label, says in said)
        wrong = ", ".join(f"{label} as {says}" for label, says in said if label != says)
        print(f"drawings {name}, vision alone: {right} of {len(said)} right ({wrong})")


def _seen(page: Page, strokes: list[Stroke]) -> int:
    page.get_by_role("button", name="clear", exact=True).click()
    draw(page, strokes)
    answered(page)
    return int(page.locator(".clcr-workbench .clcr-best .clcr-name").inner_text())


if __name__ == "__main__":
    main()
