"""The notebooks' comparison: numbers within their tolerance pass, and every other change of an output fails."""

import base64
import json
from typing import Any

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.notebooks.comparison import WIDGET, Mismatch, compare, is_progress

pytest_plugins = ["pytester"]
PLOTLY = "application/vnd.plotly.v1+json"


def text(said: str) -> list[Any]:
    return [new_output("stream", name="stdout", text=said)]


def shown(data: dict[str, Any]) -> list[Any]:
    return [new_output("display_data", data=data)]


def encoded(values: list[float], dtype: str = "f8") -> dict[str, str]:
    return {"dtype": dtype, "bdata": base64.b64encode(np.asarray(values, dtype).tobytes()).decode()}


def figure(*traces: dict[str, Any]) -> list[Any]:
    return shown({PLOTLY: {"data": list(traces), "layout": {"title": {"text": "Loss 0.5"}}}})


TRACE = {"x": encoded([1, 2, 3], "i2"), "y": [0.25, 0.5, None], "name": "task"}
IMAGE = encoded([0, 1, 1, 0], "u1") | {"shape": "2, 2"}
SVG = '<svg viewBox="0 0 700 300"><circle cx="{}" cy="10"/></svg>'


@pytest.mark.parametrize(
    ("stored", "computed", "atol"),
    [
        (text("loss 0.5000000, 3 of 5"), text("loss 0.5000004, 3 of 5"), 0.0),
        (text("loss 0.50"), text("loss 0.53"), 0.05),
        (text("from -0.001 to +0.002"), text("from 0.001 to −0.002"), 0.005),
        (text("a  0.1\nb 10.0"), text("a 0.12\nb  9.98"), 0.05),  # blanks align numbers
        (text("[ 0.1 -0.2]"), text("[0.1 0.2]"), 0.5),
        (text("took 1.2 s and 30 ms"), text("took 17 s and 1 ms"), 0.0),
        (text("nan inf -inf"), text("nan inf -inf"), 0.0),
        (shown({"text/html": "<td>0.98</td>"}), shown({"text/html": "<td>0.99</td>"}), 0.02),
        (shown({"text/html": SVG.format(140)}), shown({"text/html": SVG.format(146)}), 0.01),
        (figure(TRACE), figure(TRACE | {"y": [0.2500001, 0.5, None]}), 0.0),
        (figure(TRACE), figure(TRACE | {"x": encoded([1, 2, 3], "i4")}), 0.0),
        (figure({"z": IMAGE}), figure({"z": dict(IMAGE)}), 0.0),
        (figure({"z": [[0.5, 1.0], [2.0, 3.0]]}), figure({"z": [[0.5, 1.01], [2.0, 3.0]]}), 0.05),
        (figure(TRACE | {"y": encoded([1e-9, 5.0])}), figure(TRACE | {"y": encoded([3e-7, 5.0])}), 0.0),
        (shown({"image/png": "iVBO", "text/plain": "x"}), shown({"image/png": "AAAA", "text/plain": "x"}), 0.0),
        (shown({"text/plain": "x", "application/vnd.jupyter.widget-view+json": {}}), shown({"text/plain": "x"}), 0.0),
    ],
)
def test_what_a_machine_may_change_passes(stored: list[Any], computed: list[Any], atol: float) -> None:
    assert compare(stored, computed, atol).beyond == ""


@pytest.mark.parametrize(
    ("stored", "computed", "atol"),
    [
        (text("loss 0.500"), text("loss 0.501"), 0.0),
        (text("loss 0.50"), text("loss 0.56"), 0.05),
        (text("3 of 5"), text("4 of 5"), 0.15),
        (text("12345678901234567"), text("12345678901234568"), 0.0),
        (shown({"text/html": SVG.format(140)}), shown({"text/html": SVG.format(160)}), 0.02),
        (figure(TRACE), figure(TRACE | {"x": encoded([1, 2, 4], "i2")}), 0.1),
        (figure({"z": IMAGE}), figure({"z": IMAGE | encoded([0, 1, 1, 1], "u1")}), 0.1),
        (figure(TRACE), figure(TRACE | {"y": [0.25, 0.6, None]}), 0.05),
    ],
)
def test_a_number_beyond_its_tolerance_fails(stored: list[Any], computed: list[Any], atol: float) -> None:
    distance = compare(stored, computed, atol)
    assert "is stored" in distance.beyond
    assert distance.largest > atol


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        (text("CLCR beats it by 0.1"), text("CLCR loses by 0.1")),
        (text("a 1 b 2"), text("a 1 b 2 c 3")),
        (text("a 1\nb 1"), text("b 1\na 1")),
        (text("x1 = 2"), text("x2 = 2")),  # a digit in a name is no number
        (text("colour #10aa10"), text("colour #10aa11")),
        (text("nan"), text("0.1")),
        (text("a"), []),
        (text("a"), text("a") + shown({"text/plain": "a"})),
        (text("a"), [new_output("stream", name="stderr", text="a")]),
        (shown({"text/plain": "a", "text/html": "a"}), shown({"text/plain": "a"})),
        (shown({"text/plain": "a", "image/png": "x"}), shown({"text/plain": "a"})),
        (figure(TRACE), figure(TRACE, TRACE)),
        (figure(TRACE), figure(TRACE | {"mode": "lines"})),
        (figure(TRACE), figure(TRACE | {"y": [0.25, 0.5]})),
        (figure(TRACE), figure(TRACE | {"y": [0.25, None, 0.5]})),
        (figure(TRACE), figure(TRACE | {"name": "valid"})),
        (figure(TRACE | {"y": encoded([1.0, np.nan])}), figure(TRACE | {"y": encoded([1.0, 2.0])})),
        (figure(TRACE | {"y": encoded([1.0, 2.0])}), figure(TRACE | {"y": encoded([1.0, 2.0, 3.0])})),
        (shown({"text/html": "<p>1</p>"}), shown({"text/html": "<b>1</b>"})),
        (shown({"text/html": SVG.format(1)}), shown({"text/html": SVG.format(1) * 2})),
    ],
)
def test_anything_but_a_number_must_be_equal(stored: list[Any], computed: list[Any]) -> None:
    with pytest.raises(Mismatch, match="stored"):
        compare(stored, computed, atol=0.15)


