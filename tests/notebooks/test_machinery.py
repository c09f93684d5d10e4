"""The gates and tools themselves: a small lesson that is right passes, and each way to spoil it is found."""

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from clcrkit.pages import execute
from tests.exercises.demo import Gate, center
from tests.notebooks import execute as execution
from tests.notebooks import gates, minutes, solutions

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
EXERCISES = {"center": center, "Gate": Gate}
FIRST = """# 8. A small lesson

**Minutes on two cores:** 1

**Builds on:** PyTorch basics

**Goals:**

- center rows
- and gate them
"""
LAST = """| What you built | Where it lives |
|---|---|
| the check | `clcrkit.errors.DataError` |
"""
IMPORTS = "import torch\nfrom torch import Tensor, nn\nfrom tests.exercises import demo as lesson\nprint('ready')"


def lesson() -> NotebookNode:
    """A lesson that keeps all rules, not yet executed."""
    cells = [new_markdown_cell(FIRST, id="first"), new_code_cell(IMPORTS, id="imports")]
    for name, truth in (("size", "1"), ("weight", "2")):
        guess = f"predict({name!r}, within=0.5)"
        cells.append(new_code_cell(f"from exercises import predict, score\n{guess}", id=f"guess-{name}"))
        cells.append(new_code_cell(f"score({name!r}, {truth})", id=f"truth-{name}"))
    for name, exercise in EXERCISES.items():
        cells += [
            new_markdown_cell(f"{exercise.header}\n\nDo it.", id=f"{name}-task"),
            new_markdown_cell("<details><summary>Hint</summary>\n\nThink.\n\n</details>", id=f"{name}-hints"),
            new_code_cell("outdated", id=f"{name}-code"),
            new_markdown_cell("outdated", id=f"{name}-solution"),
        ]
    cells.append(new_markdown_cell(LAST, id="last"))
    return new_notebook(cells=cells)


