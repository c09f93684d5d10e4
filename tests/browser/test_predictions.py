"""A learner predicts in JupyterLab: nothing is filled in or told before, then the answer is uncovered and kept."""

from __future__ import annotations

import json
import shutil

import nbformat
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, Lab

CELLS = """import os
os.environ["CLCRKIT_PROGRESS"] = "mine.json"
from exercises import predict, progress, score, scorecard
progress.keep()
predict("the area", within=0.5)
---
score("the area", 12.25)
---
predict("who leads", options=["sound", "words"])
---
score("who leads", "words")
---
scorecard()
---
print("AS" + "KED")"""


def test_a_guess_is_asked_for_recorded_and_kept(lab: Lab) -> None:
    shutil.copytree(ROOT / "notebooks" / "exercises", lab.root / "exercises", dirs_exist_ok=True)
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.split("\n---\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), lab.root / "asked.ipynb")
    watched = lab.run("asked.ipynb", "ASKED")
    page, told = watched.page, watched.page.locator(".jp-OutputArea-output")
    number = page.get_by_placeholder("a number")
    expect(number).to_have_value("")
    expect(page.locator("input[type=radio]:checked")).to_have_count(0)
    expect(told.get_by_text("12.25").locator("visible=true")).to_have_count(0)
    number.fill("many")
    page.get_by_role("button", name="Commit").first.click()
    expect(told.get_by_text("many").first).to_be_visible()  # refused in words
    expect(told.get_by_text("12.25").locator("visible=true")).to_have_count(0)
    number.fill("12")
    number.press("Enter")
    expect(told.get_by_text("12.25").locator("visible=true").first).to_be_visible()
    page.get_by_label("sound").check()
    page.get_by_role("button", name="Commit").last.click()
    expect(told.get_by_text("2 of 2").locator("visible=true").first).to_be_visible()
    watched.shoot("predictions")
    kept = json.loads((lab.root / "mine.json").read_text())["predictions"]
    assert kept["the area"]["right_at_first"] is True
    assert kept["who leads"]["right_at_first"] is False
    watched.assert_quiet()
