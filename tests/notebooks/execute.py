"""Run notebooks in place and store their outputs, with everything stripped that varies from run to run.

    python -m tests.notebooks.execute [NOTEBOOK...]        (all of notebooks/ where none is named)

Exercise cells are brought up to date from notebooks/exercises first, and the lines that lead from lesson to lesson;
every figure gets its still picture (`stills.py`). A notebook that fails is left as it was.
"""

import argparse
import importlib.util
import os
import sys
import time
from itertools import filterfalse
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from clcrkit.pages import execute, read_notebook
from tests.notebooks import gates, stills
from tests.notebooks.comparison import is_progress

_WIDGET = "application/vnd.jupyter.widget-view+json"


def main(arguments: list[str] | None = None) -> None:
    """Execute the named notebooks, or all; exit with 1 where a cell fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks.execute", description=main.__doc__)
    parser.add_argument("notebook", type=Path, nargs="*")
    failed = False
    for path in parser.parse_args(arguments).notebook or sorted(Path("notebooks").glob("*.ipynb")):
        began = time.monotonic()
        try:
            store(path)
        except CellExecutionError as error:
            failed = True
            print(f"{path}: failed after {time.monotonic() - began:.1f} s\n{error}", flush=True)
        else:
            print(f"{path}: {time.monotonic() - began:.1f} s", flush=True)
    if failed:
        sys.exit(1)


def store(path: Path) -> None:
    """Refresh, execute and rewrite one notebook. Raises CellExecutionError, and then changes nothing."""
    notebook = read_notebook(path)
    if importlib.util.find_spec(gates.lesson_module(path.stem)):
        refresh(notebook, path.stem)
    navigate(notebook, gates.navigation(path.stem, [p.stem for p in path.parent.glob("*.ipynb")]))
    done = cleaned(execute(notebook, path.parent))
    stills.draw(done)
    scratch = path.with_suffix(".ipynb.part")
    nbformat.write(done, scratch)
    os.replace(scratch, path)


def refresh(notebook: NotebookNode, name: str) -> None:
    """Put the exercises' current stubs and solutions into their cells."""
    texts = {}
    for exercise in gates.lesson_exercises(name).values():
        texts[f"{exercise.name}-code"] = exercise.stub_cell
        texts[f"{exercise.name}-solution"] = exercise.folded_solution
    for cell in notebook.cells:
        cell.source = texts.get(cell.id, cell.source)


def navigate(notebook: NotebookNode, line: str) -> None:
    """End the first and the last Markdown cell with the line that leads to the other lessons."""
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell in texts[:1] + texts[-1:]:
        kept = cell.source.split("\n\n[the course](README.md)")[0]
        cell.source = f"{kept}\n\n{line}"


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """The executed notebook without widget state and views, timings, and the accidents of stream chunks."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept: list[NotebookNode] = []
        for output in filterfalse(is_progress, cell.outputs):
            # A stored view of a widget that no longer lives shows an error; without it the other forms are shown.
            output.get("data", {}).pop(_WIDGET, None)
            if kept and output.output_type == kept[-1].output_type == "stream" and output.name == kept[-1].name:
                kept[-1].text += output.text
            else:
                kept.append(output)
        cell.outputs = kept
    return notebook


if __name__ == "__main__":
    main()