@pytest.fixture(autouse=True)
def _demo_lesson(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "lesson_module", lambda name: "tests.exercises.demo")
    monkeypatch.setattr(gates, "MIN_EXERCISES", 2)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lesson, executed in place."""
    path = tmp_path_factory.mktemp("notebooks") / "08_small.ipynb"
    nbformat.write(lesson(), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gates, "lesson_module", lambda name: "tests.exercises.demo")
        patch.setenv("PYTHONPATH", str(ROOT))
        execution.store(path)
    return path


@pytest.fixture
def good(stored: Path) -> NotebookNode:
    return nbformat.read(stored, 4)


def test_a_good_lesson_passes_every_gate(good: NotebookNode) -> None:
    one = {"08_small": good}
    for gate in (gates.executed, gates.no_unexpected_errors, gates.portable, gates.minutes, gates.opening):
        assert gate(good) == []
    assert gates.predictions(good) == []
    assert gates.unique_predictions(one) == []
    assert gates.closing(good) == []
    assert gates.exercise_cells(good, EXERCISES) == []
    assert gates.ledger(one, []) == []
    assert gates.minutes_together(one) == []
    assert gates.minutes_kept("08_small", good, 89.0) == []
    assert gates.compared_share(one) == ([], "7 of 7 code cells have an output that nbval compares")
    assert gates.cell_lengths(one) == ([], "code cells have 2 lines in the median, 8 at the 90th percentile")


def cell(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.id == name)


def edit(name: str, old: str, new: str) -> Callable[[NotebookNode], None]:
    def spoil(notebook: NotebookNode) -> None:
        assert old in cell(notebook, name).source
        cell(notebook, name).source = cell(notebook, name).source.replace(old, new)

    return spoil


def output(name: str, text: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: cell(notebook, name).outputs.append(new_output("stream", text=text))


def error(notebook: NotebookNode) -> None:
    cell(notebook, "imports").outputs.append(new_output("error", ename="KeyError", evalue="x", traceback=[]))


def answered(notebook: NotebookNode) -> None:
    cell(notebook, "truth-size").outputs[0].data["text/plain"] = "Not this time: you guessed 3, it is 1."


def swap(notebook: NotebookNode) -> None:
    notebook.cells[-2], notebook.cells[-3] = notebook.cells[-3], notebook.cells[-2]


@pytest.mark.parametrize(
    ("gate", "spoil", "complaint"),
    [
        ("executed", lambda nb: cell(nb, "imports").update(execution_count=None), "not 1 to 7: execute it afresh"),
        ("executed", lambda nb: cell(nb, "imports").update(execution_count=17), "counts are [17, 2, 3"),
        ("no_unexpected_errors", error, "cell imports: stores KeyError, without the tag raises-exception"),
        ("portable", lambda nb: nb.metadata.update(widgets={}), "metadata.widgets is stored"),
        (
            "portable",
            lambda nb: nb.metadata.update(language_info={"version": "3.11"}),
            "metadata.language_info.version is stored",
        ),
        ("portable", output("imports", "src='https://cdn.plot.ly/x.js'"), "names the host https://cdn.plot.ly"),
        ("portable", output("imports", "src='//unpkg.com/x'"), "names the host //unpkg.com"),
        ("portable", output("imports", "File /home/me/x.py"), "shows the path /home/me"),
        ("portable", output("imports", r"in C:\Users\me"), r"shows the path C:\Users"),
        ("portable", output("imports", f"in {Path.cwd()}"), f"shows the path {Path.cwd()}"),
        ("minutes", edit("first", "cores:** 1", "cores:** one"), "no line '**Minutes on two cores:** N'"),
        ("minutes", edit("first", "cores:** 1", "cores:** 4"), "4 minutes; 3 are allowed"),
        ("opening", edit("first", "# 8. A", "# A"), "does not begin with '# N. Title'"),
        ("opening", edit("first", "**Builds on:**", "Builds on:"), "no line '**Builds on:** ...'"),
        ("opening", edit("first", "- and gate them", ""), "with a list of at least 2 below it"),
        ("predictions", edit("guess-size", "predict('size'", "print('size'"), "1 predictions; at least 2"),
        ("predictions", edit("truth-size", "size", "weight"), "'size' is not scored in a later cell"),
        ("predictions", answered, "cell truth-size: stores an answered prediction"),
        ("predictions", output("truth-size", "it is 1"), "cell truth-size: shows more than the folded answer"),
        ("closing", edit("last", "What you built", "Parts"), "no table '| What you built | Where it lives |'"),
        ("closing", edit("last", "errors.DataError", "errors.Gone"), "there is no clcrkit.errors.Gone"),
        ("closing", edit("last", "`clcrkit", "`other"), "names nothing of clcrkit in backticks"),
        ("exercise_cells", edit("center-task", "5 minutes", "6 minutes"), "cell center-task: does not begin with"),
        ("exercise_cells", edit("center-code", "raise", "pass  #"), "cell center-code: is not the exercise's stub"),
        ("exercise_cells", edit("center-hints", "details", "p"), "cell center-hints: no hint folded"),
        ("exercise_cells", edit("center-solution", "dim=1", "dim=0"), "cell center-solution: is not"),
        ("exercise_cells", lambda nb: cell(nb, "Gate-hints").update(id="x"), "Gate: no cell with the id Gate-hints"),
        ("exercise_cells", lambda nb: cell(nb, "Gate-code").update(id="gone-code"), "cell gone-code: no such exercise"),
        ("exercise_cells", swap, "exercise Gate: its cells are not in the order"),
    ],
)  # fmt: skip
def test_a_spoilt_lesson_is_found(
    good: NotebookNode, gate: str, spoil: Callable[[NotebookNode], None], complaint: str
) -> None:
    spoil(good)
    arguments = (good, EXERCISES) if gate == "exercise_cells" else (good,)
    assert complaint in "\n".join(getattr(gates, gate)(*arguments))


def test_too_few_exercises(good: NotebookNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "MIN_EXERCISES", 3)
    assert gates.exercise_cells(good, EXERCISES) == ["2 exercises; at least 3 are needed"]


def test_minutes_are_checked_against_the_run_and_added_up(good: NotebookNode) -> None:
    assert gates.minutes_kept("08_small", good, 91.0) == ["08_small: ran for 91 s, promised are 1 minutes"]
    many = {str(number): good for number in range(gates.MAX_MINUTES_TOGETHER + 1)}
    assert gates.minutes_together(many) == ["all lessons promise 21 minutes together; 20 are allowed"]


@pytest.mark.parametrize(
    ("median", "ninetieth", "lines"), [(7, 7, [7] * 10), (1, 21, [1] * 8 + [21] * 2), (6, 20, [6] * 8 + [20] * 2)]
)
def test_long_cells_are_found(median: int, ninetieth: int, lines: list[int]) -> None:
    notebook = new_notebook(cells=[new_code_cell("pass\n\n" * count) for count in lines])
    problems, count = gates.cell_lengths({"long": notebook})
    assert count == f"code cells have {median} lines in the median, {ninetieth} at the 90th percentile"
    assert problems == ([] if (median, ninetieth) == (6, 20) else [f"{count}; 6 and 20 are allowed"])


VIEW = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}


@pytest.mark.parametrize(
    ("source", "tags", "data", "compared"),
    [
        ("1", [], {"text/plain": "1"}, True),
        ("1", [], {"application/vnd.plotly.v1+json": {"data": []}, "text/plain": "Figure"}, True),
        ("1", [], {"text/html": "<p>", **VIEW}, True),
        ("1", [], {"text/plain": "IntSlider(value=0)", **VIEW}, False),
        ("1", [], {"text/plain": "<Figure size 640x480 with 1 Axes>", "image/png": "iVBO"}, False),
        ("1", [], {"text/plain": "Output()"}, False),
        ("# NBVAL_SKIP\n1", [], {"text/plain": "1"}, False),
        ("# NBVAL_IGNORE_OUTPUT\n1", [], {"text/plain": "1"}, False),
        ("1", ["nbval-ignore-output"], {"text/plain": "1"}, False),
        ("1", ["nbval-skip"], {"text/plain": "1"}, False),
        ("1", ["raises-exception"], {"text/plain": "1"}, True),
        ("1", [], None, False),
    ],
)
def test_what_counts_as_compared(source: str, tags: list[str], data: dict | None, compared: bool) -> None:
    outputs = [] if data is None else [new_output("execute_result", data=data, execution_count=1)]
    tried = new_code_cell(source, outputs=outputs, execution_count=1, metadata={"tags": tags})
    assert gates.is_compared(tried) == compared
    tried.execution_count = None
    assert not gates.is_compared(tried)


def test_the_ledger_must_be_complete_fresh_and_reasoned(good: NotebookNode) -> None:
    cell(good, "imports").metadata["tags"] = ["raises-exception", "harmless"]
    cell(good, "truth-size").source = "# NBVAL_IGNORE_OUTPUT\n1"
    one = {"08_small": good}
    known = {"notebook": "08_small", "reason": "it must", "lifted_by": "time"}
    raises = known | {"cell": "imports", "marker": "raises-exception"}
    ignored = known | {"cell": "truth-size", "marker": "NBVAL_IGNORE_OUTPUT"}
    assert gates.ledger(one, [raises, ignored]) == []
    assert gates.ledger(one, [raises]) == ["08_small/truth-size/NBVAL_IGNORE_OUTPUT: not in the ledger"]
    assert gates.ledger(one, [raises, ignored, ignored | {"cell": "gone"}]) == [
        "08_small/gone/NBVAL_IGNORE_OUTPUT: in the ledger, but no longer in the notebook"
    ]
    assert gates.ledger(one, [raises, ignored | {"reason": " "}]) == [
        "08_small/truth-size: the ledger says no 'reason'"
    ]
    unlifted = {key: value for key, value in raises.items() if key != "lifted_by"}
    assert gates.ledger(one, [unlifted, ignored]) == ["08_small/imports: the ledger says no 'lifted_by'"]


def test_executing_twice_gives_the_same_file(stored: Path) -> None:
    before = stored.read_bytes()
    execution.store(stored)
    assert stored.read_bytes() == before


def test_executing_strips_what_varies(tmp_path: Path) -> None:
    source = """
