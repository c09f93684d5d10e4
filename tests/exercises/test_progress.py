"""Progress: kept only where the learner asked for it, across kernels, as data, in the index and on the certificate."""

import json
from datetime import date
from pathlib import Path

import pytest
from ipywidgets import HTML, Button

from clcrkit.errors import DataError
from exercises import certificate, predict, prediction, progress, score
from exercises.asking import Shown
from tests.exercises import demo


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The learner's file, which is not there yet."""
    path = tmp_path / "mine.json"
    monkeypatch.setenv("CLCRKIT_PROGRESS", str(path))
    monkeypatch.setattr(prediction, "_asked", {})
    monkeypatch.setattr(prediction, "display", lambda view: None)
    return path


def answered(name: str, guess: str, truth: str) -> None:
    predict(name, options=["yes", "no"])
    prediction._asked[name].commit(guess)
    score(name, truth)


def test_nothing_is_written_before_the_learner_asks(place: Path) -> None:
    answered("longer than the token", "yes", "yes")
    demo.center.check(demo.center.solution)
    assert list(place.parent.iterdir()) == []
    progress.keep()
    assert json.loads(place.read_text()) == {"predictions": {}, "exercises": {}}


def test_nor_where_the_variable_is_empty(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("CLCRKIT_PROGRESS", "")
    progress.keep()
    assert progress.path() is None
    assert list(place.parent.iterdir()) == []


def test_without_the_variable_it_lies_beside_the_lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLCRKIT_PROGRESS")
    found = progress.path()
    assert found == Path(__file__).parents[2] / "notebooks" / "my_progress.json"


def test_the_course_is_what_the_notebooks_hold() -> None:
    lessons = progress.course()
    assert len(lessons) == 16  # the tour asks, too
    assert lessons[3].title == "3. Subspaces"
    assert "longer than the token" in lessons[3].predictions
    assert "lesson_03.shadow" in lessons[3].exercises


def test_progress_as_data(monkeypatch: pytest.MonkeyPatch) -> None:
    progress.keep()
    answered("longer than the token", "yes", "yes")
    answered("no jump in Q", "yes", "no")
    monkeypatch.setattr(demo.center.solution, "__module__", "exercises.lesson_03")
    monkeypatch.setattr(demo.center.solution, "__name__", "shadow")
    demo.center.check(demo.center.solution)
    third = progress.data()[3]
    assert third["notebook"] == "03_subspaces.ipynb"
    assert (third["predictions"], third["predicted"], third["right_at_first"]) == (5, 2, 1)
    assert (third["exercises"], third["solved"]) == (4, 1)
    json.dumps(third)
    asked, built = (sum(row[part] for row in progress.data()) for part in ("predictions", "exercises"))
    assert progress.line() == f"<p>In all lessons: 1 of {asked} predictions, 1 of {built} exercises.</p>"


def test_another_kernel_knows_the_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    progress.keep()
    answered("longer than the token", "no", "yes")
    monkeypatch.setattr(prediction, "_asked", {})
    predict("longer than the token", options=["yes", "no"])
    assert prediction._asked["longer than the token"].guesses == ["no"]


def test_the_index_shows_it_and_its_button_keeps_it(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    views: list[Shown] = []
    monkeypatch.setattr(progress, "display", views.append)
    progress.show()
    (view,) = views
    index, button = view.children
    assert repr(view).endswith(" exercises. Not kept yet: progress.keep() does.")
    assert " of " not in view._repr_mimebundle_()["text/html"]  # a beginner has got nothing wrong
    assert isinstance(button, Button)
    button.click()
    assert place.exists()
    assert button.layout.display == "none"
    assert isinstance(index.children[0], HTML)
    assert "Kept in mine.json" in index.children[0].value


@pytest.mark.parametrize("content", ["", "[]", '{"predictions": 1, "exercises": {}}', '{"exercises": {}}'])
def test_a_file_that_is_none_of_ours_is_left_alone(place: Path, content: str) -> None:
    place.write_text(content)
    with pytest.raises(DataError, match="not a file of progress"):
        progress.note("exercises", "a", True)
    assert place.read_text() == content


def test_the_certificate_prints_what_was_done(tmp_path: Path) -> None:
    progress.keep()
    lesson = progress.course()[3]
    for name in lesson.predictions:
        progress.note("predictions", name, {"guesses": ["no"], "right_at_first": True})
    for name in lesson.exercises:
        progress.note("exercises", name, True)
    page = certificate("Ada <Lovelace>", tmp_path / "c.html", date(2026, 1, 2)).read_text()
    assert "Ada &lt;Lovelace&gt;" in page
    assert "has completed 1 of 16 lessons." in page
    assert "<td>4 of 4</td><td>5 of 5</td>" in page
    assert "2026-01-02" in page
    assert "@page" in page
    assert "<script" not in page
