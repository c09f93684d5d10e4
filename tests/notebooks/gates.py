"""The rules for notebooks. Each gate takes notebooks and returns its complaints, one sentence each."""

import ast
import base64
import importlib
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbval.plugin import find_comment_markers, find_metadata_tags  # type: ignore[import-untyped]

from exercises import Exercise
from exercises.prediction import OPEN
from tests.notebooks.stills import MAX_BYTES, PNG
from tests.notebooks.stills import outputs as still_outputs

NOT_LESSONS = {"00_tour"}
MAX_MINUTES, MAX_MINUTES_TOGETHER = 3, 20
SLACK = 1.5  # of a promise: `make notebooks` runs two lessons at once, on whatever machine
MIN_COMPARED = 0.85
MAX_TOLERANCE, MAX_TOLERANT = 0.15, 1 / 3
MAX_MEDIAN_LINES, MAX_P90_LINES = 6, 20
MIN_PREDICTIONS, MIN_EXERCISES = 2, 3

# What tests.notebooks.comparison does not compare
_UNCOMPARED_FIELDS = {"output_type", "metadata", "traceback", "name", "execution_count"}
_UNCOMPARED_TYPES = {"application/vnd.jupyter.widget-view+json", "image/png", "image/jpeg"}
_MARKERS = re.compile(r"^\s*#+\s*((?:NBVAL|PYTEST_VALIDATE)_\w+)\s*$", re.MULTILINE)
_FOREIGN_HOST = re.compile(r"(?:https?:)?//[\w.-]*(?:cdn|unpkg|jsdelivr|cloudflare|googleapis|plot\.ly)[\w.-]*")
_ABSOLUTE_PATH = re.compile(r"(?<![\w./:])/(?:home|Users|root|tmp|opt|usr|var|mnt|private)/[\w.-]+|\b[A-Z]:\\\w+")


def lesson_module(name: str) -> str:
    """The module of a lesson's exercises: 04_budget has exercises.lesson_04."""
    return f"exercises.lesson_{name[:2]}"


def lesson_exercises(name: str) -> dict[str, Exercise]:
    """The exercises of a lesson, by name."""
    module = importlib.import_module(lesson_module(name))
    return {value.name: value for value in vars(module).values() if isinstance(value, Exercise)}


def executed(notebook: NotebookNode) -> list[str]:
    """Every code cell ran once, from top to bottom."""
    found = [cell.execution_count for cell in _code(notebook)]
    wanted = list(range(1, len(found) + 1))
    return [] if found == wanted else [f"execution counts are {found}, not 1 to {len(found)}: execute it afresh"]


def no_unexpected_errors(notebook: NotebookNode) -> list[str]:
    """No stored error but in cells tagged raises-exception."""
    return [
        f"cell {cell.id}: stores {output.ename}, without the tag raises-exception"
        for cell in _code(notebook)
        for output in cell.outputs
        if output.output_type == "error" and "raises-exception" not in _tags(cell)
    ]


def is_compared(cell: NotebookNode) -> bool:
    """Whether nbval compares something that says something in this cell's outputs."""
    options = dict(find_metadata_tags(cell.metadata)) | dict(find_comment_markers(cell.source))
    if cell.execution_count is None or options.get("skip") or options.get("check") is False:
        return False
    return any(_is_telling(output) for output in cell.outputs)


def compared_share(notebooks: Mapping[str, NotebookNode]) -> tuple[list[str], str]:
    """At least 85 % of all code cells have an output that nbval compares. Also returns the count, to print."""
    cells = [(name, cell) for name, notebook in notebooks.items() for cell in _code(notebook)]
    bare = [f"{name} {cell.id}" for name, cell in cells if not is_compared(cell)]
    count = f"{len(cells) - len(bare)} of {len(cells)} code cells have an output that nbval compares"
    if len(cells) - len(bare) < MIN_COMPARED * len(cells):
        return [f"{count}; {MIN_COMPARED:.0%} are needed. Without one: {', '.join(bare)}"], count
    return [], count


