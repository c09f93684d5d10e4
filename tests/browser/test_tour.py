"""The tour as a newcomer has it: opened in JupyterLab, run from top to bottom, and the budget turned by keyboard."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.browser.conftest import Lab
from tests.browser.explorer_driver import assert_gamma

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_the_tour_runs_and_its_slider_moves_the_picture(lab: Lab) -> None:
    shutil.copy(NOTEBOOKS / "00_tour.ipynb", lab.root / "tour.ipynb")
    shutil.copytree(NOTEBOOKS / "exercises", lab.root / "exercises", dirs_exist_ok=True)
    watched = lab.run("tour.ipynb", "TOUR DONE", seconds=300)
    page = watched.page
    page.locator(".clcr").first.scroll_into_view_if_needed()
    watched.shoot("tour", full=False)
    assert_gamma(page, "ArrowLeft")
    watched.shoot("tour-after-slider", full=False)
    watched.assert_quiet()
