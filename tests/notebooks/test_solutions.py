"""Each lesson's solutions pass all their checks, in a kernel that has what the lesson imports."""

from pathlib import Path

import pytest

from clcrkit.pages import execute, read_notebook
from tests.notebooks import gates
from tests.notebooks.solutions import solutions_alone, unsolved

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = [path.stem for path in sorted(FOLDER.glob("*.ipynb")) if path.stem not in gates.NOT_LESSONS]


@pytest.mark.parametrize("name", LESSONS)
def test_the_solutions_pass_in_the_lesson(name: str) -> None:
    done = execute(solutions_alone(read_notebook(FOLDER / f"{name}.ipynb"), name), FOLDER)
    assert unsolved(done, name) == []
