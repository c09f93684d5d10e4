"""A hundred injections in every place where a stranger's text can stand, in a real browser: nothing runs.

A page holds all of them in one of its places. Each place has a control: the same page without its protection, where
they
run, so that the test could have failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Browser

from clcrkit import CLCR, CLCRConfig
from clcrkit.datasets import from_arrays
from clcrkit.pages import _PLOTLY, to_html
from clcrkit.viz import Explorer
from clcrkit.viz.explorer import svg
from tests.browser.injections import INJECTIONS, NAIVE, Witness, corpus, naive

SITE = Path(__file__).parents[2] / "notebooks/site/build.py"
ALL = len(INJECTIONS)
EVENTS = 40  # from this one on, ten run where a script makes HTML of them
POINT = """(canvas) => {
  const box = canvas.getBoundingClientRect();
  canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + 110, clientY: box.top + 40 }));
}"""
SHORT = 45  # the sample one of whose tokens is short enough not to be cut
FACTS = ("labels", "attributes", "names of attributes", "modalities", "tokens", "ids")


@pytest.fixture
def witness(browser: Browser) -> Iterator[Witness]:
    context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True)
    yield Witness(context)
    context.close()


def test_every_injection_runs_where_nothing_is_escaped(witness: Witness) -> None:
    left = dict(enumerate(corpus()))
    assert len(set(left.values())) == 100
    for page in NAIVE:
        witness.page.set_content(naive(page, left.values()))
        for number in witness.provoke():
            left.pop(number, None)
    assert not left


def cell(data: dict[str, Any]) -> Any:
    return new_code_cell("", outputs=[new_output("display_data", data=data)])


def figure(texts: list[str]) -> dict[str, Any]:
    titles = {"title": {"text": texts[0]}, "xaxis": {"title": {"text": texts[1]}}, "annotations": [{"text": texts[2]}]}
    drawn = [go.Scatter(x=[text], y=[1], text=[text], name=text, mode="markers+text") for text in texts]
    return go.Figure(drawn, titles).to_plotly_json()


def each(make: Callable[[str], Any]) -> Callable[[list[str]], dict[str, Any]]:
    return lambda texts: {"cells": [make(text) for text in texts]}


# place -> the notebook, and how many injections run at least where the page has no policy: notebooks may hold HTML
PLACES: dict[str, tuple[Callable[[list[str]], dict[str, Any]], int]] = {
    "Markdown": (each(new_markdown_cell), 40),
    "formulas": (each(lambda text: new_markdown_cell(rf"Inline $\text{{{text}}}$ ends")), 0),
    "displayed formulas": (each(lambda text: new_markdown_cell(rf"$$\mathrm{{x}} \text{{{text}}}$$")), 0),
    "formulas that fail": (each(lambda text: new_markdown_cell(rf"$\left( {text}$")), 0),
    "code": (each(new_code_cell), 0),
    "printed": (each(lambda text: new_code_cell("", outputs=[new_output("stream", text=text)])), 0),
    "plain results": (each(lambda text: cell({"text/plain": text})), 0),
    "HTML": (each(lambda text: cell({"text/html": text})), 40),
    "SVG": (each(lambda text: cell({"image/svg+xml": f"<svg>{text}</svg>"})), 0),
    "LaTeX": (each(lambda text: cell({"text/latex": text})), 0),
    "results of Markdown": (each(lambda text: cell({"text/markdown": text})), 40),
    "results of JavaScript": (each(lambda text: cell({"application/javascript": text})), 1),
    "names of pictures": (each(lambda text: new_markdown_cell(f"![{text}](x.png '{text}') [{text}]({text})")), 0),
    "figures": (lambda texts: {"cells": [cell({_PLOTLY: figure(texts)})]}, 0),
    "the title": (lambda texts: {"metadata": {"title": "".join(texts), "language_info": {"name": "".join(texts)}}}, 0),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_injection_runs_in_the_page_of_a_notebook(witness: Witness, tmp_path: Path, place: str) -> None:
    make, least = PLACES[place]
    page = tmp_path / "page.html"
    text = to_html(new_notebook(**make(corpus())), "".join(corpus()) if place == "the title" else place)
    page.write_text(text, encoding="utf-8")
    assert witness.shows(page.as_uri()) == set()
    if place == "figures":
        assert witness.page.locator(".js-plotly-plot .gtitle").count() == 1
    page.write_text(re.sub("<meta http-equiv[^>]*>", "", text), encoding="utf-8")
    unprotected = witness.shows(page.as_uri())
    assert len(unprotected) >= least
    if place in ("code", "printed", "plain results"):  # escaped, whatever the policy
        assert unprotected == set()


def hostile(modalities: slice) -> Explorer:
    """An explorer whose every name is an injection; the number says in which of FACTS."""
    labels, attributes, names, many, tokens, ids = (corpus(ALL * i) for i in range(len(FACTS)))
    rng = np.random.default_rng(0)
    rows = np.arange(3 * ALL) % ALL
    inputs: dict[str, Any] = {name.replace(".", ""): rng.normal(size=(len(rows), 2, 3)) for name in many[modalities]}
    inputs["words"] = np.stack([rows, rows[::-1]], 1)
    split = from_arrays(
        inputs,
        [labels[i] for i in rows],
        names=[f"{ids[i]} {k}" for k, i in enumerate(rows)],
        parts=np.repeat(["train", "valid", "test"], ALL),
        attributes={name: [attributes[(i + k) % ALL] for i in rows] for k, name in enumerate(names[modalities])},
    )
    split = replace(split, vocabulary={"words": tuple(tokens)})
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split, width=8, rank=2, private_rank=2, heads=1))
    return Explorer(model.trace(split.test), split=split)


def read_all(witness: Witness) -> set[int]:
    """Choose every colour and every space, and point at what tells its name."""
    page = witness.page
    page.locator(".clcr-panel").first.wait_for()
    page.locator(".clcr details").evaluate_all("(all) => { for (const drawer of all) drawer.open = true; }")
    for box in page.locator(".clcr select").all():
        for i in reversed(range(min(box.locator("option").count(), 16))):  # the first space has modalities to choose
            box.select_option(index=i)
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    for canvas in page.locator(".clcr canvas").all():
        if place := canvas.bounding_box():
            canvas.scroll_into_view_if_needed()
            for x in (0.2, 0.5, 0.8):
                canvas.hover(position={"x": place["width"] * x, "y": min(40, place["height"] / 2)}, force=True)
    return witness.provoke()


def careless(page: str) -> str:
    """The page as it would be if its script made HTML of texts, and nothing stood against that."""
    page = page.replace("textContent=", "innerHTML=")
    page = re.sub(
        r"\bel\.append\(child\)", "child.nodeType?el.append(child):el.insertAdjacentHTML('beforeend',child)", page
    )
    return re.sub(r"<meta http-equiv[^>]*>", "", page)


@pytest.mark.parametrize("start", range(0, ALL, 10))
def test_no_injection_runs_in_the_page_of_an_explorer(witness: Witness, tmp_path: Path, start: int) -> None:
    explorer = hostile(slice(start, start + 10))
    explorer.picked = int(explorer.trace.batch.ids[SHORT])
    path = explorer.export(tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    assert witness.shows(path.as_uri()) | read_all(witness) == set()
    (tmp_path / "still.html").write_text(f"<!doctype html><title>x</title>{svg.picture(explorer)}", encoding="utf-8")
    assert witness.shows((tmp_path / "still.html").as_uri()) == set()
    if start == EVENTS:  # the controls: a table that is not escaped, and a script that makes HTML of names
        path.write_text(re.sub("<meta http-equiv[^>]*>", "", text.replace("\\u003c", "<")), encoding="utf-8")
        assert len(witness.shows(path.as_uri())) > 10
        path.write_text(careless(text), encoding="utf-8")
        second = Witness(witness.page.context)  # a tab of its own: what ran before may still lead the other one away
        second.page.goto(path.as_uri())
        words = second.page.locator(".clcr-lane[data-modality=words] canvas")
        words.wait_for()
        words.evaluate(POINT)  # what is told of a token goes with the pointer
        ran = second.provoke() | read_all(second)
        assert {FACTS[number // ALL] for number in ran} == set(FACTS)