import sys, time
from IPython.display import display
from ipywidgets import IntSlider
display(IntSlider(3))
for word in "ab":
    print(word, flush=True)
    time.sleep(0.3)
"""
    path = tmp_path / "08_widget.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), path)
    execution.store(path)
    text = path.read_text()
    assert "widget-view" not in text
    assert "model_id" not in text
    assert json.loads(text)["cells"][0]["outputs"][-1]["text"] == ["a\n", "b\n"]
    assert gates.portable(nbformat.read(path, 4)) == []


def test_a_failing_notebook_is_left_alone_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "08_bad.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), path)
    before = path.read_bytes()
    with pytest.raises(SystemExit, match="1"):
        execution.main([str(path)])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    printed = capsys.readouterr().out
    assert "failed after" in printed
    assert "ZeroDivisionError" in printed


def test_the_solution_variant_passes_and_the_stored_one_does_not(good: NotebookNode, tmp_path: Path) -> None:
    done = execute(solutions.solved(good, "08_small"), tmp_path)
    assert solutions.unsolved(done, "08_small") == []
    open_ones = solutions.unsolved(good, "08_small")
    assert [line.split(":")[0] for line in open_ones] == ["exercise center", "exercise Gate"]
    assert "not attempted yet" in open_ones[0]


def test_the_solution_variant_is_written_where_it_says(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    solutions.main([str(stored)])
    written = nbformat.read(tmp_path / capsys.readouterr().out.strip(), 4)
    assert cell(written, "center-code").source == center.solution_cell
    assert cell(written, "imports").source == IMPORTS


@pytest.mark.parametrize(
    ("atols", "complaints"),
    [
        ([0.05, 0.15], []),
        ([0.2], ["its tolerance is 0.2, but it must be above 0 and at most 0.15"]),
        ([0.0], ["its tolerance is 0.0, but it must be above 0 and at most 0.15"]),
        ([0.1, 0.1, 0.1], ["3 of 7 code cells have a tolerance, the largest is 0.1; a third of the cells is allowed"]),
    ],
)
def test_tolerances_are_counted_and_bounded(good: NotebookNode, atols: list[float], complaints: list[str]) -> None:
    codes = [cell for cell in good.cells if cell.cell_type == "code"]
    for cell, atol in zip(codes, atols, strict=False):
        cell.metadata["clcrkit"] = {"atol": atol}
    problems, count = gates.tolerances({"08_small": good})
    assert count == f"{len(atols)} of 7 code cells have a tolerance, the largest is {max(atols):g}"
    assert len(problems) == len(complaints)
    assert all(complaint in problem for problem, complaint in zip(problems, complaints, strict=True))


def test_the_share_of_compared_cells_is_enforced(good: NotebookNode) -> None:
    cell(good, "center-code").outputs = []
    assert gates.compared_share({"08_small": good})[0] == []  # 6 of 7
    cell(good, "truth-size").outputs = []
    assert gates.compared_share({"08_small": good})[0] == [
        "5 of 7 code cells have an output that nbval compares; 85% are needed. "
        "Without one: 08_small truth-size, 08_small center-code"
    ]


def test_the_minutes_of_a_notebook_are_added_up(tmp_path: Path) -> None:
    report = tmp_path / "notebooks.xml"
    cases = "".join(
        f'<testcase classname="notebooks.{n}.ipynb" time="{t}"/>' for n, t in [("a", 1), ("b", 5), ("a", 2)]
    )
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert minutes.seconds(report) == {"a": 3.0, "b": 5.0}


def test_solutions_alone_keep_imports_and_exercises(good: NotebookNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "lesson_exercises", lambda name: EXERCISES)
    alone = solutions.solutions_alone(good, "08_small")
    codes = {f"{e.name}-code" for e in EXERCISES.values()}
    kept = [cell.source for cell in alone.cells if cell.id not in codes]
    assert all(line.startswith(("import ", "from ")) for source in kept for line in source.splitlines())
    assert codes <= {cell.id for cell in alone.cells}