def tolerances(notebooks: Mapping[str, NotebookNode]) -> tuple[list[str], str]:
    """At most a third of the code cells have a tolerance, none above 0.15. Also returns the count, to print."""
    cells = [(f"{name}/{cell.id}", cell.metadata) for name, notebook in notebooks.items() for cell in _code(notebook)]
    tolerant = {name: metadata["clcrkit"]["atol"] for name, metadata in cells if "clcrkit" in metadata}
    largest = max(tolerant.values(), default=0.0)
    count = f"{len(tolerant)} of {len(cells)} code cells have a tolerance, the largest is {largest:g}"
    problems = [
        f"cell {name}: its tolerance is {atol}, but it must be above 0 and at most {MAX_TOLERANCE}"
        for name, atol in tolerant.items()
        if not 0 < atol <= MAX_TOLERANCE
    ]
    if len(tolerant) > MAX_TOLERANT * len(cells):
        problems.append(f"{count}; a third of the cells is allowed")
    return problems, count


def exceptions(notebooks: Mapping[str, NotebookNode]) -> set[tuple[str, str, str]]:
    """Every marker that takes something from nbval's strictness: notebook, cell id, marker."""
    return {
        (name, cell.id, marker)
        for name, notebook in notebooks.items()
        for cell in _code(notebook)
        for marker in [*_MARKERS.findall(cell.source), *(t for t in _tags(cell) if _is_marker(t))]
    }


def ledger(notebooks: Mapping[str, NotebookNode], entries: Iterable[Mapping[str, str]]) -> list[str]:
    """The ledger lists every exception with its reason and what would lift it, and nothing else."""
    entries = list(entries)
    listed = {(e["notebook"], e["cell"], e["marker"]) for e in entries}
    found = exceptions(notebooks)
    return [
        *(f"{'/'.join(e)}: not in the ledger" for e in sorted(found - listed)),
        *(f"{'/'.join(e)}: in the ledger, but no longer in the notebook" for e in sorted(listed - found)),
        *(
            f"{e['notebook']}/{e['cell']}: the ledger says no '{key}'"
            for e in entries
            for key in ("reason", "lifted_by")
            if not e.get(key, "").strip()
        ),
    ]


def cell_lengths(notebooks: Mapping[str, NotebookNode]) -> tuple[list[str], str]:
    """Short cells: median and 90th percentile of non-blank lines. Also returns the numbers, to print."""
    lines = sorted(
        sum(bool(line.strip()) for line in cell.source.splitlines())
        for notebook in notebooks.values()
        for cell in _code(notebook)
    )
    median = statistics.median(lines)
    ninetieth = lines[min(len(lines) - 1, int(0.9 * len(lines)))]
    count = f"code cells have {median:g} lines in the median, {ninetieth} at the 90th percentile"
    if median > MAX_MEDIAN_LINES or ninetieth > MAX_P90_LINES:
        return [f"{count}; {MAX_MEDIAN_LINES} and {MAX_P90_LINES} are allowed"], count
    return [], count


def portable(notebook: NotebookNode) -> list[str]:
    """Outputs ask no foreign host and show no path of the machine; no widget state, no Python version is stored."""
    problems = [f"metadata.{key} is stored" for key in ("widgets",) if key in notebook.metadata]
    if "version" in notebook.metadata.get("language_info", {}):
        problems.append("metadata.language_info.version is stored")
    for cell in _code(notebook):
        text = "\n".join(_texts(cell.outputs))
        problems += [f"cell {cell.id}: output names the host {hit}" for hit in _FOREIGN_HOST.findall(text)]
        paths = _ABSOLUTE_PATH.findall(text) + ([str(Path.cwd())] if str(Path.cwd()) in text else [])
        problems += [f"cell {cell.id}: output shows the path {hit}" for hit in paths]
    return problems


def stills(notebook: NotebookNode) -> list[str]:
    """Every figure stores a still picture of at most 100 kB, for viewers that run no scripts."""
    problems = []
    for cell, data in still_outputs(notebook):
        size = len(base64.b64decode(data.get(PNG, "")))
        if not 0 < size <= MAX_BYTES:
            problems.append(f"cell {cell}: its still has {size} bytes, but 1 to {MAX_BYTES} are needed")
    return problems


def promised_minutes(notebook: NotebookNode) -> float | None:
    """The minutes promised in the first cell."""
    hit = re.search(r"^\*\*Minutes on two cores:\*\* (\d+(?:\.\d+)?) *$", _first(notebook), re.MULTILINE)
    return float(hit[1]) if hit else None