WORDS = st.sampled_from(["loss", "of", "[", "]", "a_1", "(", "%"])
VALUES = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(WORDS, VALUES), min_size=1, max_size=6), st.integers(0, 5), st.floats(0.001, 10))
def test_the_largest_difference_is_found_wherever_it_is(
    pieces: list[tuple[str, float]], place: int, shift: float
) -> None:
    place = place % len(pieces)
    moved = [(w, v + shift if i == place else v) for i, (w, v) in enumerate(pieces)]
    told, retold = (text(" ".join(f"{w} {v:.6f}" for w, v in some)) for some in (pieces, moved))
    distance = compare(told, retold, atol=0.0)
    assert distance.largest == pytest.approx(shift, abs=2e-6) or shift <= 1.1e-6 * abs(moved[place][1])
    assert bool(distance.beyond) == (distance.largest > 0)


def test_the_root_loads_the_plugin(request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.has_plugin("tests.notebooks.comparison")


TABLE = "import pandas as pd; pd.DataFrame({'model': ['early', 'late'], 'score': [0.5, 0.5]})"
FIGURE = "import plotly.graph_objects as go; go.Figure([go.Scatter(y=[0.5, 1.0], name='task')])"
MUTANTS: dict[str, tuple[str, Any]] = {
    "nothing": ("print('loss', 0.5)", lambda cell: None),
    "a number within its tolerance": ("print(0.5)", lambda cell: edit(cell, "0.5", "0.51")),
    "a number beyond its tolerance": ("print(0.5)", lambda cell: edit(cell, "0.5", "0.56")),
    "an integer": ("print(7)", lambda cell: edit(cell, "7", "8")),
    "a word": ("print('beats')", lambda cell: edit(cell, "beats", "loses")),
    "a missing output": (
        "print(1); 2",
        lambda cell: cell.outputs.append(new_output("display_data", data={"text/plain": "3"})),
    ),
    "an added output": ("print(1); 2", lambda cell: cell.outputs.pop()),
    "an added trace": (FIGURE, lambda cell: double_trace(cell)),
    "a reordered table": (TABLE, lambda cell: swap(cell, "early", "late")),
    "a cell that was not run": ("print(1)", lambda cell: cell.update(execution_count=None, outputs=[])),
}


def edit(cell: Any, old: str, new: str) -> None:
    cell.outputs = nbformat.from_dict(json.loads(json.dumps(cell.outputs).replace(old, new)))


def swap(cell: Any, one: str, other: str) -> None:
    for old, new in ((one, "third"), (other, one), ("third", other)):
        edit(cell, old, new)


def double_trace(cell: Any) -> None:
    traces = cell.outputs[0]["data"][PLOTLY]["data"]
    traces.append(dict(traces[0]))


def test_every_mutant_of_a_stored_lesson_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through nbval itself: one cell for each mutant."""
    from clcrkit.pages import execute
    from tests.notebooks.test_machinery import ROOT

    metadata = {"clcrkit": {"atol": 0.05}}
    sources = [source for source, _ in MUTANTS.values()]
    notebook = new_notebook(cells=[new_code_cell(source, metadata=metadata) for source in sources])
    stored = execute(notebook, pytester.path)
    for cell, (_, spoil) in zip(stored.cells, MUTANTS.values(), strict=True):
        spoil(cell)
    nbformat.write(stored, pytester.path / "mutants.ipynb")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "-p", "tests.notebooks.comparison", "--nbval", "-rA", "--tb=no", "mutants.ipynb"
    )
    found = [f"mutants.ipynb::Cell {i}" in str(done.stdout) for i in range(len(MUTANTS))]
    assert all(found)
    passed = {n for i, n in enumerate(MUTANTS) if any(f"PASSED mutants.ipynb::Cell {i}" == x for x in done.outlines)}
    assert passed == {"nothing", "a number within its tolerance"}
    done.assert_outcomes(passed=2, failed=len(MUTANTS) - 2)


@pytest.mark.parametrize("bar", ["  0%|          | 0/6 [00:00<?, ?it/s]", "trials:  67%|####| 2/3 [00:03<00:00]"])
def test_a_progress_bar_is_neither_stored_nor_compared(bar: str) -> None:
    live = shown({"text/plain": bar, WIDGET: {}})
    assert compare(text("done\n"), [*live, *text("done\n")]).largest == 0
    assert is_progress(live[0])
    assert not is_progress(text("done\n")[0])
    assert not is_progress(shown({"text/plain": "a share of 90%"})[0])
