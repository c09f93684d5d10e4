"""Stored notebooks as a stranger's: opened in JupyterLab without trust, not run, their pictures are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from tests.browser.conftest import ROOT, Lab

PLOTLY, PNG, SVG = "application/vnd.plotly.v1+json", "image/png", "image/svg+xml"
NOTEBOOKS = ROOT / "notebooks"


def pictures(path: Path) -> tuple[int, int]:
    """How many stored outputs are plotly figures, and how many explorers (an SVG)."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return sum(PLOTLY in d for d in data), sum(SVG in d for d in data)


def is_drawn(picture: Locator) -> bool:
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    loaded = picture.evaluate("e => e.tagName !== 'IMG' || (e.complete && e.naturalWidth > 100)")
    room = picture.evaluate("e => e.closest('.jp-OutputArea').clientWidth")
    return bool(loaded and box and 200 < box["width"] <= room and box["height"] > 100)


@pytest.mark.parametrize("name", ["00_tour", "04_budget", "09_looking_inside"])
def test_an_untrusted_notebook_shows_its_pictures(lab: Lab, name: str) -> None:
    figures, explorers = pictures(NOTEBOOKS / f"{name}.ipynb")
    assert figures + explorers > 0
    (lab.root / f"{name}.ipynb").write_bytes((NOTEBOOKS / f"{name}.ipynb").read_bytes())
    watched = lab.open(f"{name}.ipynb")
    page = watched.page
    shown = page.locator(".jp-OutputArea-output :is(img, .js-plotly-plot), .jp-OutputArea-output.jp-RenderedSVG")
    shown.first.wait_for()
    page.wait_for_timeout(1500)
    drawn = [picture for picture in shown.all() if is_drawn(picture)]
    watched.shoot(f"untrusted-{name}", full=False)
    assert len(drawn) >= figures + explorers
