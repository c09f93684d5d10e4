"""The explorer live in JupyterLab."""

from __future__ import annotations

import re
from functools import partial

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Lab, Watched
from tests.browser.explorer_driver import (
    VIEWS,
    assert_enlarged,
    assert_gamma,
    assert_linked,
    assert_moved,
    assert_nearest,
    assert_sound,
    changed,
    ink,
    settled,
    shots,
    some_point,
)

SET_UP = """
import ipywidgets, torch
import numpy as np
from dataclasses import replace
from clcrkit import CLCR, CLCRConfig, viz
from clcrkit.datasets.asynchrony import asynchrony
def tone(sample):  # two seconds: longer than a test needs to see that it plays
    if sample == 271:
        raise OSError("271.wav is gone")
    return np.sin(np.arange(16000) * (0.2 + 0.001 * (sample % 100))).astype(np.float32) / 2, 8000
split = replace(asynchrony((64, 8, 200)), sound={"acoustic": tone})
torch.manual_seed(0)
model = CLCR(CLCRConfig.of(split.train, width=32, rank=8, private_rank=8, heads=2))
_ = torch.nn.init.normal_(model.intercad.level_mlp[-1].weight)  # untrained, all level gates are equal
trace = model.trace(split.test)
"""
EXPLORE = """
explorer = viz.Explorer(trace, model, split, projection="pca")
said = ipywidgets.HTML()
def tell(change):
    shown = {name: getattr(explorer, name) for name in ("selection", "picked", "gamma", "level", "muted")}
    said.value = f"<code class='said'>{shown}</code>"
explorer.observe(tell, names=["selection", "picked", "gamma", "level", "muted"])
display(explorer, said)
"""
DONE = 'print("ALL-" + "DONE")'


@pytest.fixture(scope="module")
def live(lab: Lab) -> Watched:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (SET_UP, EXPLORE, DONE)])
    nbformat.write(notebook, lab.root / "explorer.ipynb")
    watched = lab.run("explorer.ipynb", "ALL-DONE")
    settled(watched.page)
    return watched


def test_lab_click_links_all_views_and_reaches_python(live: Watched) -> None:
    assert_linked(live.page)
    picked = live.page.get_by_label("Sample id").input_value()
    expect(live.page.locator(".said")).to_contain_text(f"'selection': [{picked}], 'picked': {picked}")
    live.assert_quiet()


def test_lab_lasso_selects_several(live: Watched) -> None:
    page = live.page
    canvas = page.locator(".clcr-subspaces canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    x, y, w, h = box["x"], box["y"], box["width"], box["height"]
    page.mouse.move(x + 0.1 * w, y + 0.1 * h)
    page.mouse.down()
    for fx, fy in ((0.9, 0.1), (0.9, 0.9), (0.1, 0.9)):
        page.mouse.move(x + fx * w, y + fy * h, steps=4)
    page.mouse.up()
    expect(page.locator(".clcr-chip")).to_have_text(re.compile(r"^\d{2,3} selected"))
    count = int(page.locator(".clcr-chip").inner_text().split()[0])
    expect(page.locator(".said")).to_have_text(re.compile(rf"'selection': \[(\d+, ){{{count - 1}}}\d+\]"))
    canvas.press("Escape")
    expect(page.locator(".clcr-chip")).to_be_hidden()
    expect(page.locator(".said")).to_contain_text("'selection': []")
    live.assert_quiet()


def test_lab_enlarges_and_moves_the_cloud(live: Watched) -> None:
    page = live.page
    page.mouse.move(2, 2)
    assert_enlarged(page)
    assert_moved(page)
    before = ink(page, "subspaces")
    page.get_by_label("density").check()
    before = changed(page, "subspaces", before)
    page.get_by_label("density").uncheck()
    changed(page, "subspaces", before)
    live.assert_quiet()


def test_lab_finds_and_lists_the_nearest(live: Watched) -> None:
    page, address = live.page, live.page.url
    find = page.get_by_label("Find samples")
    label = re.match("label ([^,]+)", page.locator(".clcr-facts").inner_text())
    assert label
    find.fill(f"label: {label[1]}")
    find.press("Enter")
    expect(page.locator(".clcr-found")).to_have_text(re.compile(r"^[1-9]\d* found$"))
    page.locator(".clcr-subspaces [data-trait=space]").select_option("private_code")  # every sample has a code
    page.wait_for_timeout(600)
    assert_nearest(page)
    picked = page.get_by_label("Sample id").input_value()
    expect(page.locator(".said")).to_contain_text(
        re.compile(rf"'selection': \[({picked}, |\d+, )+.*'picked': {picked}")
    )
    page.locator(".clcr-neighbours summary").click()
    page.locator(".clcr-subspaces [data-trait=space]").select_option("shared")
    page.locator(".clcr-subspaces canvas").first.press("Escape")
    assert page.url == address  # JupyterLab's, not the explorer's
    live.assert_quiet()


def test_lab_gamma_by_keyboard(live: Watched) -> None:
    assert_gamma(live.page, "ArrowLeft")
    expect(live.page.locator(".said")).to_contain_text("'gamma': 0.85")
    live.assert_quiet()


def test_lab_mute_by_keyboard_reruns_the_model(live: Watched) -> None:
    page = live.page
    before = ink(page, "gates")
    page.get_by_label("gamma, the budget multiplier").press("End")  # a budget that funds the token to be muted
    before = changed(page, "gates", before)
    funded = page.locator(".clcr-funded").first
    lane = page.locator(".clcr-lane canvas").first
    lane.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".clcr-said")).to_have_text(re.compile("1 muted"))
    changed(page, "gates", before)
    expect(page.locator(".said")).to_contain_text(re.compile(r"'muted': \[\('\w+', 2, 0\)\]"))
    count = int(funded.inner_text().split()[2])
    assert int(funded.inner_text().split()[0]) < count
    page.get_by_role("button", name="reset").click()
    expect(page.locator(".said")).to_contain_text("'gamma': 1.0")
    expect(page.locator(".said")).to_contain_text("'muted': []")
    live.assert_quiet()