def minutes(notebook: NotebookNode) -> list[str]:
    """The first cell promises a run time that is not too long."""
    promised = promised_minutes(notebook)
    if promised is None:
        return ["first cell: no line '**Minutes on two cores:** N'"]
    return [f"first cell: {promised:g} minutes; {MAX_MINUTES} are allowed"] if promised > MAX_MINUTES else []


def minutes_together(notebooks: Mapping[str, NotebookNode]) -> list[str]:
    """All lessons together stay within their time."""
    total = sum(promised_minutes(notebook) or 0 for notebook in notebooks.values())
    if total > MAX_MINUTES_TOGETHER:
        return [f"all lessons promise {total:g} minutes together; {MAX_MINUTES_TOGETHER} are allowed"]
    return []


def minutes_kept(name: str, notebook: NotebookNode, seconds: float) -> list[str]:
    """A run took at most half as long again as promised."""
    promised = promised_minutes(notebook) or 0.0
    if seconds > 60 * promised * SLACK:
        return [f"{name}: ran for {seconds:.0f} s, promised are {promised:g} minutes"]
    return []


def opening(notebook: NotebookNode) -> list[str]:
    """The first cell has the title, what the lesson builds on, and at least two goals."""
    text = _first(notebook)
    problems = []
    if not re.match(r"# \d+\. \S", text):
        problems.append("first cell: does not begin with '# N. Title'")
    if not re.search(r"^\*\*Builds on:\*\* \S", text, re.MULTILINE):
        problems.append("first cell: no line '**Builds on:** ...'")
    goals = re.search(r"^\*\*Goals:\*\*.*\n\n?((?:- .*\n?(?: {2,}.*\n?)*)+)", text, re.MULTILINE)
    if not goals or len(re.findall(r"^- ", goals[1], re.MULTILINE)) < 2:
        problems.append("first cell: no line '**Goals:**' with a list of at least 2 below it")
    return problems


def navigation(name: str, names: Iterable[str]) -> str:
    """The line that ends a lesson's first and last cell: to the course, the lessons before and after, and the lists."""
    ordered = sorted(names)
    at = ordered.index(name)
    links = ["[the course](README.md)"]
    links += [f"[previous lesson]({ordered[at - 1]}.ipynb)"] if at else []
    links += [f"[next lesson]({ordered[at + 1]}.ipynb)"] if at + 1 < len(ordered) else []
    return " · ".join([*links, "[notation](notation.md)", "[glossary](glossary.md)"])


def navigated(notebook: NotebookNode, line: str) -> list[str]:
    """The first and the last Markdown cell end with this line."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return [
        f"{which} cell: does not end with the line '{line}'"
        for which, text in (("first", texts[0]), ("last", texts[-1]))
        if not text.endswith(f"\n\n{line}")
    ]


def predictions(notebook: NotebookNode) -> list[str]:
    """At least two predictions, each scored in a later cell that shows nothing outside the fold; none is stored
    with an answer."""
    guessed: list[tuple[int, str]] = []
    scored: list[tuple[int, str]] = []
    problems = []
    for place, cell in enumerate(_code(notebook)):
        calls = [(called, name) for called, name in _calls(cell.source) if called in ("predict", "score")]
        guessed += [(place, name) for called, name in calls if called == "predict"]
        scored += [(place, name) for called, name in calls if called == "score"]
        told = [output.get("data", {}).get("text/plain", "") for output in cell.outputs]
        if sum(text.endswith(f"{OPEN}.") for text in told) < len(calls):
            problems.append(f"cell {cell.id}: stores an answered prediction; execute it without progress of your own")
        if len(cell.outputs) > len(calls) and any(called == "score" for called, _ in calls):
            problems.append(f"cell {cell.id}: shows more than the folded answer; give it to score()")
    if len(guessed) < MIN_PREDICTIONS:
        problems.append(f"{len(guessed)} predictions; at least {MIN_PREDICTIONS} are needed")
    for place, name in guessed:
        if not any(name == other and later > place for later, other in scored):
            problems.append(f"prediction '{name}' is not scored in a later cell")
    return problems


def unique_predictions(notebooks: Mapping[str, NotebookNode]) -> list[str]:
    """No two predictions of all lessons share a name, under which the learner's progress is kept."""
    names = [name for notebook in notebooks.values() for cell in _code(notebook) for name in _asked(cell.source)]
    return [f"prediction '{name}' is asked {n} times" for name, n in Counter(names).items() if n > 1]


