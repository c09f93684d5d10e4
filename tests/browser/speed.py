"""How fast the explorer answers in the browser, at the sizes it promises: medians, printed and checked."""

from __future__ import annotations

import statistics
from typing import Any

import nbformat
import pytest
import torch

from clcrkit import CLCR, CLCRConfig, viz
from clcrkit.datasets.asynchrony import asynchrony
from tests.browser.conftest import Lab, Watched

# A trace of many samples from one of few: token-level arrays are one sample's, seen again and again without
# copies (attention for thousands of samples of 4 x 200 tokens would fill the memory); all else is random.
MAKE = '''
import torch
from dataclasses import fields, replace
from clcrkit import CLCR, Batch, CLCRConfig, viz

def traced(samples, tokens=200, modalities=4):
    torch.manual_seed(0)
    names = ["vision", "acoustic", "language", "touch"][:modalities]
    one = Batch.from_arrays({m: torch.randn(1, tokens, 6) for m in names}, labels=[0])
    few = Batch.from_arrays({m: torch.randn(8, tokens, 6) for m in names}, labels=[i % 8 for i in range(8)])
    model = CLCR(CLCRConfig.of(few, width=32, rank=8, private_rank=8, heads=4))
    trace = model.trace(one)
    again = lambda t: t.expand(samples, *t.shape[1:])
    batch = replace(one, tokens={m: again(t) for m, t in one.tokens.items()},
                    masks={m: again(t) for m, t in one.masks.items()},
                    labels=torch.arange(samples) % 8, ids=torch.arange(samples),
                    attributes={"speaker": torch.arange(samples) % 5})
    arrays = {f.name: getattr(trace, f.name) for f in fields(trace)}
    for name in ("batch", "gamma", "task", "sparse", "absent"):
        del arrays[name]
    expanded = {name: {m: again(t) for m, t in array.items()} if isinstance(array, dict) else again(array)
                for name, array in arrays.items()}
    trace = replace(trace, batch=batch, **expanded)
    spread = lambda t: t + torch.randn(samples, *t.shape[1:])
    summaries = {name: {m: spread(t) for m, t in getattr(trace, name).items()}
                 for name in ("shared_summary", "private_summary")}
    gates = {name: spread(getattr(trace, name)).softmax(-1) for name in ("level_gate", "modality_gate", "private_gate")}
    return model, replace(trace, **summaries, **gates, shared_code=spread(trace.shared_code))
'''  # fmt: skip

# Each step changes something and waits until the frame that shows it has been drawn: for the task after that frame.
FRAMES = """async ([kind, steps]) => {
  const { port1, port2 } = new MessageChannel();
  const drawn = () => new Promise(done => {
    port1.onmessage = done;
    requestAnimationFrame(() => port2.postMessage(0));
  });
  const slider = document.querySelector('.clcr-gamma'), times = [];
  const box = document.querySelector('.clcr-id');
  for (let i = 0; i < steps; i++) {
    await new Promise(r => setTimeout(r, 150));
    await drawn();
    const started = performance.now();
    const [moved, value, event] = kind === 'gamma' ? [slider, 0.35 + 0.05 * i, 'input'] : [box, 20 + 7 * i, 'change'];
    moved.value = value;
    moved.dispatchEvent(new Event(event, {bubbles: true}));
    await drawn();
    while (document.querySelector('.clcr-waiting')) await drawn();
    times.push(performance.now() - started);
  }
  return times;
}"""

# When the frame after the first full drawing began, in milliseconds since 1970.
OPENED = """(() => {
  const look = () => {
    if (!document.querySelector('.clcr-funded')) return requestAnimationFrame(look);
    requestAnimationFrame(() => requestAnimationFrame(() => { window.opened = Date.now(); }));
  };
  requestAnimationFrame(look);
})()"""


def _notebook(lab: Lab, name: str, samples: int, build: str) -> None:
    cells = [MAKE, f"model, trace = traced({samples})", build, 'print("ALL-" + "DONE")']
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells]), lab.root / name)


@pytest.fixture(scope="module")
def busy(lab: Lab) -> Watched:
    _notebook(lab, "busy.ipynb", 3000, "viz.Explorer(trace, model)")
    watched = lab.run("busy.ipynb", "ALL-DONE")
    watched.page.locator(".clcr-funded").first.wait_for()
    watched.page.wait_for_timeout(3000)  # the first probes
    return watched


def _median(watched: Watched, kind: str, enough: float) -> float:
    """The median of 25 steps; of up to three rounds the best, since other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(3):
        best = min(best, statistics.median(watched.page.evaluate(FRAMES, [kind, 25])))
        if best <= enough:
            break
    return best


def test_slider_to_redraw(busy: Watched) -> None:
    median = _median(busy, "gamma", 33)
    print(f"slider to redraw, 4 x 200 tokens, 3,000 points: median {median:.0f} ms")
    busy.shoot("lab-busy")
    assert median <= 100
    busy.assert_quiet()


def test_click_to_linked_views(busy: Watched) -> None:
    median = _median(busy, "click", 50)
    print(f"click to linked views, 4 x 200 tokens, 3,000 points: median {median:.0f} ms")
    assert median <= 150
    busy.assert_quiet()


def test_opening_ten_thousand_points(lab: Lab) -> None:
    # the cell says when it starts; the page says when the views are drawn
    build = "import time\nstarted = time.time()\ndisplay(viz.Explorer(trace, model))\nprint('started', started)"
    _notebook(lab, "many.ipynb", 10_000, build)
    watched = lab.run("many.ipynb", "ALL-DONE", script=OPENED)
    page = watched.page
    page.wait_for_function("window.opened")
    opened = page.evaluate("window.opened") / 1000 - float(page.get_by_text("started ").last.inner_text().split()[-1])
    print(f"opening 10,000 points: {opened:.1f} s")
    assert opened <= 3
    watched.assert_quiet()


def test_page_of_three_thousand_samples(offline: Watched, tmp_path: Any) -> None:
    split = asynchrony((64, 8, 3000))  # every sample its own: copies of one would be squeezed to nothing
    torch.manual_seed(0)
    model = CLCR(CLCRConfig.of(split.train, width=32, rank=8, private_rank=8, heads=2))
    path = viz.Explorer(model.trace(split.test), model, split).export(tmp_path / "large.html", gammas=(0.5, 1.0, 1.5))
    size = path.stat().st_size / 1e6
    print(f"page of 3,000 samples: {size:.1f} MB")
    assert size <= 6
    offline.page.goto(path.as_uri())
    offline.page.locator(".clcr-funded").first.wait_for()
    offline.assert_quiet()
