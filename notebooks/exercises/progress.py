"""The learner's progress, in a file of their own beside the lessons: opt in, on their machine, sent nowhere.

The file is made by `keep()` and by nothing else; without it nothing is written. CLCRKIT_PROGRESS names another place,
and, left empty, none: so the tests and the runs that store the lessons neither read nor write it.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from IPython.display import display
from ipywidgets import Button

from clcrkit.errors import DataError
from clcrkit.files import write_json
from exercises.asking import Said, Shown, live, refresh

LESSONS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Lesson:
    """What one lesson asks for: its notebook, title, and the names of its predictions and exercises."""

    notebook: str
    title: str
    predictions: tuple[str, ...]
    exercises: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One lesson's progress. Predictions: how many there are, were made, were right at the first try."""

    notebook: str
    title: str
    predictions: int
    predicted: int
    right_at_first: int
    exercises: int
    solved: int


def path() -> Path | None:
    """Where the file lies, if there is one; None where CLCRKIT_PROGRESS is empty."""
    named = os.environ.get("CLCRKIT_PROGRESS")
    return LESSONS / "my_progress.json" if named is None else Path(named) if named else None


def keep() -> None:
    """From now on, keep predictions and solved exercises. Raises DataError where the file cannot be written."""
    place = path()
    if place is not None and not place.exists():
        write_json(place, {"predictions": {}, "exercises": {}})
    refresh()


def load() -> dict[str, dict[str, Any]]:
    """What is kept; empty where nothing is. Raises DataError for a file that is none of ours."""
    place = path()
    if place is None or not place.exists():
        return {}
    try:
        kept = json.loads(place.read_text("utf-8"))
        if not all(isinstance(kept[part], dict) for part in ("predictions", "exercises")):
            raise ValueError("its parts are no mappings")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{place}: not a file of progress ({error}); move it away and keep() a new one") from error
    return dict(kept)


def note(part: str, name: str, value: Any) -> None:
    """Keep one prediction or one solved exercise, where the learner keeps progress."""
    kept = load()
    if kept and kept[part].get(name) != value:
        kept[part][name] = value
        place = path()
        assert place is not None
        write_json(place, kept)


@cache
def course() -> tuple[Lesson, ...]:
    """The tour and the lessons, in order, with what their notebooks ask for."""
    found = []
    for notebook in sorted(LESSONS.glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        asked = [name for source in code for _, name in re.findall(r"^predict\(([\"'])(.*?)\1", source, re.MULTILINE)]
        built = [cell["id"].removesuffix("-code") for cell in cells if cell.get("id", "").endswith("-code")]
        if asked or built:
            title = "".join(cells[0]["source"]).partition("\n")[0].lstrip("# ")
            names = tuple(f"lesson_{notebook.stem[:2]}.{name}" for name in built)
            found.append(Lesson(notebook.name, title, tuple(asked), names))
    return tuple(found)


def rows() -> list[Row]:
    """The progress in each lesson."""
    kept = load()
    guesses, solved = kept.get("predictions", {}), kept.get("exercises", {})
    return [
        Row(
            lesson.notebook,
            lesson.title,
            len(lesson.predictions),
            sum(name in guesses for name in lesson.predictions),
            sum(guesses.get(name, {}).get("right_at_first") is True for name in lesson.predictions),
            len(lesson.exercises),
            sum(name in solved for name in lesson.exercises),
        )
        for lesson in course()
    ]


def data() -> list[dict[str, Any]]:
    """The progress as plain data, one dictionary a lesson, for a page of your own."""
    return [asdict(row) for row in rows()]


def line() -> str:
    """The sum over all lessons, in one paragraph of HTML; nothing where nothing is kept."""
    if not load():
        return ""
    return f"<p>In all lessons: {_sum(rows())}.</p>"


def show() -> None:
    """Show the lessons with the learner's progress, and a button that starts to keep it."""
    button = Button(description="Keep my progress", tooltip="In a file on this machine; nothing is sent anywhere")

    def pressed(_: Any) -> None:
        keep()
        button.layout.display = "none"

    button.on_click(pressed)
    if path() is None or load():
        button.layout.display = "none"
    display(Shown([live(index), button], index))


def index() -> Said:
    """The lessons with the learner's progress, as text and as a table of HTML."""
    told = rows()
    place = path()
    where = f"Kept in {place.name}" if place and load() else "Not kept yet: progress.keep() does"
    body = "".join(
        f'<tr><th scope="row"><a href="{row.notebook}">{escape(row.title)}</a></th>'
        f"<td>{_of(row.right_at_first, row.predictions, row.predicted)}</td>"
        f"<td>{_of(row.solved, row.exercises, row.solved)}</td></tr>"
        for row in told
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Lesson", "Predictions", "Exercises"))
    caption = f"Your progress: predictions right at the first try, exercises solved. {where}."
    return (
        f"Your progress: {_sum(told)}. {where}.",
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>",
    )


def _sum(told: list[Row]) -> str:
    predictions, exercises = sum(row.predictions for row in told), sum(row.exercises for row in told)
    right, made = sum(row.right_at_first for row in told), sum(row.predicted for row in told)
    solved = sum(row.solved for row in told)
    return f"{_of(right, predictions, made)} predictions, {_of(solved, exercises, solved)} exercises"


def _of(done: int, whole: int, begun: int) -> str:
    """'3 of 5' once something was begun, '5' before: a beginner has got nothing wrong."""
    return f"{done} of {whole}" if begun else str(whole)
