"""Each lesson's solutions pass all their checks, in a namespace that has what the lesson imports."""

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_output

from clcrkit.pages import read_notebook
from tests.notebooks import gates
from tests.notebooks.solutions import solutions_alone, unsolved

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = [path.stem for path in sorted(FOLDER.glob("*.ipynb")) if path.stem not in gates.NOT_LESSONS]


@pytest.mark.parametrize("name", LESSONS)
def test_the_solutions_pass_in_the_lesson(name: str) -> None:
    lesson = solutions_alone(read_notebook(FOLDER / f"{name}.ipynb"), name)
    namespace: dict[str, Any] = {}  # in place of a kernel, which takes seconds to start
    for cell in lesson.cells:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(cell.source, cell.id, "exec"), namespace)
        cell.outputs = [new_output("stream", text=printed.getvalue())]
    assert unsolved(lesson, name) == []
