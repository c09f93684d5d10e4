"""The explorer as a page opened from the disk without a network."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from clcrkit import CLCR, Batch, CLCRConfig, viz
from clcrkit.baselines import MulT
from clcrkit.datasets.asynchrony import asynchrony
from clcrkit.pages import FRAMES
from clcrkit.viz.explorer import html
from tests.browser.conftest import Watched
from tests.browser.explorer_driver import (
    VIEWS,
    assert_gamma,
    assert_linked,
    assert_sound,
    changed,
    ink,
    settled,
    shots,
    some_point,
)


def tone(sample: int) -> tuple[np.ndarray, int]:
    return np.sin(np.arange(16000) * (0.2 + 0.001 * (sample % 100))).astype(np.float32) / 2, 8000


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


def test_a_page_that_listens_late_asks_how_high_its_frame_is(offline: Watched, written: Path) -> None:
    page, holder = offline.page, written.with_name("holder.html")
    holder.write_text('<!doctype html><title>Holder</title><iframe src="page.html" style="width: 100%"></iframe>')
    page.goto(holder.as_uri())
    page.frame_locator("iframe").locator(".clcr-panel").first.wait_for()
    page.wait_for_timeout(500)  # the frame has told, to nobody
    page.add_script_tag(content=FRAMES)
    page.wait_for_function("document.querySelector('iframe').clientHeight > 1000")
    offline.assert_quiet()


def test_only_what_looks_otherwise_is_drawn_again(offline: Watched, written: Path) -> None:
    page = offline.page
    page.add_init_script("""
        window.drawn = [];
        const clear = CanvasRenderingContext2D.prototype.clearRect;
        CanvasRenderingContext2D.prototype.clearRect = function (...box) {
            window.drawn.push(this.canvas.getAttribute('aria-label').split(/[:.]/)[0]);
            clear.apply(this, box);
        };""")
    page.goto(written.as_uri())
    settled(page)
    lanes = {
        f"Tokens of {m}" for m in page.locator(".clcr-lane").evaluate_all("all => all.map(e => e.dataset.modality)")
    }

    def drawn(act: Callable[[], None]) -> set[str]:
        page.evaluate("window.drawn.length = 0")
        act()
        page.wait_for_timeout(400)
        labels: list[str] = page.evaluate("window.drawn")
        return set(labels)

    slider, lane = page.get_by_label("gamma, the budget multiplier"), page.locator(".clcr-lane canvas").first
    slider.focus()
    before = {view: ink(page, view) for view in VIEWS}
    moved = drawn(lambda: page.keyboard.press("ArrowLeft"))
    assert moved >= lanes | {"Who listens to whom", "Participation for each modality and level"}
    assert "Samples in the chosen space" not in moved
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    assert {view: ink(page, view) for view in VIEWS} == before
    modality = page.locator(".clcr-lane").first.get_attribute("data-modality")
    pointed = drawn(lambda: lane.hover(position={"x": 80, "y": 40}))
    assert pointed == {f"Tokens of {modality}", "Who listens to whom"}
    offline.assert_quiet()


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


def test_what_is_focused_keeps_the_focus_when_the_numbers_beside_it_change(offline: Watched, written: Path) -> None:
    page = offline.page
    page.goto(written.as_uri())
    settled(page)
    caption = page.locator(".clcr-lane-caption").first
    term, before = caption.locator(".clcr-term").first, caption.inner_text()
    term.focus()
    page.evaluate("""() => {
        const slider = document.querySelector(".clcr-gamma");
        slider.value = 0;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
    }""")
    expect(caption).not_to_have_text(before)
    expect(term).to_be_focused()
    offline.assert_quiet()


def test_page_finds_ids_above_2_to_the_53(offline: Watched, tmp_path: Path) -> None:
    split = asynchrony((64, 8, 60))
    torch.manual_seed(0)
    trace = CLCR(CLCRConfig.of(split.train, width=16, rank=4, private_rank=4, heads=2)).trace(split.test)
    ids = 2**62 + 1 + torch.arange(60)
    trace = replace(trace, batch=replace(trace.batch, ids=ids, attributes={"time": ids.flip(0) - 9}))
    first, page = 2**62 + 1, offline.page
    page.goto(viz.Explorer(trace).export(tmp_path / "ids.html").as_uri())
    settled(page)
    box = page.get_by_label("Sample id")
    expect(box).to_have_value(str(first))
    target = page.locator(".clcr-subspaces canvas").first
    target.click(position=some_point(target))  # type: ignore[arg-type]
    expect(box).not_to_have_value(str(first))
    expect(page.locator(".clcr-chip")).to_have_text(re.compile("^1 selected"))
    clicked = int(box.input_value())
    assert clicked in ids.tolist()[1:]
    expect(page.locator(".clcr-missing")).to_be_hidden()
    page.get_by_label("Next sample", exact=True).click()
    expect(box).to_have_value(str(first + (clicked - first + 1) % 60))
    box.fill(str(first + 41))
    box.press("Enter")
    expect(page.locator("[aria-live].clcr-hidden")).to_have_text(f"1 selected, id {first + 41} picked")
    target.hover(position=some_point(target))  # type: ignore[arg-type]
    lines = page.locator(".clcr-tip").inner_text().splitlines()
    row = int(lines[0].removeprefix("id ")) - first
    assert f"time: {first + 59 - row - 9}" in lines
    offline.assert_quiet()


def test_page_plays_epochs_and_says_what_it_left_out(offline: Watched, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(html, "ATTENTION_BYTES", 100_000)
    monkeypatch.setattr(html, "TOKEN_BYTES", 100_000)
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


def test_page_says_that_long_attention_is_averaged(offline: Watched, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokens = {m: torch.randn(2, 600, 4) for m in ("see", "hear")}
    batch = Batch.from_arrays(tokens, labels=[0, 1], task="classification")
    model = CLCR(CLCRConfig.of(batch, width=16, rank=4, private_rank=4, heads=2))
    explorer = viz.Explorer(model.trace(batch), views=("attention",), level=0)
    page = offline.page
    page.goto(explorer.export(tmp_path / "long.html", max_mb=1).as_uri())
    settled(page)
    expect(page.locator(".clcr-attention")).to_contain_text(re.compile(r"averaged over blocks of (\d+) × \1 tokens"))
    expect(page.locator(".clcr-attention")).to_contain_text("keeps the attention of 1 of its 2 samples")
    canvas = page.locator(".clcr-attention canvas")
    canvas.hover(position={"x": 300, "y": 100})
    expect(page.locator(".clcr-tip")).to_contain_text(re.compile(r"see \d+ listens to hear \d+"))
    page.locator(".clcr").screenshot(path=str(shots() / "page-long.png"))
    offline.assert_quiet()


def test_page_plays_sound_and_says_what_it_left_out(offline: Watched, tmp_path: Path, monkeypatch: Any) -> None:
    split = replace(asynchrony((64, 8, 40)), sound={"acoustic": tone})
    torch.manual_seed(0)
    trace = CLCR(CLCRConfig.of(split.train, width=16, rank=4, private_rank=4, heads=2)).trace(split.test)
    monkeypatch.setattr(html, "SOUND_BYTES", 120_000)  # of 32 kB each
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
    page.locator(".clcr").screenshot(path=str(shots() / "page-sound.png"))
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


def test_a_page_of_another_model_leaves_out_what_it_has_not(offline: Watched, tmp_path: Path) -> None:
    test = asynchrony((8, 2, 20)).test
    model = MulT(CLCRConfig.of(test, width=16, heads=2, outputs=8))
    page = offline.page
    page.goto(viz.Explorer(model.trace(test)).export(tmp_path / "page.html").as_uri())
    settled(page)
    expect(page.locator(".clcr-panel")).to_have_count(2)
    lacks = page.get_by_text("This model has no budget, shared coordinates, private coordinates")
    expect(lacks).to_be_visible()
    assert "_" not in lacks.inner_text()
    attention = page.locator(".clcr-attention")
    assert "allocation" not in attention.inner_text()  # neither the caption nor a control
    assert "Bars below" in attention.inner_text()
    offline.shoot("page-another-model")
    assert page.locator(".clcr-subspaces select").first.locator("option").all_inner_texts() == ["shared summary"]