def exercise_cells(notebook: NotebookNode, exercises: Mapping[str, Exercise]) -> list[str]:
    """Each exercise has its task, hints, code and solution cells, in this order and true to the source."""
    problems = []
    if len(exercises) < MIN_EXERCISES:
        problems.append(f"{len(exercises)} exercises; at least {MIN_EXERCISES} are needed")
    order = [cell.id for cell in notebook.cells]
    cells = {cell.id: cell for cell in notebook.cells}
    for name, exercise in exercises.items():
        ids = [f"{name}-{part}" for part in ("task", "hints", "code", "solution")]
        missing = [i for i in ids if i not in cells]
        if missing:
            problems.append(f"exercise {name}: no cell with the id {', '.join(missing)}")
            continue
        places = [order.index(i) for i in ids]
        if places != sorted(places):
            problems.append(f"exercise {name}: its cells are not in the order {', '.join(ids)}")
        task, hints, code, solution = (cells[i].source for i in ids)
        if not task.startswith(exercise.header + "\n"):
            problems.append(f"cell {ids[0]}: does not begin with\n{exercise.header}")
        if not re.search(r"<details>\s*<summary>.*?</summary>.+?</details>", hints, re.DOTALL):
            problems.append(f"cell {ids[1]}: no hint folded in <details>")
        if code != exercise.stub_cell:
            problems.append(f"cell {ids[2]}: is not the exercise's stub; run tests.notebooks.execute")
        if solution != exercise.folded_solution:
            problems.append(f"cell {ids[3]}: is not the exercise's solution; run tests.notebooks.execute")
    strange = [i for i in order if (m := re.fullmatch(r"(\w+)-code", i)) and m[1] not in exercises]
    return problems + [f"cell {i}: no such exercise" for i in strange]


def closing(notebook: NotebookNode) -> list[str]:
    """The last Markdown cell maps what was built to names that exist in clcrkit."""
    text = next((c.source for c in reversed(notebook.cells) if c.cell_type == "markdown"), "")
    table = re.search(r"^\| *What you built *\| *Where it lives *\|\n\|[-: |]+\|\n((?:\|.*\|\n?)+)", text, re.MULTILINE)
    if not table:
        return ["last cell: no table '| What you built | Where it lives |'"]
    problems = []
    for row in table[1].strip().splitlines():
        names = re.findall(r"`(clcrkit(?:\.\w+)+)", row)
        if not names:
            problems.append(f"last cell: the row '{row}' names nothing of clcrkit in backticks")
        problems += [f"last cell: there is no {name}" for name in names if not _exists(name)]
    return problems


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _is_marker(tag: str) -> bool:
    return tag == "raises-exception" or tag.startswith(("nbval-", "pytest-validate-"))


def _first(notebook: NotebookNode) -> str:
    cell = notebook.cells[0] if notebook.cells else None
    return str(cell.source) if cell is not None and cell.cell_type == "markdown" else ""


def _is_telling(output: NotebookNode) -> bool:
    data = output.get("data")
    if data is None:
        fields = set(output) - _UNCOMPARED_FIELDS
        return any(str(output[field]).strip() for field in fields)
    # `<Figure size 640x480 with 1 Axes>` beside a PNG, `Output()` beside a view: compared, but says nothing
    empty = {"text/plain"} if _UNCOMPARED_TYPES & set(data) or data.get("text/plain") == "Output()" else set()
    return bool(set(data) - _UNCOMPARED_TYPES - empty)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for kind, inner in value.items():
            if kind != PNG:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _calls(source: str) -> list[tuple[str, str]]:
    """Calls of functions by plain or dotted name with a string as first argument."""
    found = []
    for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found.append((called, str(node.args[0].value)))
    return found


def _asked(source: str) -> list[str]:
    return [name for called, name in _calls(source) if called == "predict"]


def _exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False
