"""The solution variant of a lesson: each exercise's stub replaced by its solution, all else the same.

python -m tests.notebooks.solutions [NOTEBOOK...]      (writes build/solutions/; all lessons where none is named)
"""

import argparse
import ast
import copy
import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from clcrkit.pages import read_notebook
from tests.notebooks import gates

EXERCISES = Path(__file__).parents[2] / "notebooks/exercises"


def main(arguments: list[str] | None = None) -> None:
    """Write the solution variant of the named lessons, or of all."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks.solutions", description=main.__doc__)
    parser.add_argument("notebook", type=Path, nargs="*")
    folder = Path("build/solutions")
    # a notebook imports its exercises from the folder it lies in
    shutil.copytree(EXERCISES, folder / "exercises", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in parser.parse_args(arguments).notebook or lesson_paths():
        nbformat.write(solved(read_notebook(path), path.stem), folder / path.name)
        print(folder / path.name)


def lesson_paths() -> list[Path]:
    """The lessons' notebooks, in order."""
    return [path for path in sorted(Path("notebooks").glob("*.ipynb")) if path.stem not in gates.NOT_LESSONS]


def solved(notebook: NotebookNode, name: str) -> NotebookNode:
    """A copy with each exercise's cell solved and the outputs taken away."""
    texts = {f"{e.name}-code": e.solution_cell for e in gates.lesson_exercises(name).values()}
    variant = copy.deepcopy(notebook)
    for cell in variant.cells:
        cell.source = texts.get(cell.id, cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return variant


def solutions_alone(notebook: NotebookNode, name: str) -> NotebookNode:
    """The solved exercises after the notebook's imports, and nothing else: a solution may use no more."""
    codes = {f"{e.name}-code" for e in gates.lesson_exercises(name).values()}
    variant = solved(notebook, name)
    variant.cells = [cell for cell in variant.cells if cell.cell_type == "code"]
    for cell in variant.cells:
        if cell.id not in codes:
            tree = ast.parse("".join(line for line in cell.source.splitlines(True) if not line.startswith("%")))
            tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            cell.source = ast.unparse(tree)
    return variant


def unsolved(executed: NotebookNode, name: str) -> list[str]:
    """The exercises whose cell did not print that all checks passed."""
    printed = {
        cell.id: "".join(output.get("text", "") for output in cell.outputs)
        for cell in executed.cells
        if cell.cell_type == "code"
    }
    return [
        f"exercise {exercise.name}: its cell printed {printed.get(f'{exercise.name}-code')!r}"
        for exercise in gates.lesson_exercises(name).values()
        if f"all {len(exercise.checks)} checks passed." not in printed.get(f"{exercise.name}-code", "")
    ]


if __name__ == "__main__":
    main()
