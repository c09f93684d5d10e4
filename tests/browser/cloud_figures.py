"""How an exported page bears many samples: its size, and the times to open it, to zoom or pan and to draw
all clouds anew.

    python -m tests.browser.cloud_figures 3000 10000 100000

The trace is made up (one untrained model's pass, its summaries, codes and gates with noise for each sample). The
browser runs without a graphics card: the canvas is drawn by the processor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from clcrkit import viz
from tests import chromium
from tests.browser.speed import MAKE

# One change of all clouds: another colouring.
COLOURS = """async () => {
  const select = document.querySelector('[data-trait=color]'), times = [];
  const frame = () => new Promise(requestAnimationFrame);
  for (let i = 0; i < 10; i++) {
    select.value = ['speaker', 'label'][i % 2];
    await frame();
    const started = performance.now();
    select.dispatchEvent(new Event('change', {bubbles: true}));
    await frame(); await frame();
    times.push(performance.now() - started);
  }
  return times;
}"""
# Frames while the first cloud is enlarged, moved and made whole again by keys: each key, and the frame that shows it.
VIEWED = """async () => {
  const canvas = document.querySelector('.clcr-subspaces canvas'), times = [];
  const frame = () => new Promise(requestAnimationFrame);
  const keys = ['+', '+', '+', 'ArrowLeft', 'ArrowUp', 'ArrowRight', 'ArrowDown', '-', '-', '-'];
  for (const key of [...keys, ...keys]) {
    await frame();
    const started = performance.now();
    canvas.dispatchEvent(new KeyboardEvent('keydown', {key, shiftKey: key.startsWith('Arrow'), bubbles: true}));
    await frame(); await new Promise((done) => setTimeout(done, 0));
    times.push(performance.now() - started);
  }
  return times;
}"""
STARTED = """(() => {
  const look = () => {
    const canvas = document.querySelector('.clcr-subspaces canvas');
    if (!canvas?.height || !document.querySelector('.clcr-funded')) return requestAnimationFrame(look);
    requestAnimationFrame(() => requestAnimationFrame(() => { window.opened = performance.now(); }));
  };
  requestAnimationFrame(look);
})()"""


def _page(samples: int) -> Path:
    made: dict[str, Any] = {}
    exec(MAKE, made)
    _, trace = made["traced"](samples, tokens=8, modalities=3)
    return viz.Explorer(trace).export(Path(tempfile.gettempdir()) / f"cloud-{samples}.html", max_mb=60)


def _figures(page: Page, samples: int) -> None:
    started = time.perf_counter()
    path = _page(samples)
    written = time.perf_counter() - started
    page.goto(path.as_uri())
    while (opened := page.evaluate("window.opened")) is None:  # the page's policy forbids wait_for_function
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)
    redrawn = statistics.median(page.evaluate(COLOURS))
    viewed = statistics.median(page.evaluate(VIEWED))
    size = path.stat().st_size / 1e6
    print(f"{samples:,} samples: {size:.1f} MB, written in {written:.1f} s, opened in {opened / 1e3:.2f} s, ", end="")
    print(
        f"zoom or pan in {viewed:.0f} ms, all clouds redrawn in {redrawn:.0f} ms (load {os.getloadavg()[0]:.1f})",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> None:
    """Print the figures of each size."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.cloud_figures", description=main.__doc__)
    parser.add_argument("samples", nargs="*", type=int, default=[3_000, 10_000, 100_000])
    options = parser.parse_args(arguments)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        for samples in options.samples:
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            page.add_init_script(STARTED)
            _figures(page, samples)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
