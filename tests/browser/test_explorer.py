"""The explorer where people use it: live in JupyterLab, and as a page opened from the disk without a network."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect

from clcrkit import CLCR, CLCRConfig, viz
from clcrkit.datasets.asynchrony import asynchrony
from tests.browser.conftest import Lab, Watched

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
VIEWS = ("subspaces", "gates", "budget", "attention")


def tone(sample: int) -> tuple[np.ndarray, int]:
    return np.sin(np.arange(16000) * (0.2 + 0.001 * (sample % 100))).astype(np.float32) / 2, 8000


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


def assert_sound(page: Page) -> None:
    """Play the picked sample's sound by keyboard, stop it, let it end, and have it stopped by the next sample."""
    buttons = page.locator(".clcr-listen:visible")
    expect(buttons).to_have_count(1)
    expect(buttons).to_have_text("▶ listen")
    buttons.focus()
    page.keyboard.press("Enter")
    expect(buttons).to_have_text("■ stop")
    expect(page.get_by_label("Stop the sound of acoustic")).to_be_focused()
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
    page.locator("[data-trait=projection]").select_option("umap")
    expect(page.locator(".clcr-subspaces.clcr-waiting")).to_have_count(1)
    expect(page.locator(".clcr-subspaces.clcr-waiting")).to_have_count(0, timeout=120_000)  # the first one compiles
    page.mouse.move(2, 2)
    changed(page, "subspaces", before)
    page.locator(".clcr").first.screenshot(path=str(_shots() / "lab-umap.png"))
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
        root.screenshot(path=str(_shots() / f"lab-{name}.png"))
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
        widgets.nth(i).screenshot(path=str(_shots() / f"lab-alone-{view}.png"))
    watched.assert_quiet()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = asynchrony((64, 8, 60))  # few enough that the page keeps the attention of all of them
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split.train, width=32, rank=8, private_rank=8, heads=2))
    last = model.intercad.level_mlp[-1]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.normal_(last.weight)  # untrained, all level gates are equal
    explorer = viz.Explorer(model.trace(split.test), model, split)
    return explorer.export(tmp_path_factory.mktemp("page") / "page.html", gammas=(0.25, 0.5, 0.75, 1.0, 1.5))


def test_page_from_disk_links_and_moves(offline: Watched, written: Path) -> None:
    page = offline.page
    page.goto(written.as_uri())
    settled(page)
    assert_linked(page)
    assert_gamma(page, "ArrowLeft")
    before = {view: ink(page, view) for view in VIEWS}
    page.get_by_text("mid", exact=True).first.click()
    for view in ("subspaces", "budget", "attention"):
        changed(page, view, before[view])
    page.locator(".clcr-attention canvas").hover(position={"x": 120, "y": 45})
    expect(page.locator(".clcr-tip")).to_contain_text("listens")
    page.locator(".clcr-lane canvas").first.hover(position={"x": 80, "y": 40})
    expect(page.locator(".clcr-tip")).to_contain_text("evidence e =")
    expect(page.locator(".clcr-probe")).not_to_have_count(0)
    offline.assert_quiet()


def test_page_plays_epochs_and_says_what_it_left_out(offline: Watched, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(viz.explorer.page, "ATTENTION_BYTES", 100_000)
    monkeypatch.setattr(viz.explorer.page, "TOKEN_BYTES", 100_000)
    split = asynchrony((64, 8, 60))
    traces = []
    for seed in range(3):
        torch.manual_seed(seed)
        traces.append(CLCR(CLCRConfig.of(split.train, width=16, rank=4, private_rank=4, heads=2)).trace(split.test))
    explorer = viz.Explorer(traces[-1], split=split, epochs=traces[:-1])
    page = offline.page
    page.goto(explorer.export(tmp_path / "epochs.html").as_uri())
    settled(page)
    before = ink(page, "subspaces")
    page.get_by_role("button", name="play").click()
    before = changed(page, "subspaces", before)
    expect(page.get_by_role("button", name="play")).to_be_visible(timeout=10_000)
    expect(page.get_by_label("Training epoch")).to_have_value("2")
    expect(page.locator(".clcr-budget")).to_contain_text(re.compile(r"keeps the tokens of \d+ of its 60 samples"))
    expect(page.locator(".clcr-attention")).to_contain_text(re.compile(r"keeps the attention of \d+ of its 60 samples"))
    kept = page.get_by_label("Sample id").input_value()
    for _ in range(30):
        page.get_by_label("Next sample", exact=True).click()
        page.wait_for_timeout(30)
        if page.locator(".clcr-missing").is_visible():
            break
    page.get_by_role("button", name="go to one that is").click()
    expect(page.get_by_label("Sample id")).to_have_value(kept)
    expect(page.locator(".clcr-missing")).to_be_hidden()
    offline.assert_quiet()


def test_page_plays_sound_and_says_what_it_left_out(offline: Watched, tmp_path: Path, monkeypatch: Any) -> None:
    split = replace(asynchrony((64, 8, 40)), sound={"acoustic": tone})
    torch.manual_seed(0)
    trace = CLCR(CLCRConfig.of(split.train, width=16, rank=4, private_rank=4, heads=2)).trace(split.test)
    monkeypatch.setattr(viz.explorer.page, "SOUND_BYTES", 120_000)  # of 32 kB each
    path = viz.budget(trace, split=split).export(tmp_path / "sound.html")
    page = offline.page
    page.goto(path.as_uri())
    settled(page)
    assert_sound(page)
    expect(page.locator(".clcr-budget")).to_contain_text("This page keeps the sound of 3 of its 40 samples.")
    for _ in range(6):
        if page.locator(".clcr-listen").first.is_disabled():
            break
        page.get_by_label("Next sample", exact=True).click()
        page.wait_for_timeout(100)
    expect(page.locator(".clcr-listen").first).to_have_attribute("title", re.compile("does not keep the sound"))
    page.locator(".clcr").screenshot(path=str(_shots() / "page-sound.png"))
    offline.assert_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_readable_at_1000_px(offline: Watched, written: Path, scheme: Any) -> None:
    page = offline.page
    page.emulate_media(color_scheme=scheme)
    page.goto(written.as_uri())
    settled(page)
    expect(page.locator(".clcr")).to_have_attribute("data-theme", scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.clcr *')].filter(e => e.offsetParent && "
        "[...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => "
        "parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 11
    unnamed = page.evaluate(
        "[...document.querySelectorAll('.clcr input, .clcr select, .clcr button, .clcr canvas')].filter(e => !("
        "e.getAttribute('aria-label') || e.closest('label')?.innerText.trim() || e.innerText?.trim())).length"
    )
    assert unnamed == 0
    offline.shoot(f"page-{scheme}")
    offline.assert_quiet()


def test_page_keeps_names_as_text(
    offline: Watched, tmp_path: Path, make_batch: Callable[..., Any], make_model: Callable[..., CLCR]
) -> None:
    batch = make_batch(samples=12)
    hostile = "</script><script>document.title='broken in'</script><img src=x onerror=document.title='broken in'>"
    split = viz.explorer.Split(batch, batch, batch, label_names=(hostile, "b & c", '"quoted"'))
    explorer = viz.Explorer(make_model(batch).trace(batch), split=split)
    offline.page.goto(explorer.export(tmp_path / "names.html").as_uri())
    settled(offline.page)
    expect(offline.page.locator(".clcr-legend").first).to_contain_text("</script><script>")
    assert offline.page.title() != "broken in"
    assert offline.page.locator(".clcr img[src=x]").count() == 0
    offline.assert_quiet()


def _shots() -> Path:
    from tests.browser.conftest import SCREENSHOTS

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS
