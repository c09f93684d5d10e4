"""The playground, and an exported page whose model runs in it: from the disk, without a network."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from clcrkit import CLCR, DataError, Trace
from clcrkit.datasets import Split, digits
from clcrkit.playground import trained
from clcrkit.training import evaluate
from clcrkit.viz import Explorer, playground
from clcrkit.viz.explorer import cards, live
from clcrkit.viz.explorer.sound import wav
from tests.browser import firefox
from tests.browser.conftest import Watched, axe, missing
from tests.browser.explorer_driver import changed, ink, settled
from tests.browser.playground_driver import answered, draw, open_playground, verdict
from tests.viz.explorer.conftest import page_state

MAX_MB = 15
pytestmark = pytest.mark.timeout(900)  # the first one trains and exports


class Shipped(NamedTuple):
    """The model that ships, and the pages made of it."""

    model: CLCR
    split: Split
    trace: Trace
    cards: list[cards.Card]
    page: Path
    exported: Path
    other: CLCR  # untrained, with which the exported page compares


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    split = digits(seed=0)
    model = trained(split)
    trace = model.trace(split.test)
    folder = tmp_path_factory.mktemp("playground")
    with pytest.MonkeyPatch.context() as patch:  # one export for both pages, as it takes as long as all else
        content = live.onnx_bytes(model, split.label_names)
        patch.setattr(live, "onnx_bytes", lambda *_: content)
        page = playground(model, split, folder / "playground.html")
        torch.manual_seed(1)
        other = CLCR(model.config).eval()
        compared = other.trace(split.test)
        explorer = Explorer(trace, model, split, views=("budget", "gates"), gamma=0.5, compare=compared)
        exported = explorer.export(folder / "live.html", live=True)
    made = page_state(page.read_text(encoding="utf-8"))["_playground"]
    assert made["left_out"] == []
    return Shipped(model, split, trace, made["cards"], page, exported, other)


def test_the_page_is_one_small_file_of_a_model_that_has_learned(shipped: Shipped) -> None:
    assert max(shipped.page.stat().st_size, shipped.exported.stat().st_size) <= MAX_MB * 1e6
    accuracy = evaluate(shipped.model, shipped.split)["score"]
    assert accuracy > 0.9
    assert f"part: {accuracy:.3f}" in shipped.page.read_text(encoding="utf-8")


def test_it_computes_what_torch_computes(shipped: Shipped, offline: Watched) -> None:
    page = open_playground(offline, shipped.page)
    rows = np.linspace(0, len(shipped.trace) - 1, 200).astype(int).tolist()
    ask = """async ([ids, gamma]) => {
        const { model } = document.getElementById("explorer").app, network = await model.network, said = [];
        for (let i = 0; i < ids.length; i += 20) {
            const samples = ids.slice(i, i + 20).map((id) => { model.state.picked = id; return model.sample(); });
            said.push(...(await network.run(samples, gamma, [])).prediction.v);
        }
        return said;
    }"""
    for gamma in (1.0, 0.3):
        said = page.evaluate(ask, [[str(i) for i in shipped.split.test.ids[rows].tolist()], gamma])
        wanted = shipped.model.trace(shipped.split.test.select(rows), gamma=gamma).prediction
        torch.testing.assert_close(torch.tensor(said).view(200, 10), wanted, atol=1e-4, rtol=1e-4)
    offline.assert_quiet()


def test_it_runs_in_firefox(shipped: Shipped, tmp_path: Path) -> None:
    if not (found := firefox.find()):
        missing(firefox.MISSING)
    app = 'document.getElementById("explorer").app'
    opened = f"""new Promise((done) => {{
        const look = () => ({app} ? done({app}.model.get("picked")) : setTimeout(look, 20));
        look();
    }})"""
    ask = f"""(async (model) => {{
        model.set("gamma", 0.3);
        const network = await model.network;
        while (model.asking) await network.last;
        return [...model.pass.outputs.prediction.v];
    }})({app}.model)"""
    with firefox.Firefox(found, tmp_path) as page:
        page.open(shipped.page)
        picked = page.run(opened)
        said = torch.tensor(page.run(ask))
        assert (page.errors, page.outside) == ([], [])
    (row,) = [i for i, sample in enumerate(shipped.split.test.ids.tolist()) if str(sample) == picked]
    wanted = shipped.model.trace(shipped.split.test.select([row]), gamma=0.3).prediction[0]
    torch.testing.assert_close(said, wanted, atol=1e-4, rtol=1e-4)


def test_every_card_leads_where_it_says(shipped: Shipped, offline: Watched) -> None:
    assert len(shipped.cards) == 6
    page = open_playground(offline, shipped.page)
    for card in shipped.cards:
        page.locator(".clcr-card", has_text=card["title"]).click()
        expect(page.locator(".clcr-workbench .clcr-best .clcr-name")).to_have_text(re.compile(rf"^{card['says']}\b"))
        expect(page.locator("[data-asked='all together'] strong")).to_have_text(card["says"])
        answered(page)
    offline.assert_quiet()


def test_every_card_is_true_of_the_model(shipped: Shipped) -> None:
    by_title = {card["title"]: card for card in shipped.cards}
    test, model = shipped.split.test, shipped.model

    def says(batch: Any, **more: Any) -> int:
        return int(model.trace(batch, **more).prediction.argmax())

    def begin(title: str) -> tuple[cards.Card, Any, int]:
        card = by_title[title]
        row = shipped.trace.row(int(card["sample"]))
        assert test.labels is not None
        return card, test.select([row]), int(test.labels[row])

    _, batch, label = begin("A weak modality, rescued")
    assert says(cards.with_only(batch, ["vision"])) != label == says(batch)
    assert says(cards.with_only(batch, ["acoustic"])) == says(cards.with_only(batch, ["language"])) == label

    card, batch, label = begin("A distractor, muted")
    ((m, level, token),) = card["muted"]
    mute = {name: torch.zeros(1, 3, mask.shape[1], dtype=torch.bool) for name, mask in batch.masks.items()}
    mute[m][0, level, token] = True
    assert says(batch) != label == says(batch, mute=mute)

    card, batch, label = begin("A budget too small")
    assert says(batch) == label != says(batch, gamma=card["gamma"])

    card, batch, label = begin("A missing modality")
    assert card["off"] == ["language"]
    without = model.trace(cards.with_only(batch, ["vision", "acoustic"]))
    assert int(without.prediction.argmax()) == label != says(cards.with_only(batch, ["vision"]))
    assert float(without.modality_gate[0, test.modalities.index("language")]) < 1e-6

    card, batch, label = begin("A private cue that must not leak")
    other = shipped.trace.row(int(card["clip"]["sample"]))
    swapped = cards.with_sound_of(batch, test.select([other]))
    before, after = model.trace(batch).private_summary, model.trace(swapped).private_summary
    for m in ("vision", "language"):
        torch.testing.assert_close(after[m], before[m], atol=1e-5, rtol=0)
    assert (after["acoustic"] - before["acoustic"]).abs().max() > 1
    assert test.attributes["voice"][other] != batch.attributes["voice"][0]

    card, batch, label = begin("An asynchronous cue")
    late = model.trace(cards.delayed(batch, "acoustic", card["clip"]["later"]))
    heard = [cards.most_heard(t, "acoustic", "vision", card["level"]) for t in (model.trace(batch), late)]
    assert int(heard[1] - heard[0]) == card["clip"]["later"]
    assert int(late.prediction.argmax()) == label


def test_a_digit_is_drawn_spoken_and_typed(shipped: Shipped, offline: Watched) -> None:
    page = open_playground(offline, shipped.page)
    views = ("subspaces", "gates", "budget", "attention")
    before = {view: ink(page, view) for view in views}
    page.get_by_role("button", name="clear", exact=True).click()
    draw(page, [[(0.3, 0.1), (0.65, 0.15), (0.65, 0.4), (0.45, 0.5), (0.65, 0.6), (0.65, 0.85), (0.3, 0.9)]])
    page.get_by_label("The word", exact=True).fill("Sieben!")
    expect(page.locator("[data-input=language]")).to_contain_text("It has never seen: !")
    page.get_by_label("Spoken digit").select_option("8")
    for view in views:
        changed(page, view, before[view])
    told = verdict(page)
    for what in ("Alone they say: vision", "acoustic", "language 7", "Together:"):
        assert what in told
    expect(page.locator(".clcr-facts")).to_have_text("changed by you")
    page.get_by_label("vision is there").uncheck()
    expect(page.locator(".clcr-lane[data-modality=vision]")).to_contain_text("missing")
    page.get_by_label("acoustic is there").uncheck()
    expect(page.locator(".clcr-verdict")).to_have_text("Only language is on.")
    page.get_by_label("language is there").uncheck()
    expect(page.locator(".clcr-verdict")).to_have_text("Every modality is switched off.")
    offline.assert_quiet()


def test_the_keyboard_does_all_of_it(shipped: Shipped, offline: Watched) -> None:
    page = open_playground(offline, shipped.page)
    page.get_by_role("button", name="clear", exact=True).press("Enter")
    drawing = page.locator(".clcr-drawing")
    before = drawing.evaluate("c => c.toDataURL()")
    drawing.focus()
    for key in ("ArrowDown", "ArrowRight", " ", " ", "ArrowRight", " "):
        page.keyboard.press(key)
    expect(page.locator("[aria-live].clcr-hidden")).to_have_text("row 2, column 3: 0.5")
    assert drawing.evaluate("c => c.toDataURL()") != before
    page.keyboard.press("Delete")
    expect(page.locator("[aria-live].clcr-hidden")).to_have_text("row 2, column 3: 0.0")
    later = page.get_by_label("sound: later by")
    later.press("ArrowRight")
    expect(later).to_have_attribute("aria-valuetext", "20 ms")
    page.locator("[data-input=acoustic] button", has_text="listen").press("Enter")
    expect(page.locator(".clcr-play")).to_have_text("■ stop")
    expect(page.locator(".clcr-play")).to_have_text("▶ listen", timeout=15_000)
    slider = page.get_by_label("gamma, the budget multiplier")
    before = ink(page, "budget")
    slider.press("ArrowLeft")
    expect(page.locator(".clcr-said").first).to_have_text(re.compile("^at γ = 0.95"))
    changed(page, "budget", before)
    lane = page.locator(".clcr-lane canvas").first
    lane.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".clcr-said").first).to_have_text(re.compile("1 muted"))
    page.get_by_role("button", name="reset").press("Enter")
    expect(page.locator(".clcr-said").first).to_have_text(re.compile("^at γ = 1.00(?!.*muted)"))
    page.locator("[data-input=vision] button", has_text="scan").press("Enter")
    offline.assert_quiet()


def test_a_finger_draws(shipped: Shipped, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 900}, offline=True, has_touch=True, is_mobile=True)
    watched = Watched(context)
    page = open_playground(watched, shipped.page)
    drawing = page.locator(".clcr-drawing")
    page.get_by_role("button", name="clear", exact=True).tap()
    drawing.scroll_into_view_if_needed()
    before, scrolled = drawing.evaluate("c => c.toDataURL()"), page.evaluate("scrollY")
    box = drawing.bounding_box()
    assert box is not None
    touch = context.new_cdp_session(page)
    for kind, part in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.8), ("touchEnd", None)):
        at = [] if part is None else [{"x": box["x"] + box["width"] / 2, "y": box["y"] + part * box["height"]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    answered(page)
    assert drawing.evaluate("c => c.toDataURL()") != before
    assert page.evaluate("scrollY") == scrolled
    watched.assert_quiet()
    context.close()


@pytest.mark.parametrize(("width", "theme"), [(400, "light"), (1000, "dark"), (1600, "light")])
def test_it_fits_and_axe_finds_nothing(shipped: Shipped, browser: Browser, width: int, theme: Any) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, color_scheme=theme)
    watched = Watched(context)
    page = open_playground(watched, shipped.page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"
    watched.shoot(f"playground-{width}-{theme}")
    assert axe(page) == []
    watched.assert_quiet()
    context.close()


def test_the_page_sounds_as_the_library_does(shipped: Shipped, offline: Watched) -> None:
    page = open_playground(offline, shipped.page)
    sample = int(shipped.split.test.ids[0])
    heard = page.evaluate("""(id) => { const { model } = document.getElementById("explorer").app;
                              model.state.picked = id; return [...model.sound()]; }""", str(sample))  # fmt: skip
    wanted = np.frombuffer(wav(*shipped.split.sound["acoustic"](sample))[44:], "<i2").astype(int)
    np.testing.assert_allclose(np.frombuffer(bytes(heard)[44:], "<i2").astype(int), wanted, atol=8)


def test_an_exported_page_answers_any_gamma_and_mute(shipped: Shipped, offline: Watched) -> None:
    page = offline.page
    page.goto(shipped.exported.as_uri())
    settled(page)
    expect(page.locator(".clcr-said")).to_have_text(re.compile("^at γ = 0.50"))
    slider = page.get_by_label("gamma, the budget multiplier")
    slider.press("ArrowRight")
    page.locator(".clcr-lane canvas").first.click(position={"x": 80, "y": 40})
    expect(page.locator(".clcr-said")).to_have_text(re.compile(r"^at γ = 0\.55, 1 muted"))
    ((m, level, token),) = _get(page, "muted")
    one = shipped.split.test.select([shipped.trace.row(int(_get(page, "picked")))])
    mute = {name: torch.zeros(1, 3, mask.shape[1], dtype=torch.bool) for name, mask in one.masks.items()}
    mute[m][0, level, token] = True
    wanted = shipped.model.trace(one, gamma=0.55, mute=mute).prediction.softmax(1)[0]
    told = [float(text.split()[0]) / 100 for text in page.locator(".clcr-prediction .clcr-number").all_inner_texts()]
    np.testing.assert_allclose(told, wanted.numpy(), atol=6e-4)
    # the other trace, whose model is not in the page, follows in the lanes alone, and the page says so
    gain = page.evaluate("document.getElementById('explorer').app.views.find((view) => view.lanes).lanes[0].gain")
    a, b = (x.trace(one, gamma=0.55, mute=mute).allocation[m][0, level] for x in (shipped.model, shipped.other))
    np.testing.assert_allclose(gain, (b - a)[one.masks[m][0]], atol=1e-3)
    assert np.abs(gain).max() > 0.05
    expect(page.locator(".clcr-comparison")).to_contain_text(
        "both are as traced, at γ = 1.00, nothing muted. The token"
    )
    kept = page.evaluate("document.getElementById('explorer').app.model.inputs.ids")
    assert len(kept) > 100
    box = page.get_by_label("Sample id")
    for sample in np.random.default_rng(0).choice(kept[1:], 10, replace=False).tolist():
        box.fill(sample)
        box.press("Enter")
        answered(page)
        expect(page.locator(".clcr-said")).to_have_text(re.compile(r"^at γ = 0\.55(?!.*muted)"))
        said = page.evaluate("[...document.getElementById('explorer').app.data.answer().prediction]")
        one = shipped.split.test.select([shipped.trace.row(int(sample))])
        np.testing.assert_allclose(said, shipped.model.trace(one, gamma=0.55).prediction[0], atol=1e-4)
    offline.assert_quiet()


def _get(page: Page, name: str) -> Any:
    return page.evaluate("(name) => document.getElementById('explorer').app.get(name)", name)


def test_a_model_that_cannot_start_is_told_in_the_page(shipped: Shipped, offline: Watched, tmp_path: Path) -> None:
    text = shipped.exported.read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    onnx = re.search(r'id="onnx">([^<]*)<', text)
    assert onnx
    broken.write_text(text.replace(onnx[1], live.pack(b"no model")), encoding="utf-8")
    offline.page.goto(broken.as_uri())
    expect(offline.page.get_by_role("alert")).to_have_text(re.compile("^The model does not run here: "))


def test_cards_that_do_not_hold_are_left_out_with_a_reason(shipped: Shipped, monkeypatch: Any) -> None:
    monkeypatch.setattr(cards, "FINDERS", (cards.missing,))
    few = shipped.trace.select([0])  # one sample, which shows nothing
    found, left_out = cards.find_cards(shipped.model, few, shipped.split)
    assert (len(found), len(left_out)) in ((0, 1), (1, 0))
    monkeypatch.setattr(cards, "SURE", 2.0)  # nothing can be as sure
    assert cards.find_cards(shipped.model, few, shipped.split) == (
        [],
        ["Left out, as no test sample shows it with this model: A missing modality."],
    )


def test_another_data_set_is_refused(shipped: Shipped, tmp_path: Path) -> None:
    wrong = replace(shipped.split, vocabulary={"language": ("a", "b")})
    with pytest.raises(DataError, match=r"the playground is for those of datasets\.digits\(\)"):
        playground(shipped.model, wrong, tmp_path / "page.html")