def test_lab_pickers_probes_and_error(live: Watched) -> None:
    page = live.page
    expect(page.locator(".clcr-probe").first).to_be_visible(timeout=30_000)
    before = {view: ink(page, view) for view in VIEWS}
    page.get_by_text("shallow", exact=True).first.click()
    for view in ("subspaces", "budget", "attention"):
        changed(page, view, before[view])
    before = {view: ink(page, view) for view in VIEWS}
    page.locator(".clcr-attention [data-trait=modality]").select_option("acoustic")
    for view in ("subspaces", "attention"):
        changed(page, view, before[view])
    before = {view: ink(page, view) for view in VIEWS}
    page.locator("[data-trait=color]").select_option("error")
    for view in ("subspaces", "gates"):
        changed(page, view, before[view])
    page.locator("[data-trait=color]").select_option("label")
    page.wait_for_timeout(600)
    before = {view: ink(page, view) for view in VIEWS}
    page.locator(".clcr-subspaces [data-trait=space]").select_option("private_code")
    expect(page.locator(".clcr-subspaces [data-trait=modality]")).to_be_disabled()
    changed(page, "subspaces", before["subspaces"])
    some_point(page.locator(".clcr-subspaces canvas").first)  # its points came from the kernel, and are drawn
    expect(page.locator(".clcr-probe").first).to_be_visible(timeout=30_000)
    expect(page.locator(".clcr-error")).to_be_hidden()
    live.assert_quiet()


def test_lab_plays_the_picked_sample(live: Watched) -> None:
    assert_sound(live.page)
    live.assert_quiet()


def test_lab_shows_a_callbacks_error_in_the_widget(live: Watched) -> None:
    page = live.page
    box, error = page.get_by_label("Sample id"), page.locator(".clcr-error")
    box.press("ControlOrMeta+a")
    box.press_sequentially("271")
    box.press("Enter")
    expect(error).to_have_text("OSError: 271.wav is gone")
    expect(page.locator(".clcr-listen")).to_be_disabled()
    box.press("ControlOrMeta+a")
    box.press_sequentially("100")
    box.press("Enter")
    expect(error).to_be_hidden()
    expect(page.locator(".clcr-listen:visible")).to_be_enabled()
    live.assert_quiet()


def test_lab_umap(live: Watched) -> None:
    page = live.page
    page.locator(".clcr-subspaces [data-trait=space]").select_option("shared_code")
    page.wait_for_timeout(600)
    before = ink(page, "subspaces")
    panel = page.locator(".clcr-subspaces")
    background = partial(panel.evaluate, "e => getComputedStyle(e).backgroundColor")
    page.locator("[data-trait=projection]").select_option("umap")
    expect(page.locator(".clcr-subspaces.clcr-waiting")).to_have_count(1)
    expect(panel.locator("canvas").first).to_have_css("opacity", "0.3")
    waiting = background()
    expect(page.locator(".clcr-subspaces.clcr-waiting")).to_have_count(0, timeout=120_000)  # the first one compiles
    assert waiting == background()  # what is drawn turned pale, not the panel
    page.mouse.move(2, 2)
    changed(page, "subspaces", before)
    page.locator(".clcr").first.screenshot(path=str(shots() / "lab-umap.png"))
    target = page.locator(".clcr-subspaces canvas").first
    old = page.get_by_label("Sample id").input_value()
    target.click(position=some_point(target))  # type: ignore[arg-type]
    expect(page.get_by_label("Sample id")).not_to_have_value(old)
    page.locator("[data-trait=projection]").select_option("pca")
    expect(page.locator(".clcr-error")).to_be_hidden()
    live.assert_quiet()


def test_lab_follows_the_dark_theme(live: Watched, lab: Lab) -> None:
    root = live.page.locator(".clcr").first
    for theme, name in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
        lab.use_theme(live, theme)
        expect(root).to_have_attribute("data-theme", name)
        live.page.wait_for_timeout(400)
        live.page.set_viewport_size({"width": 1300, "height": 2000})
        root.scroll_into_view_if_needed()
        root.screenshot(path=str(shots() / f"lab-{name}.png"))
    live.assert_quiet()


def test_lab_each_view_alone(lab: Lab) -> None:
    calls = ["viz.subspaces(trace, split)", "viz.gates(trace, split, color='error')", "viz.budget(trace, model, split)",
             "viz.attention(trace, model, split)"]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (SET_UP, *calls, DONE)])
    nbformat.write(notebook, lab.root / "views.ipynb")
    watched = lab.run("views.ipynb", "ALL-DONE")
    settled(watched.page)
    widgets = watched.page.locator(".clcr")
    expect(widgets).to_have_count(4)
    for i, view in enumerate(VIEWS):
        expect(widgets.nth(i).locator(".clcr-panel")).to_have_count(1)
        blank = (
            widgets.nth(i)
            .locator("canvas")
            .first.evaluate("c => !c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)")
        )
        assert not blank, view
        widgets.nth(i).screenshot(path=str(shots() / f"lab-alone-{view}.png"))
    watched.assert_quiet()
