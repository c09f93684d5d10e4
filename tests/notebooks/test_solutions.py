"""Each lesson's solution variant runs from top to bottom, passes all its checks, and takes no longer than promised."""

import time
from pathlib import Path

import pytest

from clcrkit.pages import execute, read_notebook
from tests.notebooks import gates
from tests.notebooks.solutions import solved, unsolved

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = [path.stem for path in sorted(FOLDER.glob("*.ipynb")) if path.stem not in gates.NOT_LESSONS]


@pytest.mark.parametrize("name", LESSONS)
def test_the_solved_lesson_runs_in_its_promised_time(name: str) -> None:
    variant = solved(read_notebook(FOLDER / f"{name}.ipynb"), name)
    began = time.monotonic()
    done = execute(variant, FOLDER)
    seconds = time.monotonic() - began
    print(f"{name}: {seconds:.1f} s")
    assert unsolved(done, name) == []
    assert gates.minutes_kept(name, variant, seconds) == []
