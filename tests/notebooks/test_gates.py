"""The notebooks keep the rules of gates.py."""

import tomllib
from pathlib import Path

import pytest

from clcrkit.pages import read_notebook
from tests.notebooks import gates

ROOT = Path(__file__).parents[2]
MAX_BYTES_TOGETHER = 10_000_000
NOTEBOOKS = {path.stem: read_notebook(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
LESSONS = {name: notebook for name, notebook in NOTEBOOKS.items() if name not in gates.NOT_LESSONS}


def test_there_are_notebooks_to_look_at() -> None:
    assert set(NOTEBOOKS) >= gates.NOT_LESSONS


@pytest.mark.parametrize("name", NOTEBOOKS)
@pytest.mark.parametrize("gate", [gates.executed, gates.no_unexpected_errors, gates.portable, gates.stills])
def test_every_notebook(gate, name: str) -> None:
    assert gate(NOTEBOOKS[name]) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_leads_to_the_others(name: str) -> None:
    assert gates.navigated(NOTEBOOKS[name], gates.navigation(name, NOTEBOOKS)) == []


def test_all_notebooks_together_are_light() -> None:
    size = sum(path.stat().st_size for path in (ROOT / "notebooks").glob("*.ipynb"))
    print(f"all notebooks: {size / 1e6:.1f} MB")
    assert size <= MAX_BYTES_TOGETHER


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize("gate", [gates.minutes, gates.opening, gates.predictions, gates.closing])
def test_every_lesson(gate, name: str) -> None:
    assert gate(LESSONS[name]) == []


@pytest.mark.parametrize("name", LESSONS)
def test_the_exercises_cells_match_their_source(name: str) -> None:
    assert gates.exercise_cells(LESSONS[name], gates.lesson_exercises(name)) == []


def test_nbval_compares_most_cells() -> None:
    problems, count = gates.compared_share(NOTEBOOKS)
    print(count)
    assert problems == []


def test_few_cells_have_a_tolerance() -> None:
    problems, count = gates.tolerances(NOTEBOOKS)
    print(count)
    assert problems == []


def test_cells_are_short() -> None:
    problems, count = gates.cell_lengths(NOTEBOOKS)
    print(count)
    assert problems == []


def test_the_ledger_is_complete_and_not_stale() -> None:
    entries = tomllib.loads((ROOT / "tests/notebooks/ledger.toml").read_text()).get("exception", [])
    assert gates.ledger(NOTEBOOKS, entries) == []


def test_predictions_have_names_of_their_own() -> None:
    assert gates.unique_predictions(LESSONS) == []


def test_all_lessons_together_are_short() -> None:
    assert gates.minutes_together(LESSONS) == []
