"""Predictions: nothing is recorded before a commit, the first guess counts, the tolerance is kept, each form asks."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import HTML, Button, RadioButtons, Text

from clcrkit.errors import ConfigError
from exercises import predict, prediction, score, scorecard
from exercises.asking import Shown, live
from exercises.prediction import OPEN, Prediction


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """Forget earlier predictions, and catch what is displayed."""
    displayed: list[Shown] = []
    monkeypatch.setattr(prediction, "_asked", {})
    monkeypatch.setattr(prediction, "display", displayed.append)
    return displayed


def parts(view: Any, kind: type) -> list[Any]:
    inner = [part for child in getattr(view, "children", ()) for part in parts(child, kind)]
    return [view] if isinstance(view, kind) else inner


def answer(view: Shown, guess: str, enter: bool = False) -> str:
    """Do what a learner does, and return what the cell then says."""
    (control,) = parts(view, RadioButtons) or parts(view, Text)
    control.value = guess
    if enter:
        control._handle_msg({"content": {"data": {"method": "custom", "content": {"event": "submit"}}}, "buffers": []})
    else:
        parts(view, Button)[0].click()
    return str(parts(view, HTML)[0].value)


def said(view: Shown) -> str:
    return str(parts(view, HTML)[0].value)


def test_a_number(shown: list[Shown]) -> None:
    predict("accuracy", within=0.1)
    assert answer(shown[0], "0,7") == "Recorded: 0.7."
    score("accuracy", 0.62)
    assert said(shown[1]) == "<p>Right: you guessed 0.7, it is 0.62.</p>"
    score("accuracy", 0.45)
    assert said(shown[2]) == "<p>Not this time: you guessed 0.7, it is 0.45, which is 0.25 away.</p>"


def test_a_choice_whose_answer_lies_folded_until_it_is_made(shown: list[Shown]) -> None:
    predict("leak", options=["yes", "no"])
    score("leak", "no")
    assert parts(shown[0], RadioButtons)[0].value is None
    assert said(shown[1]) == "<details><summary>Uncover the answer: leak</summary><p>It is no.</p></details>"
    answer(shown[0], "yes")
    assert said(shown[1]) == "<p>Not this time: you guessed yes, it is no.</p>"


def test_what_tells_the_answer_lies_in_the_same_fold(shown: list[Shown]) -> None:
    predict("size", within=1)
    score("size", 4, "4 < 5", pd.DataFrame({"size": [4]}))
    folded = said(shown[1])
    assert folded.startswith("<details>")
    assert folded.endswith("</table>\n</div></details>")
    assert "<pre>4 &lt; 5</pre>" in folded
    assert repr(shown[1]) == f'Prediction "size": {OPEN}.'
    answer(shown[0], "4")
    assert said(shown[1]).startswith("<p>Right: you guessed 4, it is 4.</p><pre>4 &lt; 5</pre>")
    assert repr(shown[1]).splitlines()[:2] == ["Right: you guessed 4, it is 4.", "4 < 5"]


def test_the_first_guess_counts(shown: list[Shown]) -> None:
    predict("leak", options=["yes", "no"])
    score("leak", "no")
    scorecard()
    assert said(shown[2]) == f"<p>1 predictions: {OPEN}.</p>"
    answer(shown[0], "yes")
    assert answer(shown[0], "no") == "Recorded: no. Your first guess, yes, counts."
    assert said(shown[1]) == "<p>Right: no.</p>"
    assert said(shown[2]) == "<p>1 of 1 predictions made, 0 right at the first try.</p>"


def test_the_enter_key_commits(shown: list[Shown]) -> None:
    predict("size", within=1)
    assert answer(shown[0], "3", enter=True) == "Recorded: 3."


def test_a_guess_stays_when_the_cell_is_run_again(shown: list[Shown]) -> None:
    predict("size", within=1)
    answer(shown[0], "3")
    predict("size", within=1)
    assert said(shown[1]) == "Recorded: 3."
    predict("size", within=2)  # another question
    assert said(shown[2]) == ""


@pytest.mark.parametrize("guess", ["many", "", "nan", "inf"])
def test_a_guess_that_makes_no_sense_is_refused_in_words(shown: list[Shown], guess: str) -> None:
    predict("size", within=1)
    assert "a finite number is needed" in answer(shown[0], guess)
    assert prediction._asked["size"].guesses == []


def test_no_choice_is_no_guess(shown: list[Shown]) -> None:
    predict("leak", options=["yes", "no"])
    parts(shown[0], Button)[0].click()
    assert "choose one of yes, no" in said(shown[0])


def test_without_a_kernel_the_page_asks_too_and_hides_the_answer(shown: list[Shown]) -> None:
    predict("a <b>", options=["1 < 2", "no"])
    predict("size", within=0.5)
    score("size", 4)
    bundles = [view._repr_mimebundle_() for view in shown]
    assert [bundle["text/plain"] for bundle in bundles] == [
        f'Prediction "a <b>", one of: 1 < 2, no: {OPEN}.',
        f'Prediction "size", right is at most 0.5 away: {OPEN}.',
        f'Prediction "size": {OPEN}.',
    ]
    asks, number, answers = (bundle["text/html"] for bundle in bundles)
    assert asks.count('type="radio"') == 2
    assert "1 &lt; 2" in asks
    assert "a <b>" not in asks
    assert 'type="text"' in number
    assert answers.startswith("<details>")
    assert "<script" not in asks + number + answers


@given(truth=st.integers(-1000, 1000), off=st.integers(-1000, 1000), within=st.integers(1, 500))
def test_right_is_within_the_tolerance_to_the_last_hundredth(truth: int, off: int, within: int) -> None:
    # hundredths: what a learner types, and what binary fractions cannot hold
    asked = Prediction("p", within / 100, truth=truth / 100)
    assert asked.is_right((truth + off) / 100) == (abs(off) <= within)


def test_a_question_needs_its_terms() -> None:
    for within in (None, 0):
        with pytest.raises(ConfigError, match=f"within is {within}; a number above 0 is needed, or options"):
            predict("p", within=within)
    with pytest.raises(ConfigError, match="'p': not asked yet"):
        score("p", 1)


@pytest.mark.parametrize(
    ("terms", "truth", "message"),
    [
        ({"within": 1}, "yes", "the truth is 'yes', the guess is a number"),
        ({"within": 1}, float("nan"), "the truth is nan, the guess is a number"),
        ({"options": ["a"]}, "b", "the truth is 'b'; it is one of a"),
        ({"options": ["a"]}, 1, "the truth is 1; it is one of a"),
    ],
)
def test_truth_and_guess_are_of_one_kind(terms: dict[str, Any], truth: Any, message: str) -> None:
    predict("p", **terms)
    with pytest.raises(ConfigError, match=message):
        score("p", truth)


def test_words_are_said_beside_the_view() -> None:
    view = live(lambda: ("plain", "<p>rich</p>"))
    bundle = view._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert repr(view) == "plain"
